"""A boundary of two tensors, from the edge's span over the wire to the cloud's."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import signed
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.codec import CODECS, DATATYPES, Codec, tail_name
from offramp.artifacts.engine import Engine
from offramp.artifacts.plan import Plan
from offramp.errors import InputError
from offramp.exits.answers import Tier
from offramp.export.calibrate import cuts
from offramp.nodes.batching import Batcher
from offramp.nodes.cloud import tails
from offramp.nodes.edge import Edge
from offramp.nodes.local_cloud import LocalCloud
from offramp.nodes.remote_cloud import RemoteCloud
from offramp.nodes.upstream import Upstream
from offramp.plan.wire import request_bytes
from offramp.protocol.peer import Peer
from offramp.protocol.served import Array
from offramp.protocol.server import Server
from offramp.protocol.tensors import write_request
from offramp.runtime.choice import Choice
from offramp.runtime.open import open_span
from offramp.runtime.span import SpanSpec

ONE_THREAD = Engine(threads=1)

WAIT = 30.0  # seconds after which a test that hangs fails
KINDS = ("local", "remote")


@pytest.fixture(scope="module")
def image() -> Array:
    """More samples than one runner takes at once by itself."""
    return np.random.default_rng(1).random((20, 1, 4, 4), np.float32)


@pytest.fixture(scope="module")
def served(skipping: Bundle) -> Iterator[str]:
    """The address of a cloud that runs requests together."""
    batcher = Batcher()
    server = Server(tails(skipping, batcher, Choice(ONE_THREAD)), "127.0.0.1", 0, max_batch=64)
    server.start()
    try:
        yield server.address
    finally:
        server.stop(WAIT)
        batcher.close()


@contextmanager
def cloud_of(kind: str, bundle: Bundle, address: str) -> Iterator[Upstream]:
    """A cloud in the process, or over the wire."""
    if kind == "local":
        yield LocalCloud(bundle, ONE_THREAD)
        return
    cloud = RemoteCloud(bundle, address)
    yield cloud
    cloud.close()


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_goes_on_has_the_rows_of_both_tensors(
    skipping: Bundle, served: str, image: Array, kind: str, codec: Codec
) -> None:
    """Some leave, the others get the last exit's answer: what the whole graph says of the same rows."""
    whole = open_span(skipping, SpanSpec(0, 2, (1, 2)), ONE_THREAD).run(image)
    with cloud_of(kind, skipping, served) as cloud:
        plan = Plan.of(1, 0.25, codec=codec)
        edge = Edge(skipping, plan, cloud, threads=1)
        edge.check(WAIT)
        answers = edge.infer(image, timeout=WAIT)
    gone = answers.tier == Tier.CLOUD
    assert 0 < gone.sum() < 20
    assert (answers.exit == np.where(gone, 2, 1)).all()
    expected = np.where(gone[:, None], whole["logits_2"], whole["logits_1"]).astype(np.float64)
    expected = np.exp(expected - expected.max(axis=1, keepdims=True))
    expected /= expected.sum(axis=1, keepdims=True)
    within = {"fp32": 1e-6, "fp16": 1e-2, "uint8": 0.2}[codec]
    np.testing.assert_allclose(answers.probabilities, expected, rtol=0, atol=within)


@pytest.mark.parametrize("codec", CODECS)
def test_each_tensor_travels_by_its_own_name_in_the_cut_s_codec(
    skipping: Bundle, served: str, image: Array, codec: Codec
) -> None:
    """And is encoded by its own scale."""
    sent = open_span(skipping, SpanSpec(0, 1, gives=codec), ONE_THREAD).run(image)
    dtype = {"fp32": np.float32, "fp16": np.float16, "uint8": np.uint8}[codec]
    assert {name: (array.shape, array.dtype) for name, array in sent.items()} == {
        "trunk": ((20, 2, 4, 4), dtype),
        "skip": ((20, 16), dtype),
    }
    if codec == "uint8":
        assert np.array_equal(sent["skip"], np.rint(image.reshape(20, 16) * 255))
    with Peer(served) as peer:
        name = "tail-1" if codec == "fp32" else f"tail-1-{codec}"
        assert set(peer.metadata(name, WAIT).inputs) == {"trunk", "skip"}
        backwards = dict(reversed(sent.items()))
        found = peer.infer(name, backwards, timeout=WAIT).outputs["logits_2"]
    there = open_span(skipping, SpanSpec(1, 2, (2,), takes=codec), ONE_THREAD)
    np.testing.assert_allclose(found, there.run(sent["trunk"], sent["skip"])["logits_2"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"trunk": (2, 2, 4, 4)}, "inputs: expected exactly 2, 'trunk', 'skip', got trunk."),
        (
            {"trunk": (2, 2, 4, 4), "skip": (2, 16), "more": (2, 16)},
            "inputs: expected exactly 2, 'trunk', 'skip', got more, skip, trunk.",
        ),
        ({"trunk": (2, 2, 4, 4), "skip": (3, 16)}, "skip: 3 rows, and trunk has 2."),
        ({"trunk": (2, 2, 4, 4), "skip": (2, 15)}, "skip: expected shape (N, 16), batch first, got (2, 15)."),
    ],
)
def test_half_a_boundary_is_refused(
    skipping: Bundle, served: str, inputs: dict[str, tuple[int, ...]], message: str
) -> None:
    """Both tensors, and as many rows of each."""
    sent = {name: np.zeros(shape, np.float32) for name, shape in inputs.items()}
    with Peer(served) as peer, pytest.raises(InputError) as caught:
        peer.infer("tail-1", sent, timeout=WAIT)
    assert str(caught.value) == f"{served}: {message}"


@pytest.mark.parametrize("codec", CODECS)
def test_a_mask_crosses_as_fp32_beside_features_in_any_codec(tmp_path: Path, codec: Codec) -> None:
    """Over the wire, in as many bytes as are counted; features below 0 come back within half a step."""
    shape = (5, 3)
    graph, tensors = signed.graph(shape, masked=True), signed.tensors(shape, masked=True)
    image = np.random.default_rng(1).random((20, 1, 15, 1), np.float32)
    found = cuts(graph, {0: (1, 15, 1), 1: tensors}, image, plain={1: ("mask",)})
    bundle = signed.bundle(tmp_path, graph, tensors, found)
    sent = open_span(bundle, SpanSpec(0, 1, gives=codec), ONE_THREAD).run(image)
    tail = tail_name(1, codec)
    server = Server(tails(bundle, None, Choice(ONE_THREAD)), "127.0.0.1", 0, max_batch=64)
    server.start()
    try:
        with Peer(server.address) as peer:
            described = {name: datatype for name, (datatype, _) in peer.metadata(tail, WAIT).inputs.items()}
            logits = peer.infer(tail, sent, timeout=WAIT).outputs["logits_2"]
    finally:
        server.stop(WAIT)
    assert described == {"features_1": DATATYPES[codec], "mask": "FP32"}
    assert request_bytes(bundle.manifest, 1, codec, 20) == write_request(tail, bundle.id, sent).ByteSize()
    whole = open_span(bundle, SpanSpec(0, 2, (2,)), ONE_THREAD).run(image)["logits_2"]
    np.testing.assert_allclose(logits, whole, rtol=0, atol={"fp32": 1e-6, "fp16": 1e-3, "uint8": 2e-2}[codec])
