"""A node at the other end: what is asked of it, and how failures become errors of ours that name the peer."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from offramp.errors import (
    DeadlineError,
    InputError,
    LinkError,
    OfframpError,
    OverloadedError,
    TooLargeError,
    UnknownModelError,
    UnreachableError,
)
from offramp.protocol.peer import ModelMetadata, Peer, check_address
from offramp.protocol.server import Server
from offramp.protocol.tensors import write_request
from ports import HERE, held_port

WAIT = 30.0  # seconds after which a test that hangs fails
X = {"x": np.array([[1, 2], [3, 4]], np.float32)}


@pytest.fixture(scope="module")
def model(make: Callable[[], Any]) -> Any:
    """What the server serves."""
    return make()


@pytest.fixture(scope="module")
def other(make: Callable[[], Any]) -> Any:
    """The same in another version."""
    other = make()
    other.version, other.config = "8", {"colour": "blue"}
    return other


@pytest.fixture(scope="module")
def server(model: Any, other: Any) -> Iterator[Server]:
    """A real one."""
    running = Server([model, other], "127.0.0.1", 0, max_batch=4)
    running.start()
    yield running
    running.stop(WAIT)


@pytest.fixture
def client(server: Server) -> Iterator[Peer]:
    """A client of it."""
    with Peer(server.address) as client:
        yield client


@contextmanager
def other_maker(servicer: Any) -> Iterator[Peer]:
    """A server of the protocol that is not ours, and a client of it."""
    server = grpc.server(ThreadPoolExecutor(2))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with Peer(f"127.0.0.1:{port}") as client:
            yield client
    finally:
        server.stop(WAIT).wait(WAIT)


@pytest.mark.parametrize("address", ["127.0.0.1:8001", "host.example:1", "[::1]:65535"])
def test_an_address_comes_back(address: str) -> None:
    """As it was given."""
    assert check_address(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "",
        "host",
        "host:",
        ":8001",
        "host:0",
        "host:65536",
        "host:80a",
        "8001",
        "host:²",
        "a:b:1",
        "::1",
        "[::1]",
        "[::1:80",
    ],
)
def test_an_address_that_is_none_is_said(address: str) -> None:
    """With an example of one."""
    with pytest.raises(InputError) as caught:
        Peer(address)
    assert str(caught.value) == (
        f"address {address!r}: expected HOST:PORT with a port from 1 to 65535, like 127.0.0.1:8001 or [::1]:8001."
    )


def test_a_model_says_what_it_takes_and_gives(client: Peer) -> None:
    """Metadata and configuration."""
    client.wait_ready(WAIT)
    assert client.metadata("double", WAIT) == ModelMetadata(
        "double", ("7", "8"), {"x": ("FP32", (-1, 2))}, {"twice": ("FP32", (-1, 2)), "word": ("BYTES", (-1,))}
    )
    assert client.config("double", WAIT) == {"colour": "green", "max_batch": "4"}
    assert client.config("double", WAIT, "8") == {"colour": "blue", "max_batch": "4"}


def test_a_model_is_made_ready(client: Peer, model: Any) -> None:
    """Of a version, or of any."""
    before = model.prepared
    client.prepare("double", WAIT)
    client.prepare("double", WAIT, "7")
    assert model.prepared == before + 2


def test_an_answer_comes_whole(client: Peer) -> None:
    """Its tensors, and its parameters beside those of the request."""
    result = client.infer("double", X, timeout=WAIT, version="7", parameters={"mark": 2**63})
    assert result.outputs["twice"].tolist() == [[2, 4], [6, 8]]
    assert result.outputs["word"].tolist() == [b"row 0", b"row 1"]
    assert result.parameters == {"mark": 2**63, "rows": 2}
    assert result.last


def test_the_deadline_of_a_call_reaches_the_model(client: Peer, model: Any) -> None:
    """As the seconds that are left of it."""
    client.infer("double", X, timeout=WAIT)
    assert 0 < model.calls[-1].timeout < WAIT + 1  # grpc rounds up


def test_a_caller_that_sets_no_deadline_has_none(server: Server, model: Any) -> None:
    """Grpc itself says some billion years, which no clock can hold."""
    request = write_request("double", "", X)
    with grpc.insecure_channel(server.address) as channel:
        service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request)
    assert model.calls[-1].timeout is None


def test_answers_in_parts_come_one_after_the_other(client: Peer) -> None:
    """Of one request after the other; the last part of each says so."""
    parts = list(client.stream("double", iter([(X, {"mark": 1}), (X, {"mark": 2})]), timeout=WAIT))
    assert [(part.parameters["mark"], part.parameters["row"], part.last) for part in parts] == [
        (1, 0, False), (1, 1, True), (2, 0, False), (2, 1, True),
    ]  # fmt: skip


def test_a_stream_asks_the_version_that_it_names(client: Peer, other: Any) -> None:
    """Each of its requests."""
    asked = len(other.calls)
    assert len(list(client.stream("double", iter([(X, {}), (X, {})]), timeout=WAIT, version="8"))) == 4
    assert len(other.calls) == asked + 2


def test_statistics_count_each_version_apart(client: Peer) -> None:
    """Samples, and the seconds of the requests that were answered."""
    before = client.statistics("double", WAIT)
    client.infer("double", X, timeout=WAIT, version="8")
    after = client.statistics("double", WAIT)
    assert client.statistics(timeout=WAIT) == after
    assert set(after) == {("double", "7"), ("double", "8")}
    assert after["double", "7"] == before["double", "7"]
    assert after["double", "8"].samples == before["double", "8"].samples + 2
    assert after["double", "8"].seconds > before["double", "8"].seconds


def test_a_stream_goes_on_after_a_request_that_failed(server: Server) -> None:
    """The error comes as a message with the request's id, then the next answer."""
    bad = pb.ModelInferRequest(model_name="double", id="bad")
    good = pb.ModelInferRequest(model_name="double", id="good", raw_input_contents=[X["x"].tobytes()])
    good.inputs.add(name="x", datatype="FP32", shape=[2, 2])
    defect = pb.ModelInferRequest()
    defect.CopyFrom(good)
    defect.parameters["fail"].string_param = "defect"
    with grpc.insecure_channel(server.address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        answers = list(stub.ModelStreamInfer(iter([bad, defect, good]), timeout=WAIT))
    assert [(answer.error_message, answer.infer_response.id) for answer in answers] == [
        ("INVALID_ARGUMENT: inputs: expected exactly one, 'x', got nothing.", "bad"),
        ("INTERNAL: the node failed; its log has the details.", "good"),
        ("", "good"),
        ("", "good"),
    ]


def test_an_error_in_a_stream_is_ours(client: Peer) -> None:
    """And names the peer."""
    with pytest.raises(InputError) as caught:
        list(client.stream("double", iter([({}, {})]), timeout=WAIT))
    assert str(caught.value) == f"{client.address}: inputs: expected exactly one, 'x', got nothing."


def test_a_stream_that_is_cancelled_ends(client: Peer) -> None:
    """From another thread, without an error."""
    asked = threading.Event()

    def requests() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        yield X, {}
        asked.wait(WAIT)

    stream = client.stream("double", requests(), timeout=WAIT)
    parts = iter(stream)
    next(parts)
    threading.Timer(0.01, stream.cancel).start()
    assert len(list(parts)) <= 1
    asked.set()


FAILED: dict[str, tuple[dict[str, Any], type[OfframpError], str]] = {
    "unknown model": (
        {"model": "resnet", "inputs": X},
        UnknownModelError,
        "model 'resnet': unknown here. This node serves double.",
    ),
    "unknown input": (
        {"model": "double", "inputs": {"y": X["x"]}},
        InputError,
        "inputs: expected exactly one, 'x', got y.",
    ),
    "overload": (
        {"model": "double", "inputs": X, "parameters": {"fail": "overloaded"}},
        OverloadedError,
        "too much to do.",
    ),
}


@pytest.mark.parametrize("case", FAILED)
def test_a_refusal_is_the_error_that_the_peer_raised(client: Peer, case: str) -> None:
    """With its words, behind its address."""
    asked, kind, message = FAILED[case]
    with pytest.raises(OfframpError) as caught:
        client.infer(timeout=WAIT, **asked)
    assert type(caught.value) is kind
    assert str(caught.value) == f"{client.address}: {message}"


def test_a_defect_of_the_peer_is_a_link_error(client: Peer) -> None:
    """Its log has the details, its client has not."""
    with pytest.raises(LinkError) as caught:
        client.infer("double", X, timeout=WAIT, parameters={"fail": "defect"})
    assert str(caught.value) == f"{client.address} failed with INTERNAL: the node failed; its log has the details."


def test_a_message_over_the_bound_is_too_large(client: Peer) -> None:
    """And no overload."""
    with pytest.raises(TooLargeError):
        client.infer("double", {"x": np.zeros((100_000, 2), np.float32)}, timeout=WAIT)


def test_an_answer_that_does_not_come_in_time_is_late(client: Peer, model: Any) -> None:
    """Every call has a deadline."""
    model.opened.clear()
    try:
        with pytest.raises(DeadlineError) as caught:
            client.infer("double", X, timeout=0.1, parameters={"wait": True})
    finally:
        model.opened.set()
    assert str(caught.value) == f"{client.address} did not answer within the deadline (Deadline Exceeded)."


@pytest.fixture
def nobody() -> Iterator[Peer]:
    """A client of an address where nobody listens."""
    with held_port() as port, Peer(f"{HERE}:{port}") as client:
        yield client


ASKED: dict[str, Callable[[Peer], Any]] = {
    "prepare": lambda client: client.prepare("double", WAIT),
    "metadata": lambda client: client.metadata("double", WAIT),
    "config": lambda client: client.config("double", WAIT),
    "statistics": lambda client: client.statistics("double", WAIT),
    "infer": lambda client: client.infer("double", X, timeout=WAIT),
    "stream": lambda client: list(client.stream("double", iter([(X, {})]), timeout=WAIT)),
}


@pytest.mark.parametrize("call", ASKED)
def test_a_peer_that_is_not_there_is_unreachable(nobody: Peer, call: str) -> None:
    """Whatever it is asked."""
    with pytest.raises(UnreachableError) as caught:
        ASKED[call](nobody)
    assert str(caught.value).startswith(f"{nobody.address} does not answer (")
    assert str(caught.value).endswith("). Start it, or check the address and the network.")


def test_a_peer_that_is_not_there_in_time_is_unreachable(nobody: Peer) -> None:
    """It is waited for, and no longer."""
    with pytest.raises(UnreachableError) as caught:
        nobody.wait_ready(0.1)
    assert str(caught.value) == (
        f"{nobody.address} does not answer (waited 0.1 s). Start it, or check the address and the network."
    )


class NotReady(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """A server that has its models to load: ready at the third look."""

    def __init__(self, ready_at: int = 3) -> None:
        self.looks, self.ready_at = 0, ready_at

    def ServerReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.looks += 1
        return pb.ServerReadyResponse(ready=self.looks >= self.ready_at)

    def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        return pb.ModelReadyResponse(ready=False)

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        response = pb.ModelInferResponse(raw_output_contents=[b"123"])
        response.outputs.add(name="y", datatype="FP32", shape=[1])
        return response


def test_a_peer_that_says_it_is_not_ready_is_waited_for() -> None:
    """An answer is no yes."""
    servicer = NotReady()
    with other_maker(servicer) as client:
        client.wait_ready(WAIT)
    assert servicer.looks == 3


def test_a_peer_that_does_not_get_ready_is_unreachable() -> None:
    """It is there, and says so: that is another matter than an address where nobody is."""
    with other_maker(NotReady(1_000_000)) as client, pytest.raises(UnreachableError) as caught:
        client.wait_ready(0.3)
    assert str(caught.value) == f"{client.address} answers that it is not ready (waited 0.3 s). Look at its log."


def test_a_model_that_says_it_is_not_ready_is_said() -> None:
    """It would fail at the first request."""
    with other_maker(NotReady()) as client, pytest.raises(UnreachableError) as caught:
        client.prepare("tail-3", WAIT)
    assert str(caught.value) == f"{client.address} answers that model 'tail-3' is not ready. Look at its log."


def test_an_answer_that_does_not_hold_together_is_the_peer_s_fault() -> None:
    """Not the caller's input."""
    with other_maker(NotReady()) as client, pytest.raises(LinkError) as caught:
        client.infer("tail-3", {}, timeout=WAIT)
    assert type(caught.value) is LinkError
    assert str(caught.value) == (
        f"{client.address}: its answer does not hold together: y: shape [1] of FP32 takes 4 bytes, got 3."
    )


@pytest.mark.parametrize("letter", ["a", "ü", "😀"])
def test_a_refusal_that_repeats_much_is_that_refusal_each_time(client: Peer, letter: str) -> None:
    """A client of gRPC takes more than 8 KiB of words or not, by chance, and tells what it does not take as load."""
    name = letter * 12_000
    for _ in range(12):
        with pytest.raises(UnknownModelError) as caught:
            client.metadata(name, WAIT)
        assert name[:100] in str(caught.value)
