#!/bin/sh
# grpcio 1.85.1: a call with 8 to 16 KiB of metadata is refused or taken by chance: the same call, to the same server.
#
# Common belief: metadata has a limit, 8 KiB by default (grpc.max_metadata_size); what is below it passes, what is
# above fails, each time. So a token, a trace's baggage or a plan that came through in a test comes through always.
#
# Behaviour: grpc.max_metadata_size is a soft limit. Above it the receiver throws dice for each call, and refuses the
# more of them the nearer the metadata is to a second, hard limit (grpc.absolute_max_metadata_size, 16 KiB): of 10 KiB
# some quarter, of 14 KiB most. The rest is answered as ever. RESOURCE_EXHAUSTED is what an overloaded server says as
# well, and the next try may do, so that it looks like load; a refusal took a tenth of a second and more here, an
# answer a thousandth. An answer's metadata is treated alike by its client, and the words of a status are part of it:
# INVALID_ARGUMENT that repeats 10 KiB of what was wrong comes as RESOURCE_EXHAUSTED now and then. Who sets the first to
# N still has the hard limit at a quarter above it, and above N chance again.
#
# Exits with 0 while it is so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 600 "$folder/venv/bin/pip" install --quiet grpcio==1.85.1
timeout 300 "$folder/venv/bin/python" - <<'END'
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import grpc

CALLS, KIB = 60, 1024
took = defaultdict(list)  # seconds of the calls that ended so


def answering(said, words):
    """A handler that gives so many bytes of metadata behind its answer, or refuses in so many of words."""

    def answer(request, context):
        if words:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "x" * words)
        context.set_trailing_metadata((("plan", "x" * said),))
        return b""

    return grpc.method_handlers_generic_handler("a", {"b": grpc.unary_unary_rpc_method_handler(answer)})


def refused(up=0, down=0, words=0, options=()):
    """How many of the calls were refused, with so many bytes of metadata to the server and back."""
    server = grpc.server(ThreadPoolExecutor(2), handlers=[answering(down, words)], options=list(options))
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    found = Counter()
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary("/a/b")
        for _ in range(CALLS):
            began = time.perf_counter()
            try:
                call(b"", timeout=20, metadata=(("plan", "x" * up),))
                status = "OK"
            except grpc.RpcError as error:
                status = error.code().name
            found[status] += 1
            took[status].append(time.perf_counter() - began)
    server.stop(0).wait(10)
    assert set(found) <= {"INVALID_ARGUMENT" if words else "OK", "RESOURCE_EXHAUSTED"}, f"another status: {dict(found)}"
    return found["RESOURCE_EXHAUSTED"]


raised = (("grpc.max_metadata_size", 32 * KIB),)
found = {
    "7 KiB": refused(7 * KIB),
    "10 KiB": refused(10 * KIB),
    "14 KiB": refused(14 * KIB),
    "17 KiB": refused(17 * KIB),
    "10 KiB of an answer": refused(down=10 * KIB),
    "10 KiB of words of INVALID_ARGUMENT": refused(words=10 * KIB),
    "30 KiB, max_metadata_size of 32 KiB": refused(30 * KIB, options=raised),
    "36 KiB, max_metadata_size of 32 KiB": refused(36 * KIB, options=raised),
    "42 KiB, max_metadata_size of 32 KiB": refused(42 * KIB, options=raised),
}
print(f"believed: 0 or all of {CALLS} equal calls are refused")
for what, count in found.items():
    print(f"{what}: {count} of {CALLS} refused")
print("median of a call:", ", ".join(f"{status} {1000 * median(each):.1f} ms" for status, each in took.items()))
below, ten, fourteen, above, answer, words, within, between, beyond = found.values()
assert below == within == 0 and above == beyond == CALLS, "the limits stand elsewhere"
assert 0 < ten < fourteen < CALLS, "no longer by chance between them"
assert 0 < answer < CALLS and 0 < words < CALLS, "an answer's metadata, or a status, is treated otherwise"
assert 0 < between < CALLS, "a raised limit is treated otherwise"
END
echo "as stated: grpcio 1.85.1 refuses metadata between its two limits by chance"
