"""A cloud as an edge sees it: its versions, whoever made it."""

import http.client
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import grpc
import numpy as np
import pytest
from tritonclient.grpc import InferenceServerClient, InferenceServerException, InferInput, service_pb2_grpc
from tritonclient.grpc import service_pb2 as pb

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.engine import Engine
from offramp.artifacts.plan import Plan
from offramp.errors import BundleMismatchError, InputError, LinkError, UnreachableError
from offramp.exits.answers import Answers, Judged, Tier
from offramp.nodes.contract import Reply
from offramp.nodes.edge import Edge
from offramp.nodes.edge_model import EdgeModel
from offramp.nodes.flight import Flight
from offramp.nodes.route import Course
from offramp.nodes.upstream import LocalCloud, RemoteCloud
from offramp.protocol.served import Array
from offramp.protocol.server import Server
from offramp.protocol.tensors import write_response
from offramp.runtime.choice import Choice

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
    ) -> None:
        self.lists, self.ready, self.rows, self.gives, self.classes = lists, ready, rows, gives, classes
        self.logits, self.refuses = logits, refuses
        self.versions: list[str] = []  # that requests named

    def ServerReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        return pb.ServerReadyResponse(ready=True)

    def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        return pb.ModelReadyResponse(ready=self.ready)

    def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.name != "tail-3" or request.version not in {"", "1"}:
            context.abort(grpc.StatusCode.NOT_FOUND, "there is no such model.")
        return pb.ModelMetadataResponse(name="tail-3", versions=["1"] if self.lists else [])

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.versions.append(request.model_version)
        if self.refuses:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, self.refuses)
        if self.logits is not None:
            return write_response("tail-3", "1", {"logits_9": self.logits}, {}, "")
        rows = request.inputs[0].shape[0] if self.rows is None else self.rows
        response = pb.ModelInferResponse(model_name="tail-3")
        for name in self.gives:
            output = response.outputs.add(name=name, datatype="FP32", shape=[rows, self.classes])
            output.contents.fp32_contents.extend(range(rows * self.classes))
        return response


@contextmanager
def cloud_of(bundle: Bundle, servicer: Other, version: str | None) -> Iterator[RemoteCloud]:
    """Such a server as an edge's cloud."""
    server = grpc.server(ThreadPoolExecutor(2))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    cloud = RemoteCloud(bundle, f"127.0.0.1:{port}", version)
    try:
        yield cloud
    finally:
        cloud.close()
        server.stop(WAIT).wait(WAIT)


def features(bundle: Bundle, rows: int = 2) -> Flight:
    """A batch at boundary 3."""
    sent = np.zeros((rows, *bundle.manifest.tensors(3)["features_3"]), np.float32)
    return Flight(COURSE, np.arange(rows), {"features_3": sent}, rows)


@pytest.mark.parametrize("lists", [True, False])
@pytest.mark.parametrize("version", ["1", ""])
def test_a_cloud_of_another_maker_is_asked_by_its_own_version(bundle: Bundle, lists: bool, version: str) -> None:
    """Or by none; typed answers are read as raw ones are."""
    servicer = Other(lists=lists)
    with cloud_of(bundle, servicer, version) as cloud:
        cloud.check(COURSE, WAIT)
        finished = cloud.finish(features(bundle), WAIT).result(WAIT)
    assert servicer.versions == [version]
    assert finished.answers is not None
    expected = Judged.of(np.arange(20).reshape(2, 10), "entropy").answers(9, Tier.CLOUD)
    for field in fields(Answers):
        assert np.array_equal(getattr(finished.answers, field.name), getattr(expected, field.name))


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


def test_a_cloud_in_the_same_process_has_one_network(bundle: Bundle) -> None:
    """Its own, which may be named."""
    cloud = LocalCloud(bundle, ONE_THREAD)
    assert cloud.finish(images(bundle), WAIT, None, bundle.id).result(WAIT).answers is not None
    with pytest.raises(InputError) as caught:
        cloud.finish(images(bundle), WAIT, None, "another").result(WAIT)
    assert str(caught.value) == "cloud_version 'another': this edge's cloud is in the same process. Leave it out."
