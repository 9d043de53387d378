"""A cloud as an edge sees it: its versions, whoever made it."""

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import fields, replace
from typing import Any

import grpc
import numpy as np
import onnx
import pytest
from tritonclient.grpc import InferenceServerClient, InferenceServerException, InferInput, service_pb2_grpc
from tritonclient.grpc import service_pb2 as pb

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.engine import Engine
from offramp.artifacts.plan import Plan
from offramp.errors import BundleMismatchError, InputError, LinkError, OfframpError, UnreachableError
from offramp.exits.answers import Answers, Judged, Tier
from offramp.nodes.breaker import Breaker
from offramp.nodes.cloud import Tail
from offramp.nodes.contract import Reply
from offramp.nodes.edge import Edge
from offramp.nodes.edge_model import EdgeModel
from offramp.nodes.flight import Flight
from offramp.nodes.local_cloud import LocalCloud
from offramp.nodes.remote_cloud import PATIENCE, RemoteCloud
from offramp.nodes.route import Course
from offramp.nodes.sameness import Probe
from offramp.nodes.sent import Room
from offramp.protocol.served import Array, Call, Result
from offramp.protocol.server import Server
from offramp.protocol.tensors import read_inputs, write_response
from offramp.runtime.choice import Choice
from offramp.runtime.open import open_span
from offramp.runtime.span import SpanSpec

ONE_THREAD = Engine(threads=1)

WAIT = 30.0  # seconds after which a test that hangs fails


def course(*of: Any, **but: Any) -> Course:
    """A plan that an edge follows, which has run already what it runs by it."""
    return Course(Plan.of(*of, **but))


COURSE = course(3, 0.3)


class Other(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """Another maker's server of `tail-3` in one version, which it lists or not; it answers for others all the same."""

    def __init__(
        self,
        *,
        lists: bool,
        ready: bool = True,
        rows: int | None = None,
        gives: tuple[str, ...] = ("logits_9",),
        classes: int = 10,
        logits: Array | None = None,
        refuses: str = "",
        tail: Callable[[Array], Array] | None = None,
        precision: str = "",
        most: int = 0,
    ) -> None:
        self.lists, self.ready, self.rows, self.gives, self.classes = lists, ready, rows, gives, classes
        self.logits, self.refuses, self.tail, self.precision, self.most = logits, refuses, tail, precision, most
        self.versions: list[str] = []  # that requests named

    def ServerReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        return pb.ServerReadyResponse(ready=True)

    def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        return pb.ModelReadyResponse(ready=self.ready)

    def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.name != "tail-3" or request.version not in {"", "1"}:
            context.abort(grpc.StatusCode.NOT_FOUND, "there is no such model.")
        return pb.ModelMetadataResponse(name="tail-3", versions=["1"] if self.lists else [])

    def ModelConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        if not self.precision and not self.most:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "none.")
        answer = pb.ModelConfigResponse()
        answer.config.max_batch_size = self.most
        for name, value in {"runtime": "other 1", "precision": self.precision, "hardware": "other"}.items():
            answer.config.parameters[name].string_value = value
        return answer

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.versions.append(request.model_version)
        if self.most and request.inputs[0].shape[0] > self.most:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "too large a batch.")
        if self.refuses:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, self.refuses)
        if self.tail is not None:
            (sent,) = read_inputs(request).values()
            return write_response("tail-3", "1", {"logits_9": self.tail(sent)}, {}, "")
        if self.logits is not None:
            return write_response("tail-3", "1", {"logits_9": self.logits}, {}, "")
        rows = request.inputs[0].shape[0] if self.rows is None else self.rows
        response = pb.ModelInferResponse(model_name="tail-3")
        for name in self.gives:
            output = response.outputs.add(name=name, datatype="FP32", shape=[rows, self.classes])
            output.contents.fp32_contents.extend(range(rows * self.classes))
        return response


@contextmanager
def serving(servicer: Other, port: int = 0) -> Iterator[int]:
    """Such a server, and its port."""
    server = grpc.server(ThreadPoolExecutor(2))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield port
    finally:
        server.stop(WAIT).wait(WAIT)


@contextmanager
def cloud_of(bundle: Bundle, servicer: Other, version: str | None) -> Iterator[RemoteCloud]:
    """Such a server as an edge's cloud."""
    with serving(servicer) as port:
        cloud = RemoteCloud(bundle, f"127.0.0.1:{port}", version)
        try:
            yield cloud
        finally:
            cloud.close()


def features(bundle: Bundle, rows: int = 2) -> Flight:
    """A batch at boundary 3."""
    sent = np.zeros((rows, *bundle.manifest.tensors(3)["features_3"]), np.float32)
    return Flight(COURSE, np.arange(rows), {"features_3": sent}, rows)


def tail_of(bundle: Bundle) -> Callable[[Array], Array]:
    """What a bundle makes of features at boundary 3."""
    span = open_span(bundle, SpanSpec(3, 9, (9,)), ONE_THREAD)
    return lambda sent: span.run(sent)["logits_9"]


def with_other_weights(bundle: Bundle) -> Bundle:
    """The same network after another training."""
    model, drawn = onnx.load_model_from_string(bundle.graph), np.random.default_rng(0)
    for tensor in model.graph.initializer:
        weights = onnx.numpy_helper.to_array(tensor)
        if weights.dtype == np.float32 and weights.ndim > 1:
            other = drawn.permutation(weights.reshape(-1)).reshape(weights.shape)
            tensor.CopyFrom(onnx.numpy_helper.from_array(other, tensor.name))
    return replace(bundle, graph=model.SerializeToString())


@pytest.mark.parametrize("lists", [True, False])
@pytest.mark.parametrize("version", ["1", ""])
def test_a_cloud_of_another_maker_is_asked_by_its_own_version(bundle: Bundle, lists: bool, version: str) -> None:
    """Or by none; typed answers are read as raw ones are."""
    servicer = Other(lists=lists, tail=tail_of(bundle))
    with cloud_of(bundle, servicer, version) as cloud:
        cloud.check(COURSE, WAIT)
        servicer.tail = None
        finished = cloud.finish(features(bundle), WAIT).result(WAIT)
    assert servicer.versions == [version, version]
    assert finished.answers is not None
    expected = Judged.of(np.arange(20).reshape(2, 10), "entropy").answers(9, Tier.CLOUD)
    for field in fields(Answers):
        assert np.array_equal(getattr(finished.answers, field.name), getattr(expected, field.name))


def test_a_cloud_that_takes_little_at_once_is_asked_more_often(bundle: Bundle) -> None:
    """As Triton says it, of which more would be an error: the images that show what it computes go so too."""
    servicer = Other(lists=True, tail=tail_of(bundle), most=3)
    with cloud_of(bundle, servicer, "1") as cloud:
        cloud.check(COURSE, WAIT)
        assert len(servicer.versions) == 2  # for four images
        finished = cloud.finish(features(bundle, 7), WAIT).result(WAIT)
    assert len(servicer.versions) == 5
    assert finished.answers is not None
    assert len(finished.answers) == 7


def test_a_version_that_is_not_listed_is_said(bundle: Bundle) -> None:
    """With those that are."""
    with cloud_of(bundle, Other(lists=True), "2") as cloud, pytest.raises(BundleMismatchError) as caught:
        cloud.check(COURSE, WAIT)
    assert str(caught.value) == (
        f"cloud {cloud.client.address} serves tail-3 in version 1, and this edge asks for version 2. Name the right "
        "one with --cloud-version."
    )


def test_a_version_that_is_not_there_is_said(bundle: Bundle) -> None:
    """By a server that lists none."""
    with cloud_of(bundle, Other(lists=False), None) as cloud, pytest.raises(BundleMismatchError) as caught:
        cloud.check(COURSE, WAIT)
    address = cloud.client.address
    assert str(caught.value) == (
        f"cloud {address} does not serve tail-3 in version {bundle.id} ({address}: there is no such model.). A server "
        "of another maker has versions of its own: name its with --cloud-version."
    )


def test_a_bundle_that_is_not_listed_is_said(bundle: Bundle) -> None:
    """A cloud of our own lists the bundles that it serves."""
    with cloud_of(bundle, Other(lists=True), None) as cloud, pytest.raises(BundleMismatchError) as caught:
        cloud.check(COURSE, WAIT)
    assert str(caught.value) == (
        f"cloud {cloud.client.address} serves bundle 1, and this edge holds {bundle.id} ({bundle.path}). Give both "
        "nodes the same bundle."
    )


def test_a_cloud_with_other_weights_is_refused(bundle: Bundle, refusal: Callable[..., str]) -> None:
    """Whatever version it calls itself, by how far off it is and where: the edge does not start."""
    other = tail_of(with_other_weights(bundle))
    probe = Probe.of(bundle, 3, "fp32", ONE_THREAD)
    (sent,) = probe.features.values()
    apart = np.abs(other(sent) - probe.logits)
    sample, label = np.unravel_index(apart.argmax(), apart.shape)
    with serving(Other(lists=True, tail=other)) as port:
        options = ("--exit", "3", "--threshold", "0.3", "--port", "0", "--no-http", "--runtime", "onnxruntime")
        said = refusal(
            *("serve", "edge", str(bundle.path), *options), "--cloud", f"127.0.0.1:{port}", "--cloud-version", "1"
        )
    assert said == (
        f"cloud 127.0.0.1:{port} computes another network: logits_9 of 4 images are off by "
        f"{apart.max() / np.abs(probe.logits).max():.2g} of the largest (tolerance 0.2), most in class '{label}': "
        f"{other(sent)[sample, label]:.4g} in place of {probe.logits[sample, label]:.4g}. Serve the edge's bundle "
        f"there: {bundle.path}"
    )


def test_a_cloud_with_its_classes_in_another_order_is_refused(bundle: Bundle) -> None:
    """The right weights, and every label wrong."""
    right = tail_of(bundle)
    servicer = Other(lists=True, tail=lambda sent: np.roll(right(sent), 1, axis=1))
    with cloud_of(bundle, servicer, "1") as cloud, pytest.raises(BundleMismatchError, match="computes another network"):
        cloud.check(COURSE, WAIT)


@pytest.mark.parametrize(("precision", "off", "accepted"), [
    ("", 0.15, True), ("bf16", 0.05, True), ("fp4", 0.15, True), ("fp32", 1e-5, True), ("fp32", 0.01, False),
    ("bf16", 0.2, False),
])  # fmt: skip
def test_a_cloud_is_held_to_the_precision_that_it_names(
    bundle: Bundle, precision: str, off: float, accepted: bool
) -> None:
    """One that names none may be of any."""
    right = tail_of(bundle)
    servicer = Other(
        lists=True, precision=precision, tail=lambda sent: (made := right(sent)) + np.float32(off) * np.abs(made).max()
    )
    with cloud_of(bundle, servicer, "1") as cloud:
        if accepted:
            cloud.check(COURSE, WAIT)
        else:
            with pytest.raises(BundleMismatchError, match="computes another network"):
                cloud.check(COURSE, WAIT)


def test_a_cloud_shows_what_it_computes_once_until_it_was_gone(bundle: Bundle) -> None:
    """Another one may have come back in its place."""
    first = Other(lists=True, tail=tail_of(bundle))
    with serving(first) as port:
        cloud = RemoteCloud(bundle, f"127.0.0.1:{port}", "1")
        for _ in range(3):
            cloud.check(COURSE, WAIT)
    assert len(first.versions) == 1
    with pytest.raises(UnreachableError):
        cloud.check(COURSE, 0.2)
    with serving(Other(lists=True, tail=tail_of(with_other_weights(bundle))), port):
        for _ in range(2):
            with pytest.raises(BundleMismatchError, match="computes another network"):
                cloud.check(COURSE, WAIT)
    cloud.close()


def test_a_cloud_that_is_lost_by_a_request_shows_again_what_it_computes(bundle: Bundle) -> None:
    """Whoever noticed that it was gone."""
    first, second = (Other(lists=True, tail=tail_of(bundle)) for _ in range(2))
    with serving(first) as port:
        cloud = RemoteCloud(bundle, f"127.0.0.1:{port}", "1")
        cloud.check(COURSE, WAIT)
    with pytest.raises(UnreachableError):
        cloud.finish(features(bundle), WAIT).result(WAIT)
    with serving(second, port):
        cloud.check(COURSE, WAIT)
    cloud.close()
    assert len(second.versions) == 1


def test_a_tail_that_is_not_served_is_said(bundle: Bundle) -> None:
    """Another cut, or another network."""
    with cloud_of(bundle, Other(lists=True), "1") as cloud, pytest.raises(BundleMismatchError) as caught:
        cloud.check(course(4, 0.3), WAIT)
    address = cloud.client.address
    assert str(caught.value) == (
        f"cloud {address} does not serve tail-4 ({address}: there is no such model.). Serve the edge's bundle there: "
        f"{bundle.path}"
    )


def test_a_tail_that_is_not_ready_is_said(bundle: Bundle) -> None:
    """The edge does not start before it is."""
    with cloud_of(bundle, Other(lists=True, ready=False), "1") as cloud, pytest.raises(UnreachableError) as caught:
        cloud.check(COURSE, WAIT)
    assert str(caught.value) == f"{cloud.client.address} answers that model 'tail-3' is not ready. Look at its log."


def test_an_answer_of_other_rows_is_refused(bundle: Bundle) -> None:
    """They would be given to other samples."""
    with cloud_of(bundle, Other(lists=True, rows=1), "1") as cloud, pytest.raises(LinkError) as caught:
        cloud.finish(features(bundle), WAIT).result(WAIT)
    assert str(caught.value) == (
        f"cloud {cloud.client.address}: expected logits_9 of shape (2, 10), got shape (1, 10)."
    )


def spoilt(value: float) -> Array:
    """Logits of two samples, the second with such a value."""
    logits = np.zeros((2, 10), np.float32)
    logits[1, 3] = value
    return logits


STRANGE: dict[str, tuple[Array, str]] = {
    "NaN": (spoilt(np.nan), "logits_9 holds NaN or infinity, first in row 1 of 2. Look at its log."),
    "infinity": (spoilt(np.inf), "logits_9 holds NaN or infinity, first in row 1 of 2. Look at its log."),
    "minus infinity": (spoilt(-np.inf), "logits_9 holds NaN or infinity, first in row 1 of 2. Look at its log."),
    "strings": (np.full((2, 10), b"0.5", np.object_), "expected logits_9 as FP32, got BYTES."),
    "booleans": (np.zeros((2, 10), np.bool_), "expected logits_9 as FP32, got BOOL."),
    "whole numbers": (np.zeros((2, 10), np.int64), "expected logits_9 as FP32, got INT64."),
    "double precision": (np.zeros((2, 10)), "expected logits_9 as FP32, got FP64."),
    "too many rows": (np.zeros((3, 10), np.float32), "expected logits_9 of shape (2, 10), got shape (3, 10)."),
    "no rows": (np.zeros((0, 10), np.float32), "expected logits_9 of shape (2, 10), got shape (0, 10)."),
    "an axis less": (np.zeros(2, np.float32), "expected logits_9 of shape (2, 10), got shape (2,)."),
    "an axis more": (np.zeros((2, 10, 1), np.float32), "expected logits_9 of shape (2, 10), got shape (2, 10, 1)."),
}
BEHIND = " 2 of 2 samples are not sure enough at exit 3 to be answered without it."


@pytest.fixture(scope="module")
def strange(bundle: Bundle) -> Iterator[tuple[Server, Other]]:
    """An edge that leaves everything to a cloud of another maker, and that cloud."""
    servicer = Other(lists=True)
    with cloud_of(bundle, servicer, "1") as cloud:
        edge = Edge(bundle, Plan.of(3, 0.0), cloud, choice=Choice(ONE_THREAD), degraded=False)
        server = Server([EdgeModel(edge)], "127.0.0.1", 0, max_batch=8, http_port=0)
        server.start()
        yield server, servicer
        server.stop(0)


@pytest.mark.parametrize("case", STRANGE)
def test_an_answer_that_is_none_is_the_cloud_s_error(strange: tuple[Server, Other], case: str) -> None:
    """Never a label: 502 over HTTP, INTERNAL over gRPC, with what the cloud sent."""
    server, servicer = strange
    servicer.logits, message = STRANGE[case]
    status, answer = over_http(server)
    assert (status, answer["error"].partition(": ")[2]) == (502, message + BEHIND)
    image = InferInput("image", [2, 1, 16, 16], "FP32")
    image.set_data_from_numpy(np.zeros((2, 1, 16, 16), np.float32))
    with InferenceServerClient(server.address) as client, pytest.raises(InferenceServerException) as caught:
        client.infer("classifier", [image], client_timeout=WAIT)
    assert caught.value.status() == "StatusCode.INTERNAL"
    assert message in caught.value.message()
    servicer.logits = np.zeros((2, 10), np.float32)
    assert over_http(server)[0] == 200


def over_http(server: Server) -> tuple[int, Any]:
    """Status and answer for two images."""
    assert server.http is not None
    client = http.client.HTTPConnection("127.0.0.1", server.http.port, timeout=WAIT)
    pixels = {"name": "image", "datatype": "FP32", "shape": [2, 1, 16, 16], "data": [0.0] * 512}
    client.request("POST", "/v2/models/classifier/infer", json.dumps({"inputs": [pixels]}))
    response = client.getresponse()
    status, answer = response.status, json.loads(response.read())
    client.close()
    return status, answer


def test_what_a_cloud_does_not_take_is_its_error(bundle: Bundle) -> None:
    """The client's images were good: the edge looked. What a client names itself stays the client's."""
    with cloud_of(bundle, Other(lists=True, refuses="bad."), "1") as cloud:
        address = cloud.client.address
        with pytest.raises(LinkError) as caught:
            cloud.finish(features(bundle), WAIT).result(WAIT)
        assert str(caught.value) == f"cloud {address} does not take what this edge sends it: {address}: bad."
        with pytest.raises(InputError):
            cloud.finish(images(bundle), WAIT, None, "another").result(WAIT)
        with pytest.raises(InputError):
            cloud.finish(features(bundle), WAIT, Reply("t" * 16, "1")).result(WAIT)


def test_a_cloud_that_sends_no_direct_reply_is_said(bundle: Bundle) -> None:
    """It knows nothing of them and answers the edge: the client would wait for nobody."""
    with cloud_of(bundle, Other(lists=True), "1") as cloud, pytest.raises(LinkError) as caught:
        cloud.finish(features(bundle), WAIT, Reply("t" * 16, "1")).result(WAIT)
    assert str(caught.value) == f"cloud {cloud.client.address} sends no direct replies. Leave 'reply_to' out."


def images(bundle: Bundle) -> Flight:
    """Two of them, as they travel in 8 bits."""
    sent = np.zeros((2, *bundle.manifest.preprocessing.shape), np.uint8)
    return Flight(course(3, 0.3, cut=0, codec="uint8"), np.arange(2), {"image": sent}, 2)


def test_another_network_s_answer_is_of_its_own_last_exit(bundle: Bundle) -> None:
    """Asked by its version for this one call."""
    servicer = Other(lists=True, gives=("logits_5",))
    with cloud_of(bundle, servicer, None) as cloud:
        finished = cloud.finish(images(bundle), WAIT, None, "another").result(WAIT)
    assert servicer.versions == ["another"]
    assert finished.answers is not None
    assert finished.answers.exit.tolist() == [5, 5]
    assert finished.answers.probabilities.shape == (2, 10)


def test_the_edge_s_own_network_answers_at_its_own_last_exit(bundle: Bundle) -> None:
    """The other's would be another graph's."""
    with cloud_of(bundle, Other(lists=True, gives=("logits_5",)), None) as cloud, pytest.raises(LinkError) as caught:
        cloud.finish(features(bundle), WAIT).result(WAIT)
    assert str(caught.value) == f"cloud {cloud.client.address}: expected logits_9 of shape (2, 10), got nothing."


@pytest.mark.parametrize(
    ("gives", "found"),
    [((), "nothing"), (("logits_5", "logits_9"), "logits_5, logits_9"), (("logits_x",), "logits_x"), (("y",), "y")],
)
def test_an_answer_that_is_not_of_one_exit_is_refused(bundle: Bundle, gives: tuple[str, ...], found: str) -> None:
    """Which of them would be the network's?"""
    with cloud_of(bundle, Other(lists=True, gives=gives), None) as cloud, pytest.raises(LinkError) as caught:
        cloud.finish(images(bundle), WAIT, None, "another").result(WAIT)
    assert str(caught.value) == f"cloud {cloud.client.address}: expected the logits of one exit, got {found}."


def test_another_network_of_other_classes_is_refused(bundle: Bundle) -> None:
    """Its labels would be taken for the edge's."""
    servicer = Other(lists=True, gives=("logits_5",), classes=100)
    with cloud_of(bundle, servicer, None) as cloud, pytest.raises(LinkError) as caught:
        cloud.finish(images(bundle), WAIT, None, "another").result(WAIT)
    assert str(caught.value) == (
        f"cloud {cloud.client.address}: expected logits_5 of shape (2, 10), got shape (2, 100)."
    )


class Heard(Breaker):
    """Remembers what it is told of."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[OfframpError] = []

    def failed(self, error: OfframpError) -> None:
        """Remember."""
        self.heard.append(error)


class Waiting(Tail):
    """A tail that answers when its caller has gone."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle, 3)
        self.entered, self.left = threading.Event(), threading.Event()

    def infer(self, call: Call) -> Result:
        """Wait for the caller's end."""
        call.cancelled.told = self.left.set
        self.entered.set()
        assert self.left.wait(WAIT)
        return Result({})


@pytest.mark.parametrize("patience", [PATIENCE, 0.0])
def test_a_caller_that_goes_ends_its_request_in_the_cloud(bundle: Bundle, patience: float) -> None:
    """Its room is free at once, and a cloud that had most of the time for it is held to be late."""
    cloud, health, room = Waiting(bundle), Heard(), Room(1)
    server = Server([cloud], "127.0.0.1", 0, max_batch=4)
    server.start()
    try:
        with closing(RemoteCloud(bundle, server.address, health=health)) as remote:
            remote.patience = patience
            flight = features(bundle)
            answer = room.take(2, lambda: remote.finish(flight, 3600))  # no deadline ends it
            assert cloud.entered.wait(WAIT)
            assert room.out == 2
            assert answer.cancel()
            assert room.out == 0
            assert cloud.left.wait(WAIT)
    finally:
        server.stop(0.1)
    late = f"cloud {server.address} did not answer before its caller went."
    assert list(map(str, health.heard)) == ([] if patience else [late])


def test_a_cloud_in_the_same_process_has_one_network(bundle: Bundle) -> None:
    """Its own, which may be named."""
    cloud = LocalCloud(bundle, ONE_THREAD)
    assert cloud.finish(images(bundle), WAIT, None, bundle.id).result(WAIT).answers is not None
    with pytest.raises(InputError) as caught:
        cloud.finish(images(bundle), WAIT, None, "another").result(WAIT)
    assert str(caught.value) == "cloud_version 'another': this edge's cloud is in the same process. Leave it out."
