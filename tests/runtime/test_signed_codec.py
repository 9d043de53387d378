"""Codecs of features of any rank, below 0 as well, on every runtime: against numpy and against their bound."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import signed
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.codec import CODECS, Codec
from offramp.artifacts.engine import Engine, Runtime
from offramp.artifacts.stages import Shape
from offramp.export.calibrate import cuts
from offramp.runtime.open import open_span
from offramp.runtime.span import SpanSpec

SHAPES: tuple[Shape, ...] = ((3, 2, 4), (2, 4, 3), (5, 3), (3, 5), (7,))
AXES = {(2, 4, 3): 2, (3, 5): 0}  # maps with their channels last, sequences with theirs first
CHANNELS = {(3, 2, 4): 0, (2, 4, 3): 2, (5, 3): 1, (3, 5): 0, (7,): 0}
RUNTIMES = ("onnxruntime", "openvino")
TYPES = {"fp32": np.float32, "fp16": np.float16, "uint8": np.uint8}


def noise(shape: Shape, samples: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """Inputs within [0, 1]."""
    return np.random.default_rng(seed).random((samples, 1, int(np.prod(shape)), 1), np.float32)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[Shape, bool], Bundle]:
    """By the features' shape, and whether a mask crosses beside them, which stays plain."""
    made = {}
    for shape in SHAPES:
        for masked in (False, True):
            graph, crossing = signed.graph(shape, masked=masked), signed.tensors(shape, masked=masked)
            axes = {1: {"features_1": AXES[shape]}} if shape in AXES else {}
            plain = {1: ("mask",)} if masked else {}
            shapes = {0: (1, int(np.prod(shape)), 1), 1: crossing}
            found = cuts(graph, shapes, noise(shape, 80), axes=axes, plain=plain)
            made[shape, masked] = signed.bundle(tmp_path_factory.mktemp("signed"), graph, crossing, found)
    return made


def engine(runtime: Runtime) -> Engine:
    """One thread of a runtime, if it is there."""
    if runtime == "openvino" and find_spec("openvino") is None:
        pytest.skip("openvino is not installed")
    return Engine(runtime, threads=1)


def beside(values: npt.ArrayLike, shape: Shape) -> npt.NDArray[np.float32]:
    """One value a channel, to be laid beside features `(N, ...)`."""
    channel = CHANNELS[shape]
    return np.array(values, np.float32).reshape(-1, *[1] * (len(shape) - 1 - channel))


def steps(bundle: Bundle, shape: Shape) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Scale and zero point of each channel, to be laid beside the features."""
    cut = bundle.manifest.cut(1)
    scale, zero = cut.scale_of("features_1"), cut.zero_of("features_1")
    assert len(scale) == shape[CHANNELS[shape]]
    assert 0 < min(zero) <= max(zero) <= 255
    return beside(scale, shape), beside(zero, shape)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("shape", SHAPES)
def test_what_lies_within_the_calibrated_range_comes_back_within_half_a_step(
    bundles: dict[tuple[Shape, bool], Bundle], shape: Shape, runtime: Runtime
) -> None:
    """And the rounding of fp32: 0 comes back as 0, and what lies outside is held at the range's end."""
    bundle = bundles[shape, False]
    image = np.concatenate([noise(shape, 80), 6 * noise(shape, 10) - 3])  # as calibrated, and others
    plain = signed.features(image, shape)
    sent = open_span(bundle, SpanSpec(0, 1, gives="uint8"), engine(runtime)).run(image)["features_1"]
    decoder = open_span(bundle, SpanSpec(1, 1, gives="fp32", takes="uint8"), engine(runtime))
    back = decoder.run(sent)["features_1"]

    scale, zero = steps(bundle, shape)
    low, high = -zero * scale, (255 - zero) * scale
    rounding = np.float32(1e-6) * (high - low)
    within = np.clip(plain, low, high)
    assert (np.abs(back - within) <= scale / 2 + rounding).all()
    assert (np.abs(back - plain)[:80] <= scale / 2 + rounding).all()
    assert (sent.max(), sent.min()) == (255, 0)
    assert (plain > high).any()
    assert (plain < low).any()
    np.testing.assert_array_equal(sent, np.rint(plain / scale + zero).clip(0, 255))

    nothing = decoder.run(np.broadcast_to(zero, (2, *shape)).astype(np.uint8))["features_1"]
    exact = runtime == "onnxruntime"  # OpenVINO: q * scale - zero * scale
    assert (np.abs(nothing) <= (0 if exact else rounding)).all()


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_receiver_computes_with_what_was_sent(
    bundles: dict[tuple[Shape, bool], Bundle], shape: Shape, masked: bool, codec: Codec, runtime: Runtime
) -> None:
    """Its logits are those of the decoded features; a mask beside them crosses as fp32 in every codec."""
    bundle, image = bundles[shape, masked], noise(shape, 20, seed=1)
    sent = open_span(bundle, SpanSpec(0, 1, gives=codec), engine(runtime)).run(image)
    dtypes: dict[str, Any] = {"features_1": TYPES[codec]} | ({"mask": np.float32} if masked else {})
    assert {name: tensor.dtype.type for name, tensor in sent.items()} == dtypes
    decoded = sent["features_1"].astype(np.float32)
    if codec == "uint8":
        scale, zero = steps(bundle, shape)
        decoded = (decoded - zero) * scale
    others = [sent["mask"]] if masked else []
    found = open_span(bundle, SpanSpec(1, 2, (2,), takes=codec), engine(runtime)).run(*sent.values())["logits_2"]
    expected = open_span(bundle, SpanSpec(1, 2, (2,)), engine("onnxruntime")).run(decoded, *others)["logits_2"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_pooling_before_the_cut_is_not_made_one_of_int8(tmp_path: Path, runtime: Runtime) -> None:
    """A runtime that fuses the two refuses what comes of it."""
    shape = (3, 2, 4)
    graph = signed.graph(shape, pooled=True)
    bundle = signed.bundle(tmp_path, graph, shape, cuts(graph, {0: (1, 24, 1), 1: shape}, noise(shape, 80)))
    image = noise(shape, 3, seed=1)
    sent = open_span(bundle, SpanSpec(0, 1, gives="uint8"), engine(runtime)).run(image)["features_1"]
    scale, zero = steps(bundle, shape)
    np.testing.assert_array_equal(sent, np.rint(signed.features(image, shape) / scale + zero).clip(0, 255))


def test_a_batch_to_warm_up_with_is_of_what_crosses(bundles: dict[tuple[Shape, bool], Bundle]) -> None:
    """A mask in fp32 beside features in uint8."""
    noisy = SpanSpec(1, 2, (2,), takes="uint8").noise(bundles[(5, 3), True], 4)
    assert [(tensor.dtype, tensor.shape) for tensor in noisy] == [(np.uint8, (4, 5, 3)), (np.float32, (4, 15))]
