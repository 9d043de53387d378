"""A shaper as a process: by its verb, and as a child that never outlives who started it."""

import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

from offramp.errors import LinkError
from offramp.link.shape import LinkShape
from offramp.link.shaper_process import child_link
from processes import children, ended
from until import until

WAIT = 30.0
PARENT = """
import sys, time
from offramp.link.shape import LinkShape
from offramp.link.shaper_process import child_link
with child_link(LinkShape.parse("1ms"), "127.0.0.1:1") as address:
    print(address, flush=True)
    time.sleep(600)
"""


def answer(server: socket.socket) -> None:
    """Be a target: send back what one connection brings."""
    connection, _ = server.accept()
    with connection:
        while data := connection.recv(1 << 16):
            connection.sendall(data)


def ask(address: str, sent: bytes) -> bytes:
    """Send, end, and hear what comes back."""
    host, _, port = address.rpartition(":")
    heard = b""
    with socket.create_connection((host, int(port)), timeout=WAIT) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        while data := connection.recv(1 << 16):
            heard += data
    return heard


def test_a_child_forwards_and_leaves_with_who_asked_for_it() -> None:
    """It has ended when its context has."""
    before = children(os.getpid())
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=answer, args=(server,), daemon=True).start()
        with child_link(LinkShape.parse("10mbit,2ms"), f"127.0.0.1:{server.getsockname()[1]}") as address:
            assert ask(address, b"hello" * 1000) == b"hello" * 1000
            (shaper,) = children(os.getpid()) - before
        assert ended(shaper)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_child_goes_when_its_parent_has_gone(how: signal.Signals) -> None:
    """Even where the parent could not say so."""
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline().startswith("127.0.0.1:")
        (shaper,) = children(parent.pid)
        parent.send_signal(how)
        parent.wait(WAIT)
    until(lambda: ended(shaper))


def test_the_verb_forwards_says_when_it_is_ready_and_ends_at_sigterm() -> None:
    """Its first line names its address, what it leads to, and the shape."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=answer, args=(server,), daemon=True).start()
        to = f"127.0.0.1:{server.getsockname()[1]}"
        command = [sys.executable, "-m", "offramp", "link", "lte", "--to", to]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            address = line.split()[1]
            assert ask(address, b"hello") == b"hello"
            process.terminate()
            _, err = process.communicate(timeout=WAIT)
    assert line == f"ready {address} link to {to}, lte: 12 Mbit/s, 35 ms, in user space\n"
    assert (process.returncode, err) == (0, "")


def test_a_child_that_does_not_start_is_said() -> None:
    """Here it is given a delay that it refuses."""
    odd = LinkShape.model_construct(up=None, down=None, delay=11.0, jitter=0.0, loss=0.0)
    with pytest.raises(LinkError) as caught, child_link(odd, "127.0.0.1:1"):
        pass
    assert str(caught.value) == (
        "the link to 127.0.0.1:1 ended before it was ready (exit code 2). What it said stands above."
    )
