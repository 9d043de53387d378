"""A port held for the processes of one node."""

import select
import socket
import subprocess
import sys

import pytest

from offramp.errors import InputError, PortInUseError
from offramp.sockets import check_address, hold_port, is_loopback, join_address, port_taken, split_address
from ports import HERE, held_port


def message(port: int, host: str = HERE) -> str:
    """What is said of a port that cannot be had."""
    return (
        f"cannot listen on {host}:{port}: the port is taken, or the host is not this machine's. "
        "Choose another with --port (HTTP is one below it, or --http-port), or stop what listens there."
    )


def test_a_free_port_is_chosen() -> None:
    """0 asks for any."""
    with hold_port(HERE, 0) as port:
        assert 0 < port < 2**16


def test_processes_of_the_node_may_listen_on_it() -> None:
    """Two of them, with `SO_REUSEPORT`."""
    with hold_port(HERE, 0) as port, socket.socket() as one, socket.socket() as two:
        for listener in (one, two):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind((HERE, port))
            listener.listen()
        with socket.create_connection((HERE, port), timeout=30) as client:
            taken, _, _ = select.select([one, two], [], [], 30)
            assert len(taken) == 1
            accepted, near = taken[0].accept()
            accepted.close()
            assert near == client.getsockname()


def test_a_port_that_is_held_is_not_held_again() -> None:
    """Two nodes never share one unnoticed."""
    with hold_port(HERE, 0) as port, pytest.raises(PortInUseError) as caught, hold_port(HERE, port):
        pass
    assert str(caught.value) == message(port)


def test_a_port_where_somebody_listens_is_not_held() -> None:
    """Even if they would share it."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind((HERE, 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortInUseError) as caught, hold_port(HERE, port):
            pass
    assert str(caught.value) == message(port)


def test_a_port_is_free_afterwards() -> None:
    """Nothing stays bound."""
    with held_port() as port:
        for _ in range(2):
            with hold_port(HERE, port) as held:
                assert held == port


def test_a_host_of_another_machine_is_said() -> None:
    """An address of the documentation's, that no machine has."""
    with pytest.raises(PortInUseError) as caught, hold_port("192.0.2.1", 4711):
        pass
    assert str(caught.value) == message(4711, "192.0.2.1")


def test_a_host_that_is_none_is_said() -> None:
    """By the same error."""
    with pytest.raises(PortInUseError) as caught, hold_port("no such host", 4711):
        pass
    assert str(caught.value) == str(port_taken("no such host", 4711)) == message(4711, "no such host")


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        ("host.example:1", "host.example", 1),
        ("[::1]:8001", "::1", 8001),
        ("::1:8001", "::1", 8001),
        ("2001:db8::7:80", "2001:db8::7", 80),
        ("[fe80::1%eth0]:80", "fe80::1%eth0", 80),
    ],
)
def test_an_address_is_a_host_and_a_port(address: str, host: str, port: int) -> None:
    """An IPv6 host with brackets or without; with them afterwards."""
    assert split_address(address) == (host, port)
    assert (
        check_address(address) == join_address(host, port) == join_address(f"[{host}]" if ":" in host else host, port)
    )
    assert check_address(check_address(address)) == check_address(address)


@pytest.mark.parametrize(
    ("url", "instead"),
    [
        ("http://10.0.0.7:8000", "10.0.0.7:8001"),
        ("https://cloud.example/v2", "cloud.example:8001"),
        ("grpc://[::1]:8001", "[::1]:8001"),
        ("http://[::1", "127.0.0.1:8001"),
        ("://", "127.0.0.1:8001"),
    ],
)
def test_a_url_is_no_address_and_the_right_form_is_said(url: str, instead: str) -> None:
    """People have http:// in their hands."""
    with pytest.raises(InputError) as caught:
        check_address(url)
    assert str(caught.value) == (
        f"address {url!r}: expected HOST:PORT and no URL, like {instead}: the port of the gRPC side, which is one "
        "above HTTP's where nothing else was said."
    )


DESCRIPTORS = """
import resource
from offramp.sockets import allow_descriptors
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 512))
allow_descriptors(100)
print(resource.getrlimit(resource.RLIMIT_NOFILE))
allow_descriptors(200)
print(resource.getrlimit(resource.RLIMIT_NOFILE))
allow_descriptors(400)
"""


def test_a_process_has_descriptors_for_its_connections_or_says_what_it_lacks() -> None:
    """As many as the system lets it, and no fewer than it had."""
    done = subprocess.run([sys.executable, "-c", DESCRIPTORS], capture_output=True, text=True, timeout=60)
    assert done.stdout == "(256, 512)\n(328, 512)\n"
    assert done.stderr.splitlines()[-1] == (
        "offramp.errors.InputError: connections: 400 need 528 open files, and the system lets this process have 512. "
        "Let it have more (ulimit -Hn, LimitNOFILE in its unit), or take fewer (--max-connections)."
    )


@pytest.mark.parametrize(
    ("host", "here"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("[::1]", True), ("localhost", True), ("0.0.0.0", False),
     ("::", False), ("10.0.0.5", False), ("localhost.example", False), ("cloud", False)],
)  # fmt: skip
def test_a_host_is_this_machine_s_own_or_others_reach_it(host: str, here: bool) -> None:
    """What is not known to be the one is taken for the other: a name may lead anywhere."""
    assert is_loopback(host) == here
