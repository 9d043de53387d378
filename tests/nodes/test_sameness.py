"""How far apart logits may be for two to have computed the same network."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offramp.artifacts.bundle import SELF_TEST, Bundle, digest
from offramp.artifacts.codec import CODECS, Codec
from offramp.artifacts.engine import Engine, Precision
from offramp.artifacts.plan import Plan
from offramp.artifacts.preprocessing import Preprocessing
from offramp.artifacts.self_test import SelfTest, self_test_images
from offramp.errors import ArtifactDamagedError, ParityError
from offramp.nodes.cloud import tails
from offramp.nodes.edge import Edge
from offramp.nodes.sameness import Probe, Probes
from offramp.runtime.choice import Choice
from offramp.runtime.sameness import TOLERANCE, difference

CLASSES = ("cat", "dog")
RIGHT = np.array([[1.0, -4.0], [2.0, 0.5]], np.float32)


@pytest.mark.parametrize("precision", TOLERANCE)
def test_logits_may_differ_by_the_tolerance_of_the_largest(precision: Precision | None) -> None:
    """Beyond it, how far and where is said."""
    found = RIGHT.copy()
    found[1, 0] += 0.99 * 4 * TOLERANCE[precision]
    assert difference(found, RIGHT, CLASSES, precision, "logits_2") is None
    found[1, 0] = 2 + 1.01 * 4 * TOLERANCE[precision]
    assert difference(found, RIGHT, CLASSES, precision, "logits_2") == (
        f"logits_2 of 2 images are off by {1.01 * TOLERANCE[precision]:.2g} of the largest (tolerance "
        f"{TOLERANCE[precision]:g}), most in class 'cat': {found[1, 0]:.4g} in place of 2"
    )


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_different(value: float) -> None:
    """Whatever the tolerance."""
    found = RIGHT.copy()
    found[0, 1] = value
    said = difference(found, RIGHT, CLASSES, None, "logits_2")
    assert said is not None
    assert said.endswith(f"most in class 'dog': {value} in place of -4")


def test_the_images_are_the_same_everywhere() -> None:
    """Pinned: a node of another release makes these."""
    image = self_test_images(Preprocessing(channels=3, height=5, width=6))
    assert (image.shape, image.dtype) == ((4, 3, 5, 6), np.float32)
    pixels = np.rint(image * 255).astype(np.uint8)
    assert hashlib.sha256(pixels.tobytes()).hexdigest()[:16] == "e950476227f8450a"
    assert (image.min() >= 0, image.max() <= 1, len(np.unique(image)) > 100) == (True, True, True)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("cut", [0, 1])
def test_a_probe_is_what_crosses_the_cut_and_what_follows_of_it(skipping: Bundle, cut: int, codec: Codec) -> None:
    """In its codec, every tensor of the boundary; off by the codec's rounding from what the images give at once."""
    probe = Probe.of(skipping, cut, codec, Engine(threads=1))
    assert list(probe.features) == list(skipping.manifest.tensors(cut))
    dtype = {"fp32": np.float32, "fp16": np.float16, "uint8": np.uint8}[codec]
    assert {tensor.dtype for tensor in probe.features.values()} == {np.dtype(dtype)}
    whole = Probe.of(skipping, 0, "fp32", Engine(threads=1)).logits
    assert probe.logits.shape == (4, 3)
    within = {"fp32": 1e-5, "fp16": 1e-2, "uint8": 0.2}[codec]
    np.testing.assert_allclose(probe.logits, whole, rtol=0, atol=within * np.abs(whole).max())


def test_a_probe_is_made_once_of_the_graph_that_the_precision_takes(int8_bundle: Bundle) -> None:
    """Of the int8 graph for a cloud in int8, and of the fp32 graph for all others."""
    probes = Probes(int8_bundle)
    plain, quantized = probes.get(3, "fp32", "fp32"), probes.get(3, "fp32", "int8")
    assert probes.get(3, "fp32", "bf16") is probes.get(3, "fp32", None) is plain
    assert probes.get(3, "fp32", "int8") is quantized
    assert difference(quantized.logits, plain.logits, tuple("0123456789"), "fp32", "logits_9") is not None


def off_at(bundle: Bundle, path: Path, exit_: int) -> Bundle:
    """The same bundle, written as if the first class had been more likely at an exit where it was exported."""
    assert bundle.self_test is not None
    document = json.loads(bundle.self_test.to_json())
    for row in document["logits"]["fp32"][str(exit_)]:
        row[0] += 5
    changed = SelfTest.parse(json.dumps(document), "changed")
    files = bundle.manifest.files | {SELF_TEST: digest(changed.to_json().encode())}
    return Bundle.write(path, bundle.manifest.model_copy(update={"files": files}), bundle.graph, None, changed)


def test_a_cloud_that_computes_otherwise_than_at_export_does_not_start(
    bundle: Bundle, tmp_path: Path, refusal: Callable[..., str]
) -> None:
    """By its runtime or its processor: which, how far off, and what to do."""
    wrong = off_at(bundle, tmp_path / "wrong", 9)
    said = refusal("serve", "cloud", str(wrong.path), "--port", "0", "--runtime", "onnxruntime", "--precision", "fp32")
    assert said.startswith(
        f"{wrong.path}: {Engine().release} fp32 does not compute this network here: logits_9 of 4 images are off by "
    )
    assert "(tolerance 0.001), most in class '0': " in said
    assert said.endswith("as it was at export. Choose another runtime or precision (--runtime, --precision).")
    tails(bundle, choice=Choice(Engine(threads=1)))


def test_an_edge_looks_at_every_exit_of_its_plan(bundle: Bundle, tmp_path: Path) -> None:
    """One after another; what it does not run is not its concern."""
    wrong = off_at(bundle, tmp_path / "wrong", 5)
    plan = Plan.model_validate(
        {"tiers": {"edge": {"active": [{"exit": 3, "threshold": 0.1}, {"exit": 5, "threshold": 0.1}], "cut": 9}}}
    )
    with pytest.raises(ParityError, match="logits_5 of 4 images"):
        Edge(wrong, plan, threads=1)
    Edge(bundle, plan, threads=1)
    edge = Edge(wrong, Plan.of(9, 1.0), threads=1)
    with pytest.raises(ParityError, match="logits_5 of 4 images"):
        edge.follow(plan)
    assert edge.plan == Plan.of(9, 1.0)


@pytest.mark.parametrize("degraded", [True, False])
def test_a_relay_is_held_to_what_follows_of_its_features(bundle: Bundle, tmp_path: Path, degraded: bool) -> None:
    """It gives no logits itself: by its own way on, or by a tail that is opened for that alone, in every codec."""
    wrong = off_at(bundle, tmp_path / "wrong", 9)
    for codec in CODECS:
        plan = Plan.checked(active=(), cut=3, codec=codec)
        with pytest.raises(ParityError, match="logits_9 of 4 images"):
            Edge(wrong, plan, "127.0.0.1:1", threads=1, degraded=degraded)
        Edge(bundle, plan, "127.0.0.1:1", threads=1, degraded=degraded)


@pytest.mark.parametrize("cut", [0, 3])
def test_an_edge_s_way_on_without_its_cloud_is_looked_at_too(bundle: Bundle, tmp_path: Path, cut: int) -> None:
    """From the images on as well, where the cut lies before the exits."""
    wrong = off_at(bundle, tmp_path / "wrong", 5)
    plan = Plan.of(3, 0.3).but(cut=cut)
    with pytest.raises(ParityError, match="logits_5 of 4 images"):
        Edge(wrong, plan, "127.0.0.1:1", threads=1)
    Edge(wrong, plan, "127.0.0.1:1", threads=1, degraded=False)
    Edge(bundle, plan, "127.0.0.1:1", threads=1)


def test_an_int8_node_is_held_to_the_int8_graph(int8_bundle: Bundle) -> None:
    """Which may be far from the other, and is the network that was measured."""
    Edge(int8_bundle, Plan.of(9, 1.0), threads=1, precision="int8")
    assert int8_bundle.self_test is not None
    logits = int8_bundle.self_test.logits
    backwards = {exit_: tuple(row[::-1] for row in rows) for exit_, rows in logits["int8"].items()}
    wrong = replace(int8_bundle, self_test=SelfTest(logits=logits | {"int8": backwards}))
    with pytest.raises(ParityError, match=r"onnxruntime .* int8 does not compute this network here"):
        Edge(wrong, Plan.of(9, 1.0), threads=1, precision="int8")
    Edge(wrong, Plan.of(9, 1.0), threads=1)


def test_a_bundle_of_before_has_no_self_test_and_is_served(bundle: Bundle, tmp_path: Path) -> None:
    """There is nothing to hold its nodes to."""
    files = {name: digest for name, digest in bundle.manifest.files.items() if name != SELF_TEST}
    path = Bundle.write(tmp_path, bundle.manifest.model_copy(update={"files": files}), bundle.graph).path
    before = Bundle.open(path)
    assert before.self_test is None
    answers = Edge(before, Plan.of(9, 1.0), threads=1).infer(self_test_images(before.manifest.preprocessing))
    assert answers.exit.tolist() == [9] * 4


@pytest.mark.parametrize("spoil", ["row", "exit"])
def test_a_self_test_of_another_network_is_damaged(bundle: Bundle, tmp_path: Path, spoil: str) -> None:
    """A node would compare it with nothing."""
    assert bundle.self_test is not None
    by_exit = dict(bundle.self_test.logits["fp32"])
    if spoil == "row":
        by_exit[4] = by_exit[4][1:]
    else:
        del by_exit[4]
    changed = SelfTest(logits={"fp32": by_exit})
    files = bundle.manifest.files | {SELF_TEST: digest(changed.to_json().encode())}
    Bundle.write(tmp_path, bundle.manifest.model_copy(update={"files": files}), bundle.graph, None, changed)
    expected = {
        "row": "logits.fp32.4: expected 4 rows of 10. Export it again.",
        "exit": "expected logits of fp32 at exits 1, 2, 3, 4, 5, 6, 7, 8, 9, and no others. Export it again.",
    }[spoil]
    with pytest.raises(ArtifactDamagedError) as caught:
        Bundle.open(tmp_path)
    assert str(caught.value) == f"{tmp_path / SELF_TEST}: {expected}"
