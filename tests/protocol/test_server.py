"""A server of both sides: its ports, its health, and how it stops."""

import gc
import http.client
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from offramp.errors import LinkError, OfframpError, OverloadedError, PortInUseError
from offramp.protocol import messages
from offramp.protocol.gone import Gone
from offramp.protocol.peer import Peer
from offramp.protocol.pool import WAITING
from offramp.protocol.served import Call, Pending, Result, TensorSpec
from offramp.protocol.server import Server
from offramp.protocol.tensors import write_request
from offramp.sockets import listening, port_taken
from ports import HERE, held_port, listens
from processes import stop
from until import until

WAIT = 30.0  # seconds after which a test that hangs fails
BODY = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}], "parameters": {"wait": True}}


@pytest.fixture
def server(double: Any) -> Iterator[Server]:
    """A running server of both sides, whose ports are nobody else's when it has stopped."""
    with held_port() as port, held_port() as http_port:
        running = Server([double], HERE, port, max_batch=4, http_port=http_port)
        running.start()
        yield running
        double.opened.set()
        running.stop(WAIT)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Callers."""
    with ThreadPoolExecutor(4) as callers:
        yield callers


@pytest.fixture
def other() -> Iterator[int]:
    """A port that nobody listens on."""
    with held_port() as port:
        yield port


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket() as other:
        other.bind((HERE, 0))
        other.listen()
        yield other.getsockname()[1]


def http_infer(port: int) -> list[float]:
    """Ask over HTTP; the model waits."""
    with closing(http.client.HTTPConnection(HERE, port, timeout=WAIT)) as client:
        client.request("POST", "/v2/models/double/infer", json.dumps(BODY))
        answer = json.loads(client.getresponse().read())
    return list(answer["outputs"][0]["data"])


def grpc_infer(address: str) -> list[float]:
    """Ask over gRPC; the model waits."""
    with Peer(address) as client:
        x = np.array([[1, 2]], np.float32)
        result = client.infer("double", {"x": x}, timeout=WAIT, parameters={"wait": True})
        return [float(value) for value in result.outputs["twice"].ravel()]


def test_both_sides_answer(server: Server, double: Any) -> None:
    """On a port each, chosen by the system and said."""
    assert server.http is not None
    double.opened.set()
    assert server.address == f"{HERE}:{server.port}"
    assert server.http.address == f"{HERE}:{server.http.port}"
    assert grpc_infer(server.address) == http_infer(server.http.port) == [2.0, 4.0]


def test_without_an_http_port_there_is_no_http(double: Any) -> None:
    """Nothing else is bound."""
    server = Server([double], HERE, 0, max_batch=4)
    assert server.http is None
    server.start()
    server.stop(WAIT)


def test_a_taken_grpc_port_is_said_and_nothing_stays_bound(double: Any, taken: int, other: int) -> None:
    """The HTTP port is not bound either."""
    with pytest.raises(PortInUseError) as caught:
        Server([double], HERE, taken, max_batch=4, http_port=other)
    assert str(caught.value) == str(port_taken(HERE, taken))
    assert not listens(other)
    listening(HERE, other, 1).close()


def test_a_taken_http_port_is_said_and_nothing_stays_bound(double: Any, taken: int, other: int) -> None:
    """The gRPC port, which was bound by then, is free again."""
    with pytest.raises(PortInUseError) as caught:
        Server([double], HERE, other, max_batch=4, http_port=taken)
    assert str(caught.value) == str(port_taken(HERE, taken))
    assert not listens(other)
    listening(HERE, other, 1).close()


def test_a_server_takes_its_ports_again_after_a_stop(make: Callable[[], Any]) -> None:
    """Whoever restarts a node need not wait."""
    with held_port() as port, held_port() as http_port:
        for _ in range(2):
            server = Server([make()], HERE, port, max_batch=4, http_port=http_port)
            server.start()
            assert all(map(listens, (port, http_port)))
            server.stop(WAIT)
            assert not any(map(listens, (port, http_port)))


@pytest.mark.parametrize("side", ["gRPC", "HTTP"])
def test_servers_that_were_not_told_to_do_not_share_a_port(server: Server, make: Callable[[], Any], side: str) -> None:
    """Each would answer some of the calls."""
    assert server.http is not None
    ports = (server.port, 0) if side == "gRPC" else (0, server.http.port)
    with pytest.raises(PortInUseError) as caught:
        Server([make()], HERE, ports[0], max_batch=4, http_port=ports[1])
    assert str(caught.value) == str(port_taken(HERE, max(ports)))


def test_servers_that_share_their_ports_do(make: Callable[[], Any]) -> None:
    """The workers of one node: the kernel gives each connection to one of them."""
    first = Server([make()], HERE, 0, max_batch=4, http_port=0, shared=True)
    assert first.http is not None
    second = Server([make()], HERE, first.port, max_batch=4, http_port=first.http.port, shared=True)
    assert second.port == first.port
    for server in (first, second):
        server.start()
    for server in (first, second):
        server.stop(WAIT)


def test_health_is_served_for_the_node_and_for_the_protocol(server: Server) -> None:
    """`grpc.health.v1`, as orchestrators ask."""
    with grpc.insecure_channel(server.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for service in ("", "inference.GRPCInferenceService"):
            answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=WAIT)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.RpcError) as caught:
            stub.Check(health_pb2.HealthCheckRequest(service="other"), timeout=WAIT)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_reflection_lists_the_services(server: Server) -> None:
    """So that grpcurl needs no file."""
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    with grpc.insecure_channel(server.address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        (answer,) = stub.ServerReflectionInfo(iter([asked]), timeout=WAIT)
    assert {service.name for service in answer.list_services_response.service} == {
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "inference.GRPCInferenceService",
    }


@pytest.mark.parametrize(
    "symbol", ["inference.GRPCInferenceService", "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"]
)
def test_reflection_describes_each_service(server: Server, symbol: str) -> None:
    """With all that its messages are made of: what grpcurl asks for before it calls anything."""
    asked = reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol)
    with grpc.insecure_channel(server.address) as channel:
        (answer,) = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([asked]), timeout=WAIT)
    pool = DescriptorPool()
    for file in reversed(answer.file_descriptor_response.file_descriptor_proto):  # what is needed stands behind
        pool.AddSerializedFile(file)
    assert pool.FindServiceByName(symbol).methods


Ask = Callable[[Server], list[float]]
SIDES: dict[str, Ask] = {
    "gRPC": lambda server: grpc_infer(server.address),
    "HTTP": lambda server: http_infer(server.http.port),  # type: ignore[union-attr]
}


@pytest.mark.parametrize("side", SIDES)
def test_a_request_in_flight_is_finished_when_the_server_stops(
    server: Server, double: Any, pool: ThreadPoolExecutor, side: str
) -> None:
    """What was taken on is answered; nothing new is taken meanwhile."""
    answer = pool.submit(SIDES[side], server)
    assert double.entered.wait(WAIT)
    stopping = pool.submit(server.stop, WAIT)
    until(lambda: server.application.stopping)
    until_refused(server)
    threading.Event().wait(1.5)  # longer than the shortest grace that either side knows
    assert not answer.done()
    assert not stopping.done()
    double.opened.set()
    assert answer.result(WAIT) == [2.0, 4.0]
    stopping.result(WAIT)


def test_a_node_that_stops_says_that_it_is_not_ready(server: Server, double: Any, pool: ThreadPoolExecutor) -> None:
    """On a connection that it still has: balancers look there."""
    assert server.http is not None
    server.application.stopping = True
    client = http.client.HTTPConnection(HERE, server.http.port, timeout=WAIT)
    for path in ("/v2/health/ready", "/v2/models/double/ready"):
        client.request("GET", path)
        response = client.getresponse()
        assert (response.status, json.loads(response.read())) == (
            503,
            {"error": "the node is stopping: it takes nothing new."},
        )
    client.request("GET", "/v2/health/live")
    assert client.getresponse().status == 200
    client.close()


@pytest.mark.parametrize("side", SIDES)
def test_a_request_that_outlasts_the_grace_is_given_up(
    server: Server, double: Any, pool: ThreadPoolExecutor, side: str
) -> None:
    """Its caller is told; the server does not wait for ever."""
    answer: Future[list[float]] = pool.submit(SIDES[side], server)
    assert double.entered.wait(WAIT)
    stopping = pool.submit(server.stop, 0.1)
    with pytest.raises((OfframpError, OSError, http.client.HTTPException, ValueError)):
        answer.result(WAIT)
    double.opened.set()
    stopping.result(WAIT)


def _ended(client: socket.socket) -> bool:
    """Whether a connection's end has come: with half a request in it that nobody has read yet, that is a reset."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("sent", [b"", b"GET /v2/heal", b"POST /v2/models/double/infer HTTP/1.1\r\nHost: x\r\n"])
def test_clients_that_ask_nothing_do_not_keep_a_server(server: Server, pool: ThreadPoolExecutor, sent: bytes) -> None:
    """An idle connection, or half a request, is closed when the server stops."""
    assert server.http is not None
    with socket.create_connection((HERE, server.http.port), WAIT) as client:
        client.sendall(sent)
        pool.submit(server.stop, 3600.0).result(WAIT)
        assert _ended(client)


def until_refused(server: Server) -> None:
    """Wait until neither side takes a connection."""
    assert server.http is not None
    port = server.http.port
    until(lambda: not listens(port))
    until(lambda: not listens(server.port))


class Asking:
    """A model that asks somebody else: each request's answer waits for `answers` of its number, if it says `later`."""

    name, version, config = "asking", "1", {"kind": "asking"}
    inputs = (TensorSpec("x", "INT64", (-1,)),)
    outputs = (TensorSpec("y", "INT64", (-1,)),)

    def __init__(self) -> None:
        self.answers: dict[int, Future[int]] = {}
        self.finished_on: set[str] = set()
        self.left = threading.Event()
        self.giving_up = False

    def prepare(self) -> None:
        """Nothing to make ready."""

    def infer(self, call: Call) -> Result | Pending:
        """Give the number back, and a hundred times the answer to it."""
        (x,) = call.tensors("x")
        if self.giving_up or not call.number("later", int):
            return Result({"y": x})
        answer = self.answers[int(x[0])] = Future()

        def finish() -> Result:
            self.finished_on.add(threading.current_thread().name.split("_")[0])
            return Result({"y": x + 100 * answer.result(0)})

        return Pending(answer, finish)

    def stream(self, call: Call) -> Iterator[Result | Pending]:
        """A part at once, one that somebody else is asked for."""
        try:
            yield Result({"y": call.tensors("x")[0]}, last=False)
            yield self.infer(call)
        finally:
            if call.cancelled.is_set():
                self.left.set()


@pytest.fixture
def asking() -> Asking:
    """Its model."""
    return Asking()


@pytest.fixture
def small(asking: Asking) -> Iterator[Server]:
    """A server that computes four calls at once."""
    running = Server([asking], HERE, 0, max_batch=4, calls=4, http_port=0)
    running.start()
    yield running
    asking.giving_up = True
    for answer in asking.answers.values():
        answer.cancel()  # a server whose threads wait would never end
    running.stop(0.1)


def numbered(number: int, later: int = 1) -> tuple[dict[str, Any], dict[str, Any]]:
    """A request to the model that asks: inputs and parameters."""
    return {"x": np.array([number])}, {"later": later}


def over_http(port: int, number: int) -> http.client.HTTPConnection:
    """The same, sent over HTTP; its answer is not waited for."""
    tensor = {"name": "x", "shape": [1], "datatype": "INT64", "data": [number]}
    client = http.client.HTTPConnection(HERE, port, timeout=WAIT)
    client.request("POST", "/v2/models/asking/infer", json.dumps({"inputs": [tensor], "parameters": {"later": 1}}))
    return client


def test_requests_that_wait_for_others_hold_no_thread(small: Server, asking: Asking) -> None:
    """64 over gRPC and 64 over HTTP on four threads; whoever waits for nobody is answered, then all have their own."""
    assert small.http is not None
    with Peer(small.address) as peer, ExitStack() as open_:
        sent = [peer.begin(write_request("asking", "", *numbered(number)), WAIT) for number in range(64)]
        https = [open_.enter_context(closing(over_http(small.http.port, number))) for number in range(64, 128)]
        until(lambda: len(asking.answers) == 128)
        assert peer.infer("asking", numbered(7)[0], timeout=WAIT).outputs["y"] == [7]
        assert peer.statistics("asking")["asking", "1"].samples == 1
        for number, answer in reversed(asking.answers.items()):
            answer.set_result(number)
        assert [int(one.result(WAIT).outputs["y"][0]) for one in sent] == [101 * number for number in range(64)]
        answers = [json.loads(client.getresponse().read())["outputs"][0]["data"] for client in https]
        assert answers == [[101 * number] for number in range(64, 128)]
        assert peer.statistics("asking")["asking", "1"].samples == 129
    assert asking.finished_on == {"grpc", "http"}


def test_the_time_of_a_request_that_waits_for_others_counts(small: Server, asking: Asking) -> None:
    """Until it is answered."""
    with Peer(small.address) as peer:
        waiting = peer.begin(write_request("asking", "", *numbered(1)), WAIT)
        until(lambda: 1 in asking.answers)
        threading.Event().wait(0.2)
        asking.answers[1].set_result(1)
        waiting.result(WAIT)
        assert peer.statistics("asking")["asking", "1"].seconds >= 0.2


@pytest.mark.parametrize(("error", "kind"), [(OverloadedError("too much."), OverloadedError), (KeyError(1), LinkError)])
def test_what_goes_wrong_elsewhere_is_said(
    small: Server, asking: Asking, error: Exception, kind: type[OfframpError]
) -> None:
    """As if it went wrong here, and it counts as a failure."""
    with Peer(small.address) as peer:
        waiting = peer.begin(write_request("asking", "", *numbered(1)), WAIT)
        until(lambda: 1 in asking.answers)
        asking.answers[1].set_exception(error)
        with pytest.raises(kind):
            waiting.result(WAIT)
        assert peer.statistics("asking")["asking", "1"].samples == 0


def test_parts_that_wait_for_others_come_in_their_turn(small: Server, asking: Asking) -> None:
    """What is known comes before what is asked for."""
    with Peer(small.address) as peer:
        parts = iter(peer.stream("asking", iter([numbered(1), numbered(2)]), timeout=WAIT))
        for number in (1, 2):
            assert next(parts).outputs["y"] == [number]
            until(lambda number=number: number in asking.answers)  # type: ignore[misc]
            asking.answers[number].set_result(number)
            assert next(parts).outputs["y"] == [101 * number]
        assert list(parts) == []


def test_a_stream_that_waits_for_others_is_kept_from_its_answer_by_no_other_client(
    small: Server, asking: Asking
) -> None:
    """One that is open and says nothing holds a thread, and another one than the first."""
    closed = threading.Event()
    try:
        with Peer(small.address) as peer:
            parts = iter(peer.stream("asking", iter([numbered(1)]), timeout=WAIT))
            assert next(parts).outputs["y"] == [1]
            until(lambda: 1 in asking.answers)
            idle = iter(peer.stream("asking", one_and_then(closed), timeout=WAIT))
            assert next(idle).outputs["y"] == [9]
            asking.answers[1].set_result(1)
            assert next(parts).outputs["y"] == [101]
    finally:
        closed.set()


def one_and_then(closed: threading.Event) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """A request that waits for nobody, and an open stream behind it."""
    yield numbered(9, later=0)
    yield from iter_of(closed)


def test_a_stream_keeps_nothing_of_the_requests_that_it_has_answered(small: Server) -> None:
    """One that lives for a year would fill the memory."""

    def kept() -> int:
        return sum(type(one) in (Call, Gone) for one in gc.get_objects())

    counts = []
    with Peer(small.address) as peer:
        for number, _ in enumerate(peer.stream("asking", (numbered(n, 0) for n in range(60)), timeout=WAIT)):
            if number in (20, 100):
                gc.collect()
                counts.append(kept())
    assert len(counts) == 2
    assert counts[1] - counts[0] < 10  # of 40 requests between the two


def test_a_client_that_goes_while_its_part_is_awaited_closes_the_stream(small: Server, asking: Asking) -> None:
    """The model is told, though the answer never comes, and nothing is counted."""
    with Peer(small.address) as peer:
        stream = peer.stream("asking", iter([numbered(1)]), timeout=WAIT)
        assert next(iter(stream)).outputs["y"] == [1]
        until(lambda: 1 in asking.answers)
        assert not asking.left.is_set()
        stream.cancel()
        assert asking.left.wait(WAIT)
        assert asking.answers[1].cancelled()  # whoever works on it can stop
        assert peer.statistics("asking")["asking", "1"].samples == 0


def test_a_client_over_http_that_goes_is_worked_for_no_more(small: Server, asking: Asking) -> None:
    """What the model asked for on its behalf is cancelled."""
    assert small.http is not None
    client = over_http(small.http.port, 1)
    until(lambda: 1 in asking.answers)
    client.close()
    until(lambda: asking.answers[1].cancelled())


def test_a_request_that_is_cancelled_is_so_at_the_other_end(small: Server, asking: Asking) -> None:
    """From node to node: nobody works for nobody. One that is answered already is what it is."""
    with Peer(small.address) as peer:
        waiting = peer.begin(write_request("asking", "", *numbered(1)), 3600)  # no deadline ends it
        until(lambda: 1 in asking.answers)
        assert waiting.cancel()
        until(lambda: asking.answers[1].cancelled())
        answered = peer.begin(write_request("asking", "", *numbered(2, later=0)), WAIT)
        assert answered.result(WAIT).outputs["y"] == [2]
        assert not answered.cancel()


def test_streams_are_bounded_and_leave_all_other_calls_their_threads(asking: Asking) -> None:
    """One too many is refused, reflection counts too, and whoever closes one makes room."""
    server = Server([asking], HERE, 0, max_batch=4, calls=1, max_streams=2)
    server.start()
    closed = threading.Event()
    try:
        with Peer(server.address) as peer:
            first = peer.stream("asking", one_and_then(closed), timeout=WAIT)
            assert next(iter(first)).outputs["y"] == [9]
            reflecting = reflection_pb2_grpc.ServerReflectionStub(peer.channel).ServerReflectionInfo(iter_of(closed))
            until(lambda: server.streams.open == 2)
            assert peer.infer("asking", numbered(7)[0], timeout=WAIT).outputs["y"] == [7]
            with pytest.raises(OverloadedError) as caught:
                next(iter(peer.stream("asking", iter([numbered(2)]), timeout=WAIT)))
            assert str(caught.value) == (
                f"{server.address}: overloaded: 2 streams are open, the most that this node holds. Close one, come "
                "back later, or serve with more --max-streams."
            )
            reflecting.cancel()
            until(lambda: server.streams.open == 1)
            assert next(iter(peer.stream("asking", iter([numbered(2)]), timeout=WAIT))).outputs["y"] == [2]
    finally:
        closed.set()
        server.stop(0.1)


def test_who_watches_the_health_of_a_node_counts_as_a_stream(double: Any) -> None:
    """One too many is refused, and whoever goes makes room; to ask once is no stream."""
    server = Server([double], HERE, 0, max_batch=4, max_streams=2)
    server.start()
    try:
        with Peer(server.address) as peer:
            stub, said = health_pb2_grpc.HealthStub(peer.channel), health_pb2.HealthCheckRequest()
            watching = [stub.Watch(said, timeout=WAIT) for _ in range(2)]
            assert [next(one).status for one in watching] == [health_pb2.HealthCheckResponse.SERVING] * 2
            with pytest.raises(grpc.RpcError) as caught:
                next(stub.Watch(said, timeout=WAIT))
            assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            assert stub.Check(said, timeout=WAIT).status == health_pb2.HealthCheckResponse.SERVING
            watching[0].cancel()
            until(lambda: server.streams.open == 1)
            assert next(stub.Watch(said, timeout=WAIT)).status == health_pb2.HealthCheckResponse.SERVING
    finally:
        server.stop(0.1)


def test_a_model_that_is_being_opened_takes_no_call_s_thread(double: Any) -> None:
    """Others are answered by both protocols while two are asked whether it is ready; past the bound nobody waits."""
    opening, opened = threading.Semaphore(0), threading.Event()

    def prepare() -> None:
        opening.release()
        assert opened.wait(WAIT)

    double.prepare = prepare
    server = Server([double], HERE, 0, max_batch=4, calls=1, http_port=0)
    server.start()
    http_side, pool = server.http, server.pools[3]
    assert http_side is not None
    try:
        with (
            Peer(server.address) as peer,
            closing(http.client.HTTPConnection(HERE, http_side.port, timeout=WAIT)) as client,
        ):
            grpc_service = service_pb2_grpc.GRPCInferenceServiceStub(peer.channel)
            begun = [grpc_service.ModelReady.future(pb.ModelReadyRequest(name="double"), timeout=WAIT)]
            client.request("GET", "/v2/models/double/ready")
            assert opening.acquire(timeout=WAIT)
            assert opening.acquire(timeout=WAIT)
            double.opened.set()
            assert http_infer(http_side.port) == [2, 4]
            assert grpc_infer(server.address) == [2, 4]
            begun += [
                grpc_service.ModelReady.future(pb.ModelReadyRequest(name="double"), timeout=WAIT) for _ in range(70)
            ]
            until(lambda: len(pool.backlog) == WAITING and sum(one.done() for one in begun) == 70 - WAITING)
            opened.set()
            said = [one.exception(WAIT) for one in begun]
            assert client.getresponse().status == 200
            refused = [error.code() for error in said if error is not None]
            assert refused == [grpc.StatusCode.RESOURCE_EXHAUSTED] * (70 - WAITING)
    finally:
        opened.set()
        server.stop(0.1)


def test_connections_are_bounded_and_those_that_are_open_go_on(double: Any) -> None:
    """Of each protocol: one too many is told so over HTTP, closed over gRPC, and whoever closes one makes room."""
    server = Server([double], HERE, 0, max_batch=4, max_connections=2, http_port=0)
    server.start()
    double.opened.set()
    assert server.http is not None
    port = server.http.port
    try:
        with ExitStack() as held:
            first, second = (
                held.enter_context(closing(http.client.HTTPConnection(HERE, port, timeout=WAIT))) for _ in range(2)
            )
            asked(first), asked(second)
            with socket.create_connection((HERE, port), WAIT) as third:
                said = b"".join(iter(lambda: third.recv(4096), b""))
            assert said.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
            assert json.loads(said.partition(b"\r\n\r\n")[2])["error"] == (
                "overloaded: 2 connections are open, the most that this node holds. Close one, come back later, or "
                "serve with more --max-connections."
            )
            asked(first)
            second.close()
            until(lambda: asked(http.client.HTTPConnection(HERE, port, timeout=WAIT), close=True) == 200)

            ours = [held.enter_context(socket.create_connection((HERE, server.port), WAIT)) for _ in range(2)]
            assert all(one.recv(1) for one in ours)  # the server's settings
            with socket.create_connection((HERE, server.port), WAIT) as third:
                assert third.recv(1) == b""
    finally:
        server.stop(0.1)


def asked(client: http.client.HTTPConnection, *, close: bool = False) -> int:
    """The status of an answer."""
    client.request("GET", "/v2/health/live", headers={"connection": "close"} if close else {})
    answer = client.getresponse()
    answer.read()
    return answer.status


def iter_of(closed: threading.Event) -> Iterator[Any]:
    """Requests of a client that says nothing."""
    closed.wait(WAIT)
    yield from ()


def test_clients_that_do_not_send_their_message_hold_no_thread(asking: Asking) -> None:
    """A call that is begun, as over a slow link, leaves its thread to others; it is answered once it is there whole."""
    server = Server([asking], HERE, 0, max_batch=4, calls=1)
    server.start()
    sent = threading.Event()
    request = write_request("asking", "", *numbered(1, later=0))

    def late() -> Iterator[Any]:
        assert sent.wait(WAIT)
        yield request

    try:
        with Peer(server.address) as peer:
            method = f"/{messages.SERVICE}/ModelInfer"
            encode, decode = pb.ModelInferRequest.SerializeToString, pb.ModelInferResponse.FromString
            slowly = peer.channel.stream_unary(method, encode, decode)
            begun = [slowly.future(late(), timeout=WAIT) for _ in range(8)]
            until(lambda: server.entrance.aside == 8)
            assert peer.infer("asking", numbered(7)[0], timeout=WAIT).outputs["y"] == [7]
            begun.pop().cancel()
            until(lambda: server.entrance.aside == 7)
            sent.set()
            assert [len(one.result(WAIT).outputs) for one in begun] == [1] * 7
    finally:
        sent.set()
        server.stop(0.1)


def test_a_node_whose_calls_are_all_taken_says_how_it_is(double: Any, pool: ThreadPoolExecutor) -> None:
    """Over gRPC and over HTTP, in every way that it can be asked."""
    server = Server([double], HERE, 0, max_batch=4, calls=1, http_port=0)
    server.start()
    assert server.http is not None
    waiting = [pool.submit(grpc_infer, server.address), pool.submit(http_infer, server.http.port)]
    until(lambda: len(double.calls) == 2)
    try:
        with Peer(server.address) as peer, closing(http.client.HTTPConnection(HERE, server.http.port, WAIT)) as client:
            assert peer.stub.ServerLive(pb.ServerLiveRequest(), timeout=WAIT).live
            peer.wait_ready(WAIT)
            assert peer.metadata("double", WAIT).versions == ("7",)
            assert peer.statistics("double")["double", "7"].samples == 0
            stub, said = health_pb2_grpc.HealthStub(peer.channel), health_pb2.HealthCheckRequest()
            assert stub.Check(said, timeout=WAIT).status == health_pb2.HealthCheckResponse.SERVING
            assert next(stub.Watch(said, timeout=WAIT)).status == health_pb2.HealthCheckResponse.SERVING
            for path in ("live", "ready"):
                client.request("GET", f"/v2/health/{path}")
                response = client.getresponse()
                assert (response.status, json.loads(response.read())) == (200, {path: True})
    finally:
        double.opened.set()
        server.stop(WAIT)
    assert [one.result(WAIT) for one in waiting] == [[2.0, 4.0]] * 2


OPENS = """
import sys
import numpy as np
from offramp.protocol.peer import Peer
requests = iter([({"x": np.array([1])}, {"later": 1})])
for part in Peer(sys.argv[1]).stream("asking", requests, timeout=3600):
    print(part.outputs["y"], flush=True)
"""


def test_a_client_that_is_there_no_more_is_given_up(asking: Asking) -> None:
    """One that was stopped ends no connection, and answers no ping either."""
    server = Server([asking], HERE, 0, max_batch=4, vanished=0.5)
    server.start()
    with subprocess.Popen([sys.executable, "-c", OPENS, server.address], stdout=subprocess.PIPE) as client:
        try:
            assert client.stdout is not None
            assert client.stdout.readline() == b"[1]\n"
            until(lambda: 1 in asking.answers)
            assert not asking.left.wait(1.5)  # it answers the pings
            stop(client.pid)
            assert asking.left.wait(WAIT)
        finally:
            client.kill()
            asking.giving_up = True
            server.stop(0.1)


def test_a_server_that_stops_gives_up_what_is_never_answered(small: Server, asking: Asking) -> None:
    """After the grace."""
    with Peer(small.address) as peer:
        waiting = peer.begin(write_request("asking", "", *numbered(1)), WAIT)
        until(lambda: 1 in asking.answers)
        small.stop(0.1)
        with pytest.raises(LinkError):
            waiting.result(WAIT)
    assert asking.answers[1].cancelled()


@pytest.fixture
def busy(double: Any) -> Iterator[Server]:
    """A server of one thread, which a call holds on each side, and one more waits for."""
    server = Server([double], "127.0.0.1", 0, max_batch=4, calls=1, http_port=0)
    server.start()
    assert server.http is not None
    try:
        with ThreadPoolExecutor(4) as callers, Peer(server.address) as client:
            ends = [client.begin(write_request("double", "", PAIR, {"wait": True}), WAIT)]
            ends.append(callers.submit(posted, server.http.address, {"wait": True}))
            until(lambda: len(double.calls) == 2)
            ends.append(client.begin(write_request("double", "", PAIR), WAIT))
            ends.append(callers.submit(posted, server.http.address, {}))
            until(lambda: [len(pool.backlog) for pool in server.pools[:2]] == [1, 1])
            yield server
            double.opened.set()
            assert [one.exception(WAIT) for one in ends] == [None] * 4
            assert {one.result()[0] for one in ends[1::2]} == {200}
    finally:
        server.stop(0)


PAIR = {"x": np.ones((1, 2), np.float32)}


def posted(address: str, parameters: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Ask over HTTP, and give status and answer."""
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 1]}
    client = http.client.HTTPConnection(address, timeout=WAIT)
    client.request("POST", "/v2/models/double/infer", json.dumps({"parameters": parameters, "inputs": [tensor]}))
    answer = client.getresponse()
    said = answer.status, json.loads(answer.read())
    client.close()
    return said


def test_calls_past_those_that_may_wait_are_refused_as_they_come(busy: Server, double: Any) -> None:
    """No thread has to be free for it, nor is their message read; who waits is answered in the end."""
    for pool in busy.pools[:2]:
        pool.crowd = 1
    said = "overloaded: 1 calls wait for this node, and 1 may. Send less, or later, or to another."
    with Peer(busy.address) as client:
        refused = client.begin(write_request("double", "", PAIR), WAIT).exception(WAIT)
        unreadable = client.stub.ModelInfer.future(pb.ModelInferRequest(model_name="nobody"), timeout=WAIT)
        assert unreadable.exception(WAIT).details() == said
    assert type(refused) is OverloadedError
    assert str(refused) == f"{busy.address}: {said}"
    assert busy.http is not None
    assert posted(busy.http.address, {}) == (503, {"error": said})
    assert len(double.calls) == 2


def test_calls_that_would_wait_past_their_deadline_are_refused_as_they_come(busy: Server, double: Any) -> None:
    """By the pace at which the others leave; one that has the time waits."""
    for pool in busy.pools[:2]:
        pool.pace = 4.0
    said = "overloaded: 1 calls wait for this node, for about 8 s, and this one has 10 s. Give it more time, or send"
    assert busy.http is not None
    with Peer(busy.address) as client, ThreadPoolExecutor(1) as callers:
        refused = client.begin(write_request("double", "", PAIR), 10).exception(WAIT)
        assert type(refused) is OverloadedError
        assert said in str(refused)
        status, answer = posted(busy.http.address, {"timeout": 10_000_000})
        assert (status, answer["error"].startswith(said)) == (503, True)
        patient = [client.begin(write_request("double", "", PAIR), WAIT)]
        patient.append(callers.submit(posted, busy.http.address, {"timeout": 1000 * 1000 * int(WAIT)}))
        until(lambda: [len(pool.backlog) for pool in busy.pools[:2]] == [2, 2])
        double.opened.set()
        assert [one.exception(WAIT) for one in patient] == [None, None]


def test_the_wait_for_a_thread_counts_against_a_deadline(busy: Server, double: Any) -> None:
    """Over HTTP, where a request alone says what it is: one whose time went by there is not begun."""
    assert busy.http is not None
    with ThreadPoolExecutor(1) as callers:
        late = callers.submit(posted, busy.http.address, {"timeout": 1000})
        until(lambda: len(busy.pools[1].backlog) == 2)
        threading.Event().wait(0.01)
        double.opened.set()
        said = "the deadline passed before this node came to the request."
        assert late.result(WAIT) == (504, {"error": said})


def test_what_a_node_works_for_may_be_full(busy: Server, double: Any) -> None:
    """Whoever asks is told so before it is read."""
    for pool in busy.pools[:2]:
        pool.full = lambda: OverloadedError("no room.")
    with Peer(busy.address) as client:
        assert "no room." in str(client.begin(write_request("double", "", PAIR), WAIT).exception(WAIT))
    assert busy.http is not None
    assert posted(busy.http.address, {}) == (503, {"error": "no room."})
    assert len(double.calls) == 2
