"""Real nodes whose plans and bundles are changed under load: no request fails, and each is answered by one of them."""

import signal
from pathlib import Path

import numpy as np
import onnx
import pytest
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from command_line import Node, running
from load import WAIT, Load, Made, made_by
from offramp.artifacts.bundle import Bundle, digest
from offramp.artifacts.manifest import GRAPH
from offramp.artifacts.plan import Plan
from offramp.client.describe import describe_edge
from offramp.data.image_set import Splits
from offramp.errors import UnknownModelError
from offramp.nodes.edge import Edge
from offramp.nodes.local_cloud import LocalCloud
from offramp.protocol.peer import Peer
from ports import HERE, held_port
from until import until

ENGINE = ("--runtime", "onnxruntime", "--precision", "fp32", "--threads", "1", "--no-http")
HERE_ALL = Plan.of(3, 1.0)  # every sample leaves at exit 3
THERE_ALL = Plan.checked(active=(), cut=4, codec="fp16")  # none does
HERE_ANSWERS, THERE_ANSWERS = frozenset({(3, "edge", False)}), frozenset({(9, "cloud", False)})


@pytest.fixture(scope="module")
def images(bundle: Bundle, digits: Splits) -> np.ndarray:
    """A small batch, so that many requests are under way."""
    return bundle.manifest.preprocessing.from_uint8(digits.test.images[:4])


@pytest.fixture(scope="module")
def other(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The same architecture with other weights."""
    model = onnx.load_from_string(bundle.graph)
    for tensor in model.graph.initializer:
        weights = onnx.numpy_helper.to_array(tensor)
        if weights.ndim > 1:
            tensor.CopyFrom(onnx.numpy_helper.from_array(weights * np.float32(0.9), tensor.name))
    graph = model.SerializeToString()
    manifest = bundle.manifest.model_copy(update={"files": {GRAPH: digest(graph)}})
    return Bundle.write(tmp_path_factory.mktemp("other"), manifest, graph)


def point(link: Path, to: Path) -> None:
    """Make a folder another in one step, as an operator does with `ln -s` and `mv -T`."""
    beside = link.with_name("beside")
    beside.symlink_to(to)
    beside.rename(link)


def lines(node: Node, words: str) -> list[str]:
    """What a node has said with these words in it."""
    return [line for line in list(node.output) if words in line]


def reload(node: Node, words: str) -> str:
    """Send SIGHUP, and give the line with these words that it says then."""
    before = len(lines(node, words))
    node.process.send_signal(signal.SIGHUP)
    until(lambda: len(lines(node, words)) > before)
    return lines(node, words)[-1].rstrip("\n")


def test_an_edge_follows_another_plan_without_a_pause(bundle: Bundle, images: np.ndarray, tmp_path: Path) -> None:
    """Each answer is made by one plan whole; a file that does not do changes nothing, and is said in one line."""
    file, here, there = tmp_path / "plan.json", HERE_ALL.model_dump_json(), THERE_ALL.model_dump_json()
    HERE_ALL.write(file)
    with running("cloud", str(bundle.path), "--port", "0", *ENGINE) as cloud:
        to = ("--plan", str(file), "--cloud", cloud.address())
        with running("edge", str(bundle.path), *to, "--port", "0", *ENGINE) as edge, Peer(edge.address()) as client:
            with Load(edge.address(), images) as load:
                assert load.next() == {Made(bundle.id, HERE_ANSWERS)}

                THERE_ALL.write(file)
                said = reload(edge, "reload")
                assert f"INFO reload: mem follows the plan {there}, and before it {here}; the bundles are the" in said
                assert load.next() == {Made(bundle.id, THERE_ANSWERS)}
                assert describe_edge(client).plan == THERE_ALL

                file.write_text("{")
                said = reload(edge, "reload")
                assert f"ERROR reload: {file}: not a JSON document" in said
                assert said.endswith(" All goes on as it was.")
                Plan.of(12, 0.3).write(file)
                assert "ERROR reload: exit 12: mem has the exits 1, 2," in reload(edge, "reload")
                assert load.next() == {Made(bundle.id, THERE_ANSWERS)}
                assert describe_edge(client).plan == THERE_ALL

                HERE_ALL.write(file)
                assert f"follows the plan {here}, and before it {there}" in reload(edge, "reload")
                assert load.next() == {Made(bundle.id, HERE_ANSWERS)}
            assert load.all == {Made(bundle.id, HERE_ANSWERS), Made(bundle.id, THERE_ANSWERS)}
            assert edge.stop() == 0


def test_a_plan_that_no_cloud_can_finish_is_not_followed(
    bundle: Bundle, other: Bundle, images: np.ndarray, tmp_path: Path
) -> None:
    """Where nobody is there who could, and nothing would be answered; or who is there holds another bundle."""
    file = tmp_path / "plan.json"
    HERE_ALL.write(file)
    with held_port() as port:
        at = f"{HERE}:{port}"
        to = ("--plan", str(file), "--cloud", at, "--cloud-wait", "3", "--no-degraded")
        with running("edge", str(bundle.path), *to, "--port", "0", *ENGINE) as edge, Peer(edge.address()) as client:
            edge.address()
            THERE_ALL.write(file)
            said = reload(edge, "reload")
            assert f"ERROR reload: {at} does not answer (waited 3 s)." in said
            assert "By this edge's plan, nothing is answered without it. All goes on as it was." in said
            with running("cloud", str(other.path), "--port", str(port), *ENGINE) as wrong:
                wrong.address()
                assert f"ERROR reload: cloud {at} serves bundle {other.id}" in reload(edge, "reload")
                assert describe_edge(client, WAIT).plan == HERE_ALL
            with running("cloud", str(bundle.path), "--port", str(port), *ENGINE) as right:
                right.address()
                reload(edge, "follows the plan")
                with Load(edge.address(), images) as load:
                    assert load.next() == {Made(bundle.id, THERE_ANSWERS)}


def test_an_edge_by_options_has_no_plan_to_read_again(bundle: Bundle) -> None:
    """It says so, and goes on."""
    with running("edge", str(bundle.path), "--exit", "9", "--threshold", "1", "--port", "0", *ENGINE) as edge:
        edge.address()
        assert reload(edge, "reload").endswith("INFO reload: no --plan FILE to read again; the bundles are the same")
        assert edge.stop() == 0


def test_a_cloud_serves_what_its_folders_hold_now_beside_what_they_held(
    bundle: Bundle, other: Bundle, images: np.ndarray, tmp_path: Path
) -> None:
    """Until the next reload, on every worker; where one does not open, all stays as it was, and one line says so."""
    link = tmp_path / "network"
    point(link, bundle.path)
    options = ("--port", "0", "--workers", "2", *ENGINE)
    with running("cloud", str(link), *options) as cloud, Peer(cloud.address(), alone=True) as client:

        def answered(version: str) -> int:
            return len(client.infer("tail-0", {"image": images}, timeout=WAIT, version=version).outputs["logits_9"])

        assert answered(bundle.id) == len(images)
        point(link, other.path)
        moved = f"INFO reload: opened bundle {other.id}; until the next reload bundle {bundle.id}\n"
        cloud.process.send_signal(signal.SIGHUP)
        until(lambda: len(lines(cloud, moved)) == 2)
        assert client.metadata("tail-0", WAIT).versions == (other.id, bundle.id)
        assert answered(bundle.id) == answered(other.id) == len(images)

        point(link, tmp_path / "nothing")
        assert f"ERROR reload: {link}: not a bundle" in reload(cloud, "ERROR")
        assert answered(bundle.id) == answered(other.id) == len(images)

        point(link, other.path)
        cloud.process.send_signal(signal.SIGHUP)
        until(lambda: len(lines(cloud, f"INFO reload: let go bundle {bundle.id}\n")) == 2)
        assert client.metadata("tail-0", WAIT).versions == (other.id,)
        with pytest.raises(UnknownModelError):
            answered(bundle.id)
        assert len(lines(cloud, "reload: ")) == 5
        assert cloud.stop() == 0


def test_bundles_are_changed_edge_by_edge_under_load(
    bundle: Bundle, other: Bundle, images: np.ndarray, tmp_path: Path
) -> None:
    """Each answer is one bundle's whole, on edge and cloud; who asks for the old one by its id gets it for a while."""
    at_cloud, first, second = folders = [tmp_path / name for name in ("cloud", "first", "second")]
    for folder in folders:
        point(folder, bundle.path)
    expected = {one.id: Edge(one, THERE_ALL, LocalCloud(one)).infer(images).probabilities for one in (bundle, other)}
    assert np.abs(expected[bundle.id] - expected[other.id]).max() > 0.05
    old, new = (Made(one.id, THERE_ANSWERS) for one in (bundle, other))
    moved = f"opened bundle {other.id}; until the next reload bundle {bundle.id}"
    with running("cloud", str(at_cloud), "--port", "0", *ENGINE) as cloud:
        to = ("--cut", "4", "--codec", "fp16", "--cloud", cloud.address(), "--port", "0", *ENGINE)
        with running("edge", str(first), *to) as one, running("edge", str(second), *to) as two:
            with (
                Load(one.address(), images, expected) as load_one,
                Load(two.address(), images, expected) as load_two,
                InferenceServerClient(one.address()) as client,
            ):
                point(first, other.path)
                assert f" serves bundle {bundle.id}, and this edge holds {other.id}" in reload(one, "ERROR reload")
                point(at_cloud, other.path)
                reload(cloud, moved)
                assert load_one.next() == load_two.next() == {old}

                reload(one, moved)
                assert load_one.next() == {new}
                assert load_two.next() == {old}
                assert made_by(client, images, bundle.id, expected) == old
                point(second, other.path)
                reload(two, moved)
                assert load_two.next() == {new}

                # The cloud lets the old one go: what asks for that is answered without it, and the rest as before.
                reload(cloud, f"let go bundle {bundle.id}")
                assert made_by(client, images, bundle.id) == Made(bundle.id, frozenset({(9, "edge", True)}))
                assert load_one.next() == load_two.next() == {new}
                reload(one, f"let go bundle {bundle.id}")
                with pytest.raises(InferenceServerException, match="this node serves version"):
                    made_by(client, images, bundle.id)
                assert load_one.next() == {new}
            assert load_one.all == load_two.all == {old, new}
            assert [node.stop() for node in (one, two, cloud)] == [0, 0, 0]
