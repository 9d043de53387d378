"""Real node processes under bad input and lost neighbours."""

import http.client
import json
import math
import shutil
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tritonclient.grpc import InferenceServerClient, InferenceServerException, InferInput

from command_line import Node, edge_and_cloud, running
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.plan import Plan
from offramp.data.image_set import Splits
from offramp.errors import LinkError, UnreachableError
from offramp.protocol.peer import Peer
from ports import HERE, held_port
from processes import computing, stop
from until import until

PORTABLE = ("--port", "0", "--runtime", "onnxruntime", "--precision", "fp32")


@pytest.fixture(scope="module")
def address(bundle: Bundle) -> Iterator[str]:
    """A running edge with its cloud."""
    with edge_and_cloud(bundle.path, Plan.of(3, 0.3)) as edge:
        yield edge


@pytest.fixture
def triton(address: str) -> Iterator[InferenceServerClient]:
    """Somebody else's client of the protocol, unmodified."""
    with InferenceServerClient(address) as client:
        yield client


def image(array: np.ndarray, datatype: str = "FP32", name: str = "image") -> InferInput:
    """An input of tritonclient."""
    tensor = InferInput(name, list(array.shape), datatype)
    tensor.set_data_from_numpy(array)
    return tensor


def good(count: int = 4) -> np.ndarray:
    """A batch that the network takes."""
    return np.full((count, 1, 16, 16), 0.5, np.float32)


BAD = {
    "shape": (
        np.zeros((2, 1, 8, 8), np.float32),
        "image: expected shape (N, 1, 16, 16), batch first, got (2, 1, 8, 8).",
    ),
    "rank": (
        np.zeros((1, 16, 16), np.float32),
        "image: expected shape (N, 1, 16, 16), batch first, got (1, 16, 16).",
    ),
    "zero batch": (
        np.zeros((0, 1, 16, 16), np.float32),
        "image: the batch is empty (N = 0). Send at least one sample.",
    ),
    "NaN": (
        np.where(np.arange(4)[:, None, None, None] == 2, np.float32(np.nan), good()),
        "image: sample 2 of the batch holds NaN or infinity. Remove it and send the rest.",
    ),
    "range": (
        good() * 255,
        "image: expected values in [0, 1], got 127.5 to 127.5. Divide 8-bit values by 255.",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_batch_is_an_invalid_argument_and_the_next_good_one_is_answered(
    triton: InferenceServerClient, case: str
) -> None:
    """The message says what was expected and what came; the node goes on."""
    batch, message = BAD[case]
    with pytest.raises(InferenceServerException) as caught:
        triton.infer("classifier", [image(batch)], client_timeout=30)
    assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"
    assert caught.value.message() == message

    assert triton.infer("classifier", [image(good())], client_timeout=30).as_numpy("label").shape == (4,)


def test_a_wrong_dtype_is_an_invalid_argument(triton: InferenceServerClient) -> None:
    """Integers are not scaled behind the caller's back."""
    with pytest.raises(InferenceServerException) as caught:
        triton.infer("classifier", [image(np.zeros((1, 1, 16, 16), np.int32), "INT32")], client_timeout=30)
    assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"
    assert caught.value.message() == "image: expected float32 (FP32), got int32. Scale 8-bit images to [0, 1]."


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"threshold": 1.5},
            "threshold 1.5: expected a number in [0, 1]. A sample leaves when its score is below the threshold: at 0 "
            "none does.",
        ),
        ({"threshold": "high"}, "parameter 'threshold': expected a number, got 'high'."),
        ({"exit": 12}, "exit 12: mem has the exits 1, 2, 3, 4, 5, 6, 7, 8, 9. Choose one of them."),
    ],
)
def test_a_bad_parameter_is_an_invalid_argument(
    triton: InferenceServerClient, parameters: dict[str, object], message: str
) -> None:
    """A threshold outside [0, 1] or an exit that the model lacks is refused, by name."""
    with pytest.raises(InferenceServerException) as caught:
        triton.infer("classifier", [image(good())], parameters=parameters, client_timeout=30)
    assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"
    assert caught.value.message() == message


def test_an_unknown_model_is_not_found(triton: InferenceServerClient) -> None:
    """And the message names the model that there is."""
    with pytest.raises(InferenceServerException) as caught:
        triton.infer("resnet", [image(good())], client_timeout=30)
    assert caught.value.status() == "StatusCode.NOT_FOUND"
    assert caught.value.message() == "model 'resnet': unknown here. This node serves classifier."


def test_a_message_over_the_bound_is_refused_and_the_node_goes_on(bundle: Bundle) -> None:
    """Sizes are bounded before memory is taken."""
    plan = ("--exit", "9", "--threshold", "0.5", *PORTABLE, "--max-batch", "8")
    with running("edge", str(bundle.path), *plan) as edge, InferenceServerClient(edge.address()) as client:
        with pytest.raises(InferenceServerException) as caught:
            client.infer("classifier", [image(good(512))], client_timeout=30)
        assert caught.value.status() == "StatusCode.RESOURCE_EXHAUSTED"
        assert client.infer("classifier", [image(good(8))], client_timeout=30).as_numpy("exit").tolist() == [9] * 8


def test_a_node_is_healthy_and_ready_once_it_answers(address: str, triton: InferenceServerClient) -> None:
    """Protocol readiness and grpc.health.v1 say the same."""
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("classifier")
    with grpc.insecure_channel(address) as channel:
        health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
    assert health.status == health_pb2.HealthCheckResponse.SERVING


def test_a_port_in_use_is_said(bundle: Bundle, refusal: Callable[..., str]) -> None:
    """Two nodes never share a port unnoticed."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        message = refusal("serve", "cloud", str(bundle.path), "--port", port)
    assert message == (
        f"cannot listen on 127.0.0.1:{port}: the port is taken, or the host is not this machine's. "
        "Choose another with --port (HTTP is one below it, or --http-port), or stop what listens there."
    )


def test_a_cloud_that_is_not_there_at_start_is_said(bundle: Bundle, refusal: Callable[..., str]) -> None:
    """An edge that answers nothing without it does not pretend to be ready."""
    with held_port() as port:
        where = f"{HERE}:{port}"
        message = refusal(
            "serve",
            "edge",
            str(bundle.path),
            "--exit",
            "3",
            "--threshold",
            "0",
            "--cloud",
            where,
            "--cloud-wait",
            "1",
            "--no-degraded",
        )
    assert message == (
        f"{where} does not answer (waited 1 s). Start it, or check the address and the network. By this edge's plan, "
        "nothing is answered without it."
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--cloud", "http://10.0.0.7:8000"),
            "address 'http://10.0.0.7:8000': expected HOST:PORT and no URL, like 10.0.0.7:8001: the port of the gRPC "
            "side, which is one above HTTP's where nothing else was said.",
        ),
        (
            ("--cloud", "10.0.0.7"),
            "address '10.0.0.7': expected HOST:PORT with a port from 1 to 65535, like 127.0.0.1:8001 or [::1]:8001.",
        ),
    ],
)
def test_an_address_that_is_none_is_said_at_once(
    options: tuple[str, ...], message: str, refusal: Callable[..., str]
) -> None:
    """Before a bundle is looked for, and before anybody waits."""
    assert refusal("serve", "edge", "nowhere", "--threshold", "0.3", *options) == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--cloud-timeout", "0", "--cloud", "a:1"), "cloud timeout 0: expected seconds above 0."),
        (
            ("--ready-needs-cloud",),
            "ready needs cloud: this edge has none. Name one (--cloud HOST:PORT), or leave it out.",
        ),
    ],
)
def test_an_option_that_cannot_be_is_said(
    bundle: Bundle, options: tuple[str, ...], message: str, refusal: Callable[..., str]
) -> None:
    """What, and what would be."""
    assert refusal("serve", "edge", str(bundle.path), "--threshold", "0.3", *options) == message


def test_an_edge_starts_without_its_cloud_and_finds_it_later(bundle: Bundle, digits: Splits, tmp_path: Path) -> None:
    """What it is sure of is answered; it says what it misses, checks who comes, and its readiness follows, if asked."""
    other, sure = _other_bundle(bundle, tmp_path / "other"), {"exit": 9}
    page = {"Origin": "https://app.example"}
    with held_port() as port:
        needs = ("--cloud-wait", "0", "--ready-needs-cloud", "--cors-origin", page["Origin"], "--root-path", "/vision")
        with (
            running("edge", str(bundle.path), *_forwarding(port, "0.3"), *needs) as edge,
            Peer(edge.address()) as client,
        ):
            assert "(not there yet)" in " ".join(edge.words)
            sent = 4 * math.prod(bundle.manifest.tensors(3)["features_3"])
            assert _said(
                edge, f"mem: what goes on at cut 3 in fp32 is {sent:,} bytes a sample, and the image is 256 in"
            )
            assert set(client.infer("classifier", {"image": good()}, timeout=30, parameters=sure).outputs["tier"]) == {
                b"edge"
            }
            status, answer, headers = _http(edge, "/vision/v2/health/ready", page)
            assert (status, f"{HERE}:{port} does not answer" in answer["error"]) == (503, True)
            assert headers["access-control-allow-origin"] == page["Origin"]
            assert _health(edge) == health_pb2.HealthCheckResponse.NOT_SERVING
            with InferenceServerClient(edge.address()) as triton:
                assert (triton.is_server_live(), triton.is_server_ready()) == (True, False)
                assert not triton.is_model_ready("classifier")
            with running("cloud", str(other.path), *_at(port)) as impostor:
                impostor.address()
                until(lambda: _said(edge, "cloud refused"))
                assert _http(edge, "/v2/health/ready")[0] == 503
            with running("cloud", str(bundle.path), *_at(port)):
                until(lambda: _http(edge, "/v2/health/ready")[0] == 200)
                assert _http(edge, "/v2/models/classifier/ready")[0] == 200
                assert _health(edge) == health_pb2.HealthCheckResponse.SERVING
                assert set(_until_reached(client)) == {b"cloud"}
            until(lambda: _http(edge, "/v2/health/ready")[0] == 503)
            assert edge.stop() == 0
    lines = [line for line in edge.output if " cloud " in line and not line.startswith("ready")]
    assert [words[2:5] for words in map(str.split, lines)] == [
        ["WARNING", "cloud", "lost:"], ["ERROR", "cloud", "refused:"], ["INFO", "cloud", "back:"],
        ["WARNING", "cloud", "lost:"],
    ], lines  # fmt: skip
    assert f"serves bundle {other.id}, and this edge holds {bundle.id}" in lines[1]


def test_an_edge_waits_for_a_cloud_that_comes_later(bundle: Bundle) -> None:
    """Nodes may be started in any order."""
    with (
        held_port() as port,
        running("edge", str(bundle.path), *_forwarding(port, "0.3"), "--cloud-wait", "60") as edge,
        running("cloud", str(bundle.path), *_at(port)) as cloud,
    ):
        cloud.address()
        assert edge.address()


def test_a_cloud_with_another_bundle_is_refused_at_start(
    bundle: Bundle, tmp_path: Path, refusal: Callable[..., str]
) -> None:
    """Features of one network mean nothing to another."""
    other = _other_bundle(bundle, tmp_path / "other")
    with running("cloud", str(other.path), *PORTABLE) as cloud:
        where = cloud.address()
        edge = ("--exit", "3", "--threshold", "0.3", "--cloud", where, *PORTABLE)
        message = refusal("serve", "edge", str(bundle.path), *edge)
    assert message == (
        f"cloud {where} serves bundle {other.id}, and this edge holds {bundle.id} ({bundle.path}). "
        "Give both nodes the same bundle."
    )


def test_a_cloud_that_comes_back_with_another_bundle_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    """The check holds for every request, not for the first only."""
    other = _other_bundle(bundle, tmp_path / "other")
    with held_port() as port, running("cloud", str(bundle.path), *_at(port)) as cloud:
        cloud.address()
        with (
            running("edge", str(bundle.path), *_forwarding(port, "0"), "--no-degraded") as edge,
            Peer(edge.address()) as client,
        ):
            assert len(client.infer("classifier", {"image": good()}, timeout=30).outputs["label"]) == 4
            assert cloud.stop() == 0
            with running("cloud", str(other.path), *_at(port)) as impostor:
                impostor.address()
                with pytest.raises(LinkError, match="The two nodes hold different bundles: give both the same one"):
                    _until_reached(client)


def test_a_cloud_lost_later_is_said_and_local_exits_go_on(bundle: Bundle, digits: Splits) -> None:
    """What leaves at the edge is answered; what needs the cloud is UNAVAILABLE; a new cloud is found again.

    That is with `--no-degraded`. Of one that is there and says nothing, a request that names no time waits as long as
    the edge was told.
    """
    pixels = bundle.manifest.preprocessing.from_uint8(digits.test.images[:32])
    with held_port() as port, running("cloud", str(bundle.path), *_at(port)) as cloud:
        where = cloud.address()
        with (
            running(
                "edge", str(bundle.path), *_forwarding(port, "0.3"), "--cloud-timeout", "0.5", "--no-degraded"
            ) as edge,
            Peer(edge.address()) as client,
        ):
            stop(cloud.process.pid)
            status, answer, _ = _http(edge, "/v2/models/classifier/infer", body=_pixels(threshold=0.0))
            assert (status, f"{where} did not answer within the deadline" in answer["error"]) == (504, True)
            cloud.process.kill()
            cloud.process.wait(30)

            with pytest.raises(UnreachableError) as caught:
                client.infer("classifier", {"image": pixels}, timeout=30, parameters={"threshold": 0.0})
            assert f"{where} does not answer" in str(caught.value)
            assert "32 of 32 samples are not sure enough at exit 3 to be answered without it." in str(caught.value)

            tiers = client.infer("classifier", {"image": pixels}, timeout=30, parameters={"exit": 9}).outputs["tier"]
            assert set(tiers) == {b"edge"}

            with running("cloud", str(bundle.path), *_at(port)) as again:
                again.address()
                tiers = _until_reached(client)
            assert set(tiers) == {b"cloud"}


def test_sigterm_lets_requests_in_flight_finish(bundle: Bundle) -> None:
    """A node that is told to stop answers what it has taken on and exits with 0."""
    plan = ("--exit", "9", "--threshold", "0.5", *PORTABLE, "--threads", "1", "--max-batch", "4096")
    edge = running("edge", str(bundle.path), *plan)
    try:
        with Peer(edge.address()) as client:
            answered: list[int] = []
            begun = threading.Event()

            def ask() -> None:
                begun.set()
                outputs = client.infer("classifier", {"image": good(4096)}, timeout=60).outputs
                answered.append(len(outputs["label"]))

            client.infer("classifier", {"image": good(1)}, timeout=60)
            caller = threading.Thread(target=ask)
            busy = computing(edge.process.pid)
            caller.start()
            assert begun.wait(30)
            until(busy)  # the batch takes some hundred milliseconds of one core
            assert caller.is_alive(), "the batch was too small to be in flight"
            edge.process.send_signal(signal.SIGTERM)
            caller.join(60)
        assert answered == [4096]
        assert edge.process.wait(60) == 0
    finally:
        edge.stop()


def _said(edge: Node, words: str) -> bool:
    """Whether a node has said so."""
    return any(words in line for line in list(edge.output))


def _pixels(**parameters: Any) -> str:
    """A request of one image."""
    image = {"name": "image", "datatype": "FP32", "shape": [1, 1, 16, 16], "data": [0.5] * 256}
    return json.dumps({"inputs": [image], "parameters": parameters})


def _http(
    edge: Node, path: str, headers: dict[str, str] | None = None, body: str | None = None
) -> tuple[int, Any, dict[str, str]]:
    """Status, answer and headers of what is asked over HTTP."""
    host, _, port = edge.http_address().rpartition(":")
    client = http.client.HTTPConnection(host, int(port), timeout=30)
    client.request("GET" if body is None else "POST", path, body, headers or {})
    response = client.getresponse()
    status, answer = response.status, json.loads(response.read())
    client.close()
    return status, answer, dict(response.getheaders())


def _health(edge: Node) -> Any:
    """What the health service says."""
    with grpc.insecure_channel(edge.address()) as channel:
        asked = health_pb2.HealthCheckRequest()
        return health_pb2_grpc.HealthStub(channel).Check(asked, timeout=30).status


def _at(port: int) -> tuple[str, ...]:
    """Where a cloud listens, and nowhere else."""
    return ("--port", str(port), "--no-http", *PORTABLE[2:])


def _forwarding(port: int, threshold: str) -> tuple[str, ...]:
    """An edge that forwards there what is not sure enough at exit 3."""
    return ("--exit", "3", "--threshold", threshold, "--cloud", f"{HERE}:{port}", *PORTABLE)


def _until_reached(client: Peer) -> list[bytes]:
    """Send until the edge's connection is back: it tries again at most a second apart."""
    for _ in range(100):
        try:
            sent = client.infer("classifier", {"image": good()}, timeout=30, parameters={"threshold": 0.0})
        except UnreachableError:
            threading.Event().wait(0.1)
            continue
        return list(sent.outputs["tier"])
    raise AssertionError("the edge did not find the cloud again")


def _other_bundle(bundle: Bundle, folder: Path) -> Bundle:
    """The same graph under another manifest: another bundle."""
    shutil.copytree(bundle.path, folder)
    return Bundle.write(
        folder, bundle.manifest.model_copy(update={"model": "other"}), bundle.graph, None, bundle.self_test
    )
