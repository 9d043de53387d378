"""A running edge in memory, and its cloud."""

from collections.abc import Iterator

import pytest

from bright import Bright
from offramp.nodes.replies import Replies
from offramp.protocol.server import Server


@pytest.fixture
def replies() -> Replies:
    """The cloud's open streams."""
    return Replies("c" * 32)


@pytest.fixture
def bright(replies: Replies) -> Bright:
    """The edge's first network."""
    return Bright("a" * 32, "bright", replies)


@pytest.fixture
def edge(bright: Bright, replies: Replies) -> Iterator[Server]:
    """An edge of two networks."""
    yield from _running(Server([bright, Bright("b" * 32, "other", replies)], "127.0.0.1", 0, max_batch=64))


@pytest.fixture
def cloud(replies: Replies) -> Iterator[Server]:
    """A cloud that answers directly."""
    yield from _running(Server([replies], "127.0.0.1", 0, max_batch=64))


def _running(server: Server) -> Iterator[Server]:
    server.start()
    yield server
    server.stop(0)
