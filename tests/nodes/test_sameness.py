"""How far apart logits may be for two to have computed the same network."""

import hashlib

import numpy as np
import pytest

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.codec import CODECS, Codec
from offramp.artifacts.engine import Engine, Precision
from offramp.artifacts.preprocessing import Preprocessing
from offramp.artifacts.self_test import self_test_images
from offramp.nodes.sameness import TOLERANCE, Probe, Probes, difference

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
