#!/bin/sh
# grpcio 1.85.1: grpc.Compression.NoCompression turns nothing off, neither for a call nor for an answer, sync or asyncio.
#
# Common belief: compression of a channel or a server is its default, and what a call or an answer says for itself wins:
# stub.Method(request, compression=grpc.Compression.NoCompression), and context.set_compression of the same, whose
# documentation says "the compression method to be used". So a node compresses JSON and leaves a JPEG, or features that a
# codec has packed, as they are.
#
# Behaviour: NoCompression is an enumeration's 0, and grpcio asks `if compression:`, so that it is taken for None: nothing
# said, the default stays, and the bytes are gzipped. Gzip and Deflate said for a call do win over the default. What works:
# context.disable_next_message_compression() of a server, and no default where some calls want none.
#
# Exits with 0 while it is so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 600 "$folder/venv/bin/pip" install --quiet grpcio==1.85.1
timeout 120 "$folder/venv/bin/python" - <<'END'
import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import grpc

GZIP, NONE = grpc.Compression.Gzip, grpc.Compression.NoCompression
MESSAGE = bytes(100_000)  # gzip makes 100 bytes of it: what was compressed is seen by its size
FEW = 10_000


def counted(port):
    """A port that hands all on to another, and the bytes that went to it and came back."""
    listener, seen = socket.create_server(("127.0.0.1", 0)), {"up": 0, "down": 0}

    def pump(source, target, way):
        with suppress(OSError):  # the other end is closed first
            while part := source.recv(65536):
                seen[way] += len(part)
                target.sendall(part)

    def serve():
        near, _ = listener.accept()
        far = socket.create_connection(("127.0.0.1", port))
        for ends in ((near, far, "up"), (far, near, "down")):
            threading.Thread(target=pump, args=ends, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1], seen


def handler(said):
    def answer(request, context):
        if said == "disable":
            context.disable_next_message_compression()
        elif said is not None:
            context.set_compression(said)
        return MESSAGE

    return grpc.method_handlers_generic_handler("a", {"b": grpc.unary_unary_rpc_method_handler(answer)})


def sent(channel_default, said, server_default=None, answered=None):
    """Bytes of a request and of its answer."""
    server = grpc.server(ThreadPoolExecutor(2), handlers=[handler(answered)], compression=server_default)
    port, seen = counted(server.add_insecure_port("127.0.0.1:0"))
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}", compression=channel_default) as channel:
        assert channel.unary_unary("/a/b")(MESSAGE, compression=said, timeout=20) == MESSAGE
    server.stop(0).wait(10)
    return seen["up"], seen["down"]


async def sent_by_asyncio(channel_default, said):
    server = grpc.server(ThreadPoolExecutor(2), handlers=[handler(None)])
    port, seen = counted(server.add_insecure_port("127.0.0.1:0"))
    server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", compression=channel_default) as channel:
        await channel.unary_unary("/a/b")(MESSAGE, compression=said, timeout=20)
    server.stop(0).wait(10)
    return seen["up"]


plain = sent(None, None)
requests = {
    "a channel without, a call with gzip": sent(None, GZIP)[0],
    "a channel with gzip": sent(GZIP, None)[0],
    "a channel with gzip, a call with NoCompression": sent(GZIP, NONE)[0],
    "the same by grpc.aio": asyncio.run(sent_by_asyncio(GZIP, NONE)),
}
answers = {
    "a server with gzip": sent(None, None, GZIP)[1],
    "a server with gzip, set_compression(NoCompression)": sent(None, None, GZIP, NONE)[1],
    "a server with gzip, disable_next_message_compression()": sent(None, None, GZIP, "disable")[1],
}
print("believed: NoCompression sends the message of 100000 bytes as it is")
print(f"nothing compressed: {plain[0]} bytes up, {plain[1]} down")
for what, size in (requests | answers).items():
    print(f"{what}: {size} bytes")
*compressed, by_hand = (requests | answers).values()
assert min(*plain, by_hand) > len(MESSAGE), "compressed where nothing was to be"
assert max(compressed) < FEW, "NoCompression is heard by now, or a default is not"
END
echo "as stated: by grpcio 1.85.1 NoCompression said for a call or an answer leaves the default's gzip on"
