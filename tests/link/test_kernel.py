"""Shaping in the kernel: what tc is told, and that it holds, in a namespace of the test's own."""

import shutil
import subprocess
import sys
import textwrap

import pytest

from offramp.errors import InputError, LinkError
from offramp.link.kernel import queueing, shaped, shaped_by
from offramp.link.shape import LinkShape

RATE = LinkShape(up=10**7, down=2 * 10**7)
DELAYED = LinkShape(up=10**7, delay=0.02)


@pytest.mark.parametrize(
    ("shape", "direction", "told"),
    [
        (RATE, "up", "tbf rate 10000000bit burst 16384 latency 100ms"),
        (RATE, "down", "tbf rate 20000000bit burst 16384 latency 100ms"),
        (LinkShape(up=10**9), "up", "tbf rate 1000000000bit burst 500000 latency 100ms"),
        (LinkShape(up=10**9), "down", ""),
        (DELAYED, "up", "netem limit 10000 delay 20000us rate 10000000bit"),
        (DELAYED, "down", "netem limit 10000 delay 20000us"),
        (LinkShape(delay=0.02, jitter=0.004, loss=0.01), "up", "netem limit 10000 delay 22000us 2000us loss 1%"),
    ],
)
def test_a_rate_alone_is_a_token_bucket_and_all_else_is_netem(shape: LinkShape, direction: str, told: str) -> None:
    """Each direction its own rate; the least delay is ours, whatever the jitter."""
    assert " ".join(queueing(shape, "up" if direction == "up" else "down")) == told


def test_without_an_interface_of_its_own_it_is_shaped_in_user_space() -> None:
    """And said why."""
    assert str(shaped_by(RATE)) == "user space (no interface is this link alone)"
    assert str(shaped_by(RATE, "lo")) == "user space (the loopback is everybody's)"


def test_what_the_kernel_cannot_do_is_refused() -> None:
    """With what can."""
    with pytest.raises(LinkError) as caught, shaped(RATE, "lo"):
        pass
    assert str(caught.value) == (
        "link 10 Mbit/s up, 20 Mbit/s down: not on lo: the loopback is everybody's. "
        "Put a shaper in the path, with --to HOST:PORT."
    )
    with pytest.raises(InputError, match="expected up, where the edge sends, or down"), shaped(RATE, "lo", "sideways"):
        pass


# Two ends of a cable in one namespace would be short-circuited by the kernel, so the other end has one of its own.
CABLE = """
set -e
ip link set lo up
unshare --net sleep 60 & other=$!
trap "kill $other" EXIT
here=$(readlink /proc/$$/ns/net)
for _ in $(seq 100); do [ "$(readlink /proc/$other/ns/net)" != "$here" ] && break; sleep 0.05; done
ip link add near type veth peer name far netns $other
ip address add 10.9.8.1/24 dev near
ip link set near up
nsenter --net --target $other ip address add 10.9.8.2/24 dev far
nsenter --net --target $other ip link set far up
"$PYTHON" -c "$PROGRAM" $other
"""
PROGRAM = """
import socket, subprocess, sys, time
from offramp.link.shape import LinkShape
from offramp.link.kernel import shaped

RECEIVE = '''
import socket
with socket.create_server(("10.9.8.2", 4711)) as server:
    print("ready", flush=True)
    connection, _ = server.accept()
    while connection.recv(1 << 16):
        pass
    connection.sendall(b"k")
'''
shape, size = LinkShape.parse(SHAPE), SIZE
receiver = subprocess.Popen(
    ["nsenter", "--net", "--target", sys.argv[1], sys.executable, "-c", RECEIVE], stdout=subprocess.PIPE
)
try:
    receiver.stdout.readline()
    with shaped(shape, "near") as by:
        start = time.monotonic()
        with socket.create_connection(("10.9.8.2", 4711), timeout=30) as connection:
            connection.sendall(bytes(size))
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1)
        print("took", time.monotonic() - start, by.how)
    print("left", subprocess.run(["tc", "qdisc", "show", "dev", "near"], capture_output=True, text=True).stdout)
finally:
    receiver.kill()
    receiver.wait()
"""


@pytest.mark.parametrize(("shape", "size", "least"), [("10mbit", 1_000_000, 0.7), ("20ms", 1_000, 0.04)])
def test_a_cable_is_shaped_and_is_not_afterwards(shape: str, size: int, least: float) -> None:
    """Between two namespaces: never faster than the rate, but for the bucket's burst; never earlier than the delay."""
    by = shaped_by(LinkShape.parse(shape), "near")
    if by.how != "kernel":
        pytest.skip(by.why)
    if shutil.which("ip") is None or subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode:
        pytest.skip("no network namespace can be made here")
    program = textwrap.dedent(PROGRAM).replace("SHAPE", repr(shape)).replace("SIZE", str(size))
    done = subprocess.run(
        ["unshare", "--net", "env", f"PYTHON={sys.executable}", f"PROGRAM={program}", "bash", "-c", CABLE],
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    took, left = done.stdout.split("left")
    assert took.split()[::2] == ["took", "kernel"]
    assert float(took.split()[1]) >= least
    assert "tbf" not in left
    assert "netem" not in left
