#!/bin/sh
# grpcio 1.85.1: a retry policy holds for small messages; a call of over 256 KiB is tried once, and nothing says so.
#
# Common belief: a retryPolicy in the service config (maxAttempts, retryableStatusCodes) holds for every call of the
# methods that it names, so that it is tried out once with any request; what limits it is the deadline, the attempts
# and the server's pushback. A server that refuses a call with UNAVAILABLE, as one does that drains, gets it again.
#
# Behaviour: to send a message again it has to be kept, and for that a call has 256 KiB
# (grpc.per_rpc_retry_buffer_size). A message larger than that commits the call to its first attempt as it is sent. Its
# UNAVAILABLE comes through as if there were no policy, and neither status nor details tell it from one that was tried
# four times. Of CIFAR-10's images in fp32 a batch of 21 is retried and one of 22 is not; of 224 x 224 photographs not
# even one is. So the policy works where it is tried out, and stops to as batches or features grow. With the buffer as
# large as a message it holds for all. That a call's buffer is bounded is in the design of retries (gRFC A6), which
# leaves the size to who writes one.
#
# Exits with 0 while it is so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 600 "$folder/venv/bin/pip" install --quiet grpcio==1.85.1
timeout 120 "$folder/venv/bin/python" - <<'END'
import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import grpc

IMAGE = 3 * 32 * 32 * 4  # bytes of an image of CIFAR-10 in fp32
ATTEMPTS = 4
POLICY = {"maxAttempts": ATTEMPTS, "initialBackoff": "0.01s", "maxBackoff": "0.02s", "backoffMultiplier": 1,
          "retryableStatusCodes": ["UNAVAILABLE"]}
CONFIG = ("grpc.service_config", json.dumps({"methodConfig": [{"name": [{}], "retryPolicy": POLICY}]}))
LARGER = ("grpc.per_rpc_retry_buffer_size", 8 * 1024 * 1024)
seen = []


def refuse_twice(request, context):
    seen.append(len(request))
    if len(seen) < 3:
        context.abort(grpc.StatusCode.UNAVAILABLE, "draining")
    return b""


def told(call):
    """The status of a call, and how often the server saw it."""
    seen.clear()
    try:
        call()
        status = "OK"
    except grpc.RpcError as error:
        status = error.code().name
    return status, len(seen)


def retried(batch, *more):
    with grpc.insecure_channel(address, [CONFIG, *more]) as channel:
        return told(lambda: channel.unary_unary("/a/b")(bytes(batch * IMAGE), timeout=20))


async def call_by_asyncio(batch):
    async with grpc.aio.insecure_channel(address, [CONFIG]) as channel:
        await channel.unary_unary("/a/b")(bytes(batch * IMAGE), timeout=20)


answer = grpc.method_handlers_generic_handler("a", {"b": grpc.unary_unary_rpc_method_handler(refuse_twice)})
server = grpc.server(ThreadPoolExecutor(2), handlers=[answer])
address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
server.start()
print(f"a server that refuses twice, a policy of {ATTEMPTS} attempts; believed: OK at the third, whatever the batch")
found = {
    "a batch of 1": retried(1),
    "a batch of 21": retried(21),
    "a batch of 22": retried(22),
    "a batch of 32": retried(32),
    "a batch of 22 by grpc.aio": told(lambda: asyncio.run(call_by_asyncio(22))),
    "a batch of 32, a buffer of 8 MiB": retried(32, LARGER),
}
server.stop(0).wait(10)
for what, (status, attempts) in found.items():
    print(f"{what}: {status}, seen {attempts} times")
small, medium, *large, buffered = found.values()
assert small == medium == buffered == ("OK", 3), "small messages are not retried, or large ones with a larger buffer"
assert set(large) == {("UNAVAILABLE", 1)}, "larger messages are retried by now"
END
echo "as stated: by grpcio 1.85.1 a retry policy stops at messages of 256 KiB"
