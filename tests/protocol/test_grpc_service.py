"""Calls over gRPC that wait for a thread together: answered as one batch, each as it would have been alone."""

import threading
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.plan import Plan
from offramp.data.image_set import Splits
from offramp.nodes.edge import Edge
from offramp.nodes.edge_model import EdgeModel
from offramp.protocol import messages as pb
from offramp.protocol.messages import SERVICE
from offramp.protocol.record import Record
from offramp.protocol.served import Array, Call, Result
from offramp.protocol.server import Server
from offramp.protocol.short import SHORT
from offramp.protocol.tensors import write_request
from until import until

WAIT = 30.0  # seconds after which a test that hangs fails


class Watched(EdgeModel):
    """An edge that answers a call when it is let to, and remembers how many it answered at once."""

    def __init__(self, edge: Edge) -> None:
        super().__init__(edge)
        self.go, self.entered, self.sizes = threading.Event(), threading.Event(), list[int]()

    def infer(self, call: Call) -> Any:
        """When it is let to."""
        self.entered.set()
        assert self.go.wait(WAIT)
        return super().infer(call)

    def at_once(self, calls: Any) -> list[Result] | None:
        """Take note."""
        found = super().at_once(calls)
        self.sizes += [] if found is None else [len(calls)]
        return found


class Kept(list[Record]):
    """A hook."""

    def ended(self, record: Record) -> None:
        """Keep it."""
        self.append(record)


@pytest.fixture
def model(bundle: Bundle) -> Watched:
    """All is answered at the last exit."""
    return Watched(Edge(bundle, Plan.of(9, 0.0), threads=1))


@pytest.fixture
def kept() -> Kept:
    """What has ended."""
    return Kept()


@pytest.fixture
def server(model: Watched, kept: Kept) -> Iterator[Server]:
    """One thread answers calls, and knows that they are short."""
    server = Server([model], "127.0.0.1", 0, max_batch=16, calls=1, hooks=[kept])
    server.start()
    yield server
    model.go.set()
    server.stop(0.1)


@pytest.fixture
def stub(server: Server) -> Iterator[Any]:
    """A client's, that gives a call's future."""
    with grpc.insecure_channel(server.address) as channel:
        yield channel.unary_unary(
            f"/{SERVICE}/ModelInfer", pb.ModelInferRequest.SerializeToString, pb.ModelInferResponse.FromString
        )


@pytest.fixture
def image(bundle: Bundle, digits: Splits) -> Array:
    """Some images."""
    return bundle.manifest.preprocessing.from_uint8(digits.test.images[:8])


def asked(image: Array, name: str = "") -> Any:
    """A request for the answers to some images."""
    return write_request("classifier", "", {"image": image}, request_id=name)


def waiting_calls(
    server: Server,
    model: Watched,
    stub: Any,
    requests: list[Any],
    timeout: float | None = None,
    known: list[Any] | None = None,
) -> list[Any]:
    """Futures of calls that waited together, behind one. All, or those that are `known`, have been short before."""
    sizes = [request.ByteSize() for request in known or requests]
    service: Any = server.entrance.together
    service.__self__.known.took |= {("classifier", "", size): SHORT / 2 for size in sizes}
    model.go.clear()
    model.entered.clear()
    longer = pb.ModelInferRequest.FromString(requests[0].SerializeToString())
    longer.id = "the one before, of another size"
    before = stub.future(longer)
    assert model.entered.wait(WAIT)
    begun = []
    for count, request in enumerate(requests, 1):
        begun.append(stub.future(request, timeout=timeout))
        until(lambda count=count: len(server.pools[0].backlog) == count)
    model.go.set()
    before.result(WAIT)
    return begun


def test_calls_that_wait_are_answered_at_once_and_as_alone(
    server: Server, model: Watched, stub: Any, image: Array, kept: Kept
) -> None:
    """Byte for byte, each with its own id; each is counted, with what it went through."""
    model.go.set()
    requests = [asked(image[row : row + 1], f"name {row}") for row in range(5)]
    alone = [stub(request, timeout=WAIT).SerializeToString() for request in requests]
    begun = waiting_calls(server, model, stub, requests)
    assert [one.result(WAIT).SerializeToString() for one in begun] == alone
    assert model.sizes == [5]
    assert all(float(dict(one.trailing_metadata())["offramp-took"]) > 0 for one in begun)
    until(lambda: len(kept) == 11)
    for record in kept[6:]:
        assert [stage for stage, *_ in record.stages] == ["wait", "decode", "local", "respond"]
        assert (record.outcome, sum(record.by.values()), len(record.judged)) == ("ok", 1, 1)
    assert sorted(record.id for record in kept[6:]) == [f"name {row}" for row in range(5)]
    assert server.plane.told("classifier", "")["model_stats"][0]["inference_count"] == 11


def test_one_that_is_wrong_spoils_no_other(server: Server, model: Watched, stub: Any, image: Array) -> None:
    """It alone gets an error; each is counted once."""
    bad = image[:1].copy()
    bad[0, 0, 2, 2] = np.nan
    begun = waiting_calls(server, model, stub, [asked(image[:1]), asked(bad), asked(image[1:2])])
    assert begun[1].exception(WAIT).code() == grpc.StatusCode.INVALID_ARGUMENT
    assert [len(begun[number].result(WAIT).outputs) for number in (0, 2)] == [8, 8]
    assert server.plane.told("classifier", "")["model_stats"][0]["inference_stats"]["success"]["count"] == 3


def test_what_has_a_deadline_is_answered_alone(server: Server, model: Watched, stub: Any, image: Array) -> None:
    """Nobody who has little time waits for a batch that others made longer."""
    begun = waiting_calls(server, model, stub, [asked(image[:1])] * 3, timeout=WAIT)
    assert [len(one.result(WAIT).outputs) for one in begun] == [8, 8, 8]
    assert model.sizes == []


def test_long_calls_are_answered_alone(server: Server, model: Watched, stub: Any, image: Array) -> None:
    """By what such calls took: of those that nothing is known of, too."""
    short, unknown = asked(image[:1]), asked(image[:7])
    begun = waiting_calls(server, model, stub, [short, short, unknown], known=[short])
    assert [len(one.result(WAIT).outputs) for one in begun] == [8, 8, 8]
    assert model.sizes == [2]
