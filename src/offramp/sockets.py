"""Addresses, and ports to listen on: one's own, or one that several processes of a node share, and no other node.

`SO_REUSEPORT` alone would let two unrelated nodes of a user share a port unnoticed, each answering some of the calls.
So the port is taken alone first, by a socket that never listens, and opened to the node's own processes after that.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from offramp.errors import InputError, PortInUseError


@contextmanager
def hold_port(host: str, port: int) -> Iterator[int]:
    """Keep a port for the processes that will listen on it with `SO_REUSEPORT`; give it. 0 chooses a free one.

    Raises PortInUseError where anybody listens on it, or holds it, already.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        held = socket.socket(family, kind, protocol)
    except OSError as error:
        raise port_taken(host, port) from error
    with held:
        try:
            # A port whose last connections are still being forgotten is free; one that is held is not.
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind(address)
        except OSError as error:
            raise port_taken(host, port) from error
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        yield held.getsockname()[1]


def listening(host: str, port: int, backlog: int, *, shared: bool = False, http: bool = True) -> socket.socket:
    """A TCP socket that listens; port 0 chooses a free one, `shared` lets others of this user listen there too.

    Raises PortInUseError, whose words are a node's, with its HTTP side, or of something without one.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, kind, protocol)
    except OSError as error:
        raise port_taken(host, port, http=http) from error
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        found.bind(address)
        found.listen(backlog)
    except OSError as error:
        found.close()
        raise port_taken(host, port, http=http) from error
    return found


def port_taken(host: str, port: int, *, http: bool = True) -> PortInUseError:
    """The error for a port that cannot be listened on."""
    beside = " (HTTP is one below it, or --http-port)" if http else ""
    return PortInUseError(
        f"cannot listen on {host}:{port}: the port is taken, or the host is not this machine's. "
        f"Choose another with --port{beside}, or stop what listens there."
    )


def check_address(address: str) -> str:
    """Give `HOST:PORT` back if it is one."""
    host, colon, port = address.rpartition(":")
    if not (host and colon and port.isdigit() and 0 < int(port) < 2**16):
        raise InputError(f"address {address!r}: expected HOST:PORT with a port from 1 to 65535, like 127.0.0.1:8001.")
    return address
