"""How streams end when their server stops: idle ones at once, the others once what is under way is answered."""

import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from offramp.errors import UnreachableError
from offramp.protocol.peer import Peer
from offramp.protocol.server import Server
from until import until

WAIT = 30.0  # seconds after which a test that hangs fails
LONG = 3600.0  # a grace that no test waits for
STOPPING = "this node is stopping. Ask another, or later."
Request = tuple[dict[str, Any], dict[str, Any]]


@pytest.fixture
def server(double: Any) -> Iterator[Server]:
    """A running server."""
    running = Server([double], "127.0.0.1", 0, max_batch=4)
    running.start()
    yield running
    double.opened.set()
    running.stop(0.1)


@pytest.fixture
def peer(server: Server) -> Iterator[Peer]:
    """A client of it."""
    with Peer(server.address) as peer:
        yield peer


@pytest.fixture
def said() -> Iterator["queue.SimpleQueue[Request | None]"]:
    """What a client says on its stream; None: no more."""
    requests: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
    yield requests
    requests.put(None)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Who stops a server meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


def pairs(rows: int = 1, **parameters: Any) -> Request:
    """A request of so many rows."""
    return {"x": np.ones((rows, 2), np.float32)}, parameters


def test_an_idle_stream_ends_at_once(server: Server, peer: Peer, said: Any, pool: ThreadPoolExecutor) -> None:
    """As one of a node that is not there any more, and not as a defect."""
    said.put(pairs())
    parts = iter(peer.stream("double", iter(said.get, None), timeout=WAIT))
    next(parts)
    stopping = pool.submit(server.stop, LONG)
    with pytest.raises(UnreachableError) as caught:
        next(parts)
    stopping.result(WAIT)
    assert str(caught.value) == (
        f"{server.address} does not answer ({STOPPING}). Start it, or check the address and the network."
    )


def test_what_is_under_way_on_a_stream_is_answered_and_nothing_behind_it(
    server: Server, peer: Peer, double: Any, said: Any, pool: ThreadPoolExecutor
) -> None:
    """Its client is told that the rest was not taken up."""
    said.put(pairs(2, wait=True))
    parts = iter(peer.stream("double", iter(said.get, None), timeout=WAIT))
    assert double.entered.wait(WAIT)
    stopping = pool.submit(server.stop, LONG)
    until(lambda: server.streams.ending)
    said.put(pairs())
    threading.Event().wait(0.3)  # for what would end too soon
    assert not stopping.done()
    double.opened.set()
    assert [next(parts).parameters["row"] for _ in range(2)] == [0, 1]
    with pytest.raises(UnreachableError, match="this node is stopping"):
        next(parts)
    stopping.result(WAIT)
    assert len(double.calls) == 1


def test_a_client_that_has_said_all_hears_of_no_stop(
    server: Server, peer: Peer, double: Any, pool: ThreadPoolExecutor
) -> None:
    """It has what it asked for."""
    parts = peer.stream("double", iter([pairs(2, wait=True)]), timeout=WAIT)
    rows = pool.submit(lambda: [part.parameters["row"] for part in parts])
    assert double.entered.wait(WAIT)
    with ThreadPoolExecutor(1) as other:
        stopping = other.submit(server.stop, LONG)
        until(lambda: server.streams.ending)
        double.opened.set()
        assert rows.result(WAIT) == [0, 1]
        stopping.result(WAIT)


def test_a_client_that_leaves_a_server_that_stops_is_no_defect(
    server: Server, peer: Peer, double: Any, said: Any, pool: ThreadPoolExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is said of it."""
    said.put(pairs(wait=True))
    stream = peer.stream("double", iter(said.get, None), timeout=WAIT)
    assert double.entered.wait(WAIT)
    stopping = pool.submit(server.stop, LONG)
    until(lambda: server.streams.ending)
    stream.cancel()
    double.opened.set()
    stopping.result(WAIT)
    assert caplog.records == []


def test_who_watches_the_health_hears_of_the_stop_first(server: Server, peer: Peer, pool: ThreadPoolExecutor) -> None:
    """NOT_SERVING, then the end."""
    watching = health_pb2_grpc.HealthStub(peer.channel).Watch(health_pb2.HealthCheckRequest(), timeout=WAIT)
    assert next(watching).status == health_pb2.HealthCheckResponse.SERVING
    stopping = pool.submit(server.stop, LONG)
    assert next(watching).status == health_pb2.HealthCheckResponse.NOT_SERVING
    assert _end(watching) == (grpc.StatusCode.UNAVAILABLE, STOPPING)
    stopping.result(WAIT)


def test_reflection_ends_too(server: Server, peer: Peer, said: Any, pool: ThreadPoolExecutor) -> None:
    """Whatever asks nothing now."""
    said.put(reflection_pb2.ServerReflectionRequest(list_services=""))
    stub = reflection_pb2_grpc.ServerReflectionStub(peer.channel)
    reflecting = stub.ServerReflectionInfo(iter(said.get, None), timeout=WAIT)
    assert next(reflecting).list_services_response.service
    stopping = pool.submit(server.stop, LONG)
    assert _end(reflecting) == (grpc.StatusCode.UNAVAILABLE, STOPPING)
    stopping.result(WAIT)


def _end(call: Any) -> tuple[grpc.StatusCode, str]:
    """How a stream ends that has nothing more to say."""
    with pytest.raises(grpc.RpcError) as caught:
        next(call)
    return caught.value.code(), caught.value.details()
