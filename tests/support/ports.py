"""Ports for tests: none is asked for that the test does not hold.

A port once used and given up is anybody's: the system hands it out to the next socket that asks for any, also as the
near end of another test's connection. A held port stays the test's own. Nobody listens on it until a node does that was
told its number; it may come and go and come again; the system gives it to nobody else.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

HERE = "127.0.0.1"


@contextmanager
def held_port() -> Iterator[int]:
    """A port of this machine that is this block's own, and where nobody listens.

    Bound by a socket that never listens. It says `SO_REUSEADDR`, so whoever says it too may listen there by number,
    which is every server here; bound with it or without, nobody gets the port who asks for any.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((HERE, 0))
        yield held.getsockname()[1]


def listens(port: int) -> bool:
    """Whether somebody can be reached there: asked of a port that is held."""
    with socket.socket() as client:
        client.settimeout(30)
        return client.connect_ex((HERE, port)) == 0
