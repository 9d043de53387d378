#!/bin/sh
# uvloop 0.23.0: a protocol that inherits asyncio.Protocol is never read into its own buffer; asyncio does read so.
#
# Common belief: a protocol that is an asyncio.BufferedProtocol is given its bytes by get_buffer and buffer_updated, on
# any event loop, and uvloop is asyncio's loop in all that a protocol sees. So a server's protocol (uvicorn's, say) is
# made to read large bodies in place by a subclass that adds BufferedProtocol and the two methods.
#
# Behaviour: asyncio asks first whether a protocol is a BufferedProtocol; uvloop takes none that is an asyncio.Protocol
# as well, and calls data_received. The subclass reads into its buffer under asyncio, and under uvloop goes on as
# before, without a word: what was measured on one loop does not happen on the other. With no asyncio.Protocol among
# its parents the same class is read into its buffer by both. A subclass of a server's own protocol cannot be that; an
# object of its own has to stand before it.
#
# Exits with 0 while it is so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 600 "$folder/venv/bin/pip" install --quiet uvloop==0.23.0 uvicorn==0.54.0 httptools==0.9.0
timeout 120 "$folder/venv/bin/python" - <<'END'
import asyncio

import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class InPlace:
    """Answers with the way in which it was told of a client's bytes."""

    def connection_made(self, transport):
        self.transport, self.place = transport, bytearray(1 << 16)

    def connection_lost(self, error):
        pass

    def get_buffer(self, hint):
        return self.place

    def buffer_updated(self, count):
        self.transport.write(b"in place")

    def data_received(self, data):
        self.transport.write(b"as bytes")


class Both(InPlace, asyncio.Protocol, asyncio.BufferedProtocol):
    pass


class Alone(InPlace, asyncio.BufferedProtocol):
    pass


class Servers(InPlace, HttpToolsProtocol, asyncio.BufferedProtocol):
    def __init__(self):  # of a server that is not needed here
        pass


async def told(protocol):
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"x")
    answer = await reader.read(100)
    writer.close()
    server.close()
    return answer.decode()


found = {}
for name, new_loop in (("asyncio", asyncio.new_event_loop), ("uvloop", uvloop.new_event_loop)):
    for protocol in (Alone, Both, Servers):
        loop = new_loop()
        found[name, protocol.__name__] = loop.run_until_complete(asyncio.wait_for(told(protocol), 20))
        loop.close()
for (name, protocol), how in found.items():
    print(f"{name:8} {protocol:8} {how}")
expected = {key: "in place" for key in found} | {("uvloop", "Both"): "as bytes", ("uvloop", "Servers"): "as bytes"}
raise SystemExit(found != expected)
END
