#!/bin/sh
# grpcio 1.85.1: of a server that is frozen, a new connection fails with UNAVAILABLE long before the call's deadline.
#
# Common belief: a process that is stopped (SIGSTOP, a paused container) keeps its listening socket, the kernel completes
# TCP's handshake in its place, and so a call to it is sent and ends with DEADLINE_EXCEEDED; UNAVAILABLE, "failed to
# connect", says that nobody listens, at once. And grpc.min_reconnect_backoff_ms is a pause between two attempts.
#
# Behaviour: a connection is one for gRPC only once the server's SETTINGS frame is there. Without it the attempt is given
# up after 20 seconds, or after grpc.min_reconnect_backoff_ms, which is an attempt's time-out and no pause, and the call
# ends there with UNAVAILABLE although its deadline is later and TCP is connected. Who tells a dead peer from a slow one
# by the status takes the same frozen server for dead over a new connection and for slow over one that was open before.
#
# Exits with 0 while it is so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet grpcio==1.85.1
"$folder/venv/bin/python" - <<'END'
import os
import signal
import subprocess
import sys
import time

import grpc

SERVER = """
import grpc, sys, time
from concurrent.futures import ThreadPoolExecutor
answer = grpc.method_handlers_generic_handler("a", {"b": grpc.unary_unary_rpc_method_handler(lambda request, context: b"")})
server = grpc.server(ThreadPoolExecutor(2), handlers=[answer])
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
sys.stdin.read()
"""
DEADLINE = 6.0


def status(channel, deadline):
    began = time.monotonic()
    try:
        channel.unary_unary("/a/b")(b"", timeout=deadline)
        code = "OK"
    except grpc.RpcError as error:
        code = error.code().name
    return code, time.monotonic() - began


with subprocess.Popen([sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
    address = f"127.0.0.1:{int(server.stdout.readline())}"
    options = [("grpc.min_reconnect_backoff_ms", 1000), ("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(address, options) as before, grpc.insecure_channel(address, options) as new:
        print("answering, open before:", *status(before, DEADLINE))
        os.kill(server.pid, signal.SIGSTOP)
        late, late_after = status(before, DEADLINE)
        print(f"frozen, open before:    {late} after {late_after:.1f} s, deadline {DEADLINE:g} s")
        gone, gone_after = status(new, DEADLINE)
        print(f"frozen, new connection: {gone} after {gone_after:.1f} s, deadline {DEADLINE:g} s")
    server.kill()
assert late == "DEADLINE_EXCEEDED", "another status over a connection that was open"
assert gone == "UNAVAILABLE", "another status over a new connection"
assert gone_after < DEADLINE - 1, "not before the deadline"
END
echo "as stated: a frozen server is UNAVAILABLE to grpcio 1.85.1 over a new connection, before the deadline"
