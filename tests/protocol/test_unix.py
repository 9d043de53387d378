"""A node at a Unix socket: both protocols, who may come in, and what becomes of its files."""

import json
import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from pwd import getpwuid
from typing import Any

import numpy as np
import pytest

from certificates import secret
from offramp.bench.http_call import HttpCall, UnixConnection
from offramp.errors import InputError, LinkError, PortInUseError, UnreachableError
from offramp.nodes.serving import say_open_to
from offramp.protocol.credentials import Credentials
from offramp.protocol.door import Access, Door
from offramp.protocol.peer import Peer
from offramp.protocol.server import Server
from offramp.protocol.tensors import write_request
from until import until

WAIT = 30.0  # seconds after which a test that hangs fails
X = np.ones((1, 2), np.float32)


def served(folder: Path, model: Any, **more: Any) -> Server:
    """A server of the model there, not started."""
    return Server([model], f"unix:{folder}/node.sock", 8001, max_batch=4, http_port=0, **more)


@pytest.fixture
def server(tmp_path: Path, double: Any) -> Iterator[Server]:
    """One that runs."""
    running = served(tmp_path, double)
    running.start()
    yield running
    running.stop(WAIT)


def listens(path: Path) -> bool:
    """Whether somebody can be reached there."""
    with socket.socket(socket.AF_UNIX) as caller:
        return caller.connect_ex(str(path)) == 0


def names(folder: Path) -> list[str]:
    """What is there."""
    return sorted(path.name for path in folder.iterdir())


def test_both_protocols_answer_there(server: Server, tmp_path: Path) -> None:
    """The second on a socket beside the first."""
    assert server.address == f"unix:{tmp_path}/node.sock"
    assert server.http is not None
    assert server.http.address == f"unix:{tmp_path}/node.http.sock"
    with Peer(server.address) as peer:
        peer.wait_ready(WAIT)
        assert peer.infer("double", {"x": X}, timeout=WAIT).outputs["twice"].tolist() == [[2, 2]]
    with HttpCall(server.http.address, "double", "x", X, {}, WAIT) as call:
        assert b'"double"' in call.ask()
    with closing(UnixConnection(f"{tmp_path}/node.http.sock", WAIT)) as client:  # by the application, not past it
        client.request("GET", "/v2/health/ready")
        assert json.loads(client.getresponse().read()) == {"ready": True}


def test_its_files_are_its_owner_s_and_go_at_the_end(tmp_path: Path, double: Any) -> None:
    server = served(tmp_path, double)
    server.start()
    assert names(tmp_path) == ["node.http.sock", "node.sock"]
    assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir()] == [0o600, 0o600]
    server.stop(WAIT)
    assert names(tmp_path) == []


def test_a_second_node_is_refused_and_harms_nothing(server: Server, tmp_path: Path, double: Any) -> None:
    """Neither where HTTP's socket is found in use first, nor where grpc's is."""
    with pytest.raises(PortInUseError, match=r"node\.http\.sock: another process listens there"):
        served(tmp_path, double)
    with pytest.raises(PortInUseError, match=r"node\.sock: another process listens there"):
        Server([double], server.address, 0, max_batch=4)
    assert names(tmp_path) == ["node.http.sock", "node.sock"]
    with Peer(server.address, alone=True) as peer:
        peer.wait_ready(WAIT)


def test_what_cannot_be_opened_leaves_nothing(tmp_path: Path, double: Any) -> None:
    """HTTP's socket is there first."""
    (tmp_path / "node.sock").write_text("mine")
    with pytest.raises(InputError, match=r"node\.sock: a file is there that is no socket"):
        served(tmp_path, double)
    assert names(tmp_path) == ["node.sock"]


def test_a_node_that_takes_over_keeps_its_files_when_the_one_before_has_finished(
    tmp_path: Path, double: Any, make: Any
) -> None:
    """One that stops answers what it has, and listens no more."""
    before = served(tmp_path, double)
    before.start()
    with Peer(before.address, alone=True) as peer:
        answer = peer.begin(write_request("double", "", {"x": X}, {"wait": True}), WAIT)
        assert double.entered.wait(WAIT)
        stopping = threading.Thread(target=before.stop, args=(WAIT,))
        stopping.start()
        until(lambda: not any(listens(tmp_path / name) for name in names(tmp_path)))
        after = served(tmp_path, make())
        after.start()
        double.opened.set()
        assert answer.result(WAIT).outputs["twice"].tolist() == [[2, 2]]
        stopping.join(WAIT)
    assert names(tmp_path) == ["node.http.sock", "node.sock"]
    with Peer(after.address, alone=True) as peer:
        peer.wait_ready(WAIT)
    after.stop(WAIT)
    assert names(tmp_path) == []


def test_nobody_there_is_said(tmp_path: Path) -> None:
    """By both clients."""
    with (
        Peer(f"unix:{tmp_path}/none.sock") as peer,
        pytest.raises(UnreachableError, match=r"none\.sock does not answer"),
    ):
        peer.wait_ready(0.2)
    with (
        HttpCall(f"unix:{tmp_path}/none.sock", "double", "x", X, {}, WAIT) as call,
        pytest.raises(LinkError, match=r"none\.sock: .*No such file"),
    ):
        call.ask()


def test_a_caller_that_found_nobody_finds_who_comes(tmp_path: Path, double: Any) -> None:
    """It asks anew, and not by a connection that was never made."""
    with HttpCall(f"unix:{tmp_path}/node.http.sock", "double", "x", X, {}, WAIT) as call:
        with pytest.raises(LinkError, match="No such file"):
            call.ask()
        server = served(tmp_path, double)
        server.start()
        try:
            assert b'"double"' in call.ask()
        finally:
            server.stop(WAIT)


def test_there_is_no_tls(tmp_path: Path) -> None:
    """On either side; it is said, not left out."""
    host = f"unix:{tmp_path}/node.sock"
    with pytest.raises(InputError) as caught:
        Door(Access(cert="node.pem", key="node.key"), host)
    assert str(caught.value) == (
        "certificate node.pem: there is no TLS over a Unix socket, which never leaves this machine. Leave out "
        "--tls-cert: its file says who may come in (--socket-mode), and tokens do."
    )
    with pytest.raises(InputError) as caught:
        Peer(host, credentials=Credentials(ca="ca.pem"))
    assert str(caught.value) == (
        f"authorities ca.pem: there is no TLS over {host}, a Unix socket, which never leaves this machine. Leave them "
        "out (--tls-ca)."
    )


def test_who_comes_in_is_said_of_every_unix_socket(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a port of loopback without tokens nothing is; and whether shared memory is offered."""
    host = f"unix:{tmp_path}/node.sock"
    with caplog.at_level(logging.INFO, "offramp"):
        say_open_to(Door(Access(), "127.0.0.1"))
        say_open_to(Door(Access(), host), shared_memory=True)
    user = getpwuid(os.getuid()).pw_name
    assert caplog.messages == [
        f"open to: a Unix socket of mode 0600, user {user}, at {host}",
        "shared memory: callers on this machine have files in /dev/shm that this user may open",
    ]


def test_tokens_are_asked_for_and_shown_there(tmp_path: Path, double: Any, caplog: pytest.LogCaptureFixture) -> None:
    """They go over no network; the log says by which ways somebody comes in."""
    token = "t" * 32
    tokens = secret(tmp_path / "tokens", f"me infer,read {token}\n")
    host = f"unix:{tmp_path}/node.sock"
    door = Door(Access(tokens=tokens), host)
    server = served(tmp_path, double, door=door, mode=0o666)
    server.start()
    try:
        with caplog.at_level(logging.INFO, "offramp"):
            say_open_to(door)
        assert caplog.messages == [
            f"open to: a Unix socket of mode 0666, anyone on this machine, who shows one of 1 tokens, at {host}"
        ]
        credentials = Credentials(token_file=secret(tmp_path / "token", token))
        with Peer(host, credentials=credentials) as peer:
            assert peer.infer("double", {"x": X}, timeout=WAIT).outputs["twice"].tolist() == [[2, 2]]
        with Peer(host, alone=True) as peer, pytest.raises(LinkError, match="no token"):
            peer.infer("double", {"x": X}, timeout=WAIT)
    finally:
        server.stop(WAIT)
