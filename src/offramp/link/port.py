"""A port that several processes of one node share, and no other node.

`SO_REUSEPORT` alone would let two unrelated nodes of a user share a port unnoticed, each answering some of the calls.
So the port is taken alone first, by a socket that never listens, and opened to the node's own processes after that.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from offramp.errors import PortInUseError


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


def port_taken(host: str, port: int) -> PortInUseError:
    """The error for a port that cannot be listened on."""
    return PortInUseError(
        f"cannot listen on {host}:{port}: the port is taken, or the host is not this machine's. "
        "Choose another with --port (HTTP is one below it, or --http-port), or stop what listens there."
    )
