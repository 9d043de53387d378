"""How features cross each cut, as the manifest says it."""

import numpy as np
import pytest
import torch
from torch import nn

import signed
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.preprocessing import Preprocessing
from offramp.artifacts.pretrained import pretrained
from offramp.artifacts.stages import features_name
from offramp.data.image_set import Splits
from offramp.errors import InputError
from offramp.export.calibrate import cuts, measured_cuts
from offramp.export.graph import to_onnx
from offramp.models.checkpoint import Checkpoint
from offramp.models.exit_net import ExitNet
from offramp.runtime.onnx_span import OnnxSpan
from offramp.train.accuracy import accuracies


@pytest.fixture(scope="module")
def image(digits: Splits) -> np.ndarray:
    """The calibration images as the network takes them."""
    return Preprocessing(channels=1, height=16, width=16).from_uint8(digits.calibration.images)


def test_a_channels_scale_is_a_255th_of_its_largest_value(
    checkpoint: Checkpoint, bundle: Bundle, image: np.ndarray
) -> None:
    """Over all calibration samples and pixels, by the network itself; the image's is a 255th."""
    with torch.inference_mode():
        features = checkpoint.net.features(torch.from_numpy(image))
    assert [cut.boundary for cut in bundle.manifest.cuts] == [0, 1, 2, 3, 4, 5, 6, 7, 8]
    for cut in bundle.manifest.cuts:
        assert cut.samples == len(image)
        if cut.boundary == 0:
            assert cut.scale == (1 / 255,)
        else:
            largest = features[cut.boundary - 1].amax(dim=(0, 2, 3)).clamp(min=1e-6).numpy()
            np.testing.assert_allclose(np.array(cut.scale) * 255, largest, rtol=1e-4)


def test_a_channel_that_is_dead_still_has_a_scale(bundle: Bundle, image: np.ndarray) -> None:
    """Where the largest value is 0, the step is small and not 0, which nothing could be divided by."""
    black = np.zeros_like(image[:2])
    (cut,) = cuts(bundle.graph, {1: bundle.manifest.tensors(1)["features_1"]}, black)
    assert len(cut.scale) == 16
    assert min(cut.scale) >= 1e-6 / 255


def test_features_that_go_below_0_have_zero_points(image: np.ndarray) -> None:
    """Of any rank, and by channel; those of a ReLU between them have none, as ever."""
    pixels = 2 * 14 * 14
    stages = [nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Sequential(nn.Flatten(), nn.Linear(pixels, 4)), nn.Unflatten(1, (2, 2))]
    net = ExitNet(stages, {4: nn.Sequential(nn.Flatten(), nn.Linear(4, 10))}).eval()
    shapes = {0: (1, 16, 16), 1: (2, 14, 14), 2: (2, 14, 14), 3: (4,), 4: (2, 2)}
    found = cuts(to_onnx(net, (1, 16, 16)), shapes, image, axes={4: {"features_4": 0}})
    assert [(cut.boundary, len(cut.scale), len(cut.zero), cut.axes) for cut in found] == [
        (0, 1, 0, {}), (1, 2, 2, {}), (2, 2, 0, {}), (3, 4, 4, {}), (4, 2, 2, {"features_4": 0}),
    ]  # fmt: skip
    assert all(list(cut.codecs) == ["fp32", "fp16", "uint8"] for cut in found)
    with torch.inference_mode():
        features = net.features(torch.from_numpy(image))
    for cut, axes in zip(found[1:], ((0, 2, 3), (0, 2, 3), (0,), (0, 2)), strict=True):
        values = features[cut.boundary - 1].numpy()
        low, high = np.minimum(values.min(axis=axes), 0), np.maximum(values.max(axis=axes), 0)
        scale = np.array(cut.scale)
        np.testing.assert_allclose(scale * 255, np.maximum(high - low, 1e-6), rtol=1e-4)
        np.testing.assert_allclose(cut.zero or np.zeros(len(scale)), -low / scale, atol=0.51)


def test_one_value_below_0_in_the_last_batch_is_seen(image: np.ndarray) -> None:
    """A scale is of all samples."""
    net = ExitNet([nn.Identity()], {1: nn.Sequential(nn.Flatten(), nn.Linear(256, 10))}).eval()
    graph, several = to_onnx(net, (1, 16, 16)), np.concatenate([image] * 3)
    (cut,) = cuts(graph, {1: (1, 16, 16)}, several)
    assert cut.zero == ()
    several[-1, 0, 3, 3] = -1
    (cut,) = cuts(graph, {1: (1, 16, 16)}, several)
    assert (cut.scale, cut.zero) == ((2 / 255,), (128,))


def test_features_that_are_nowhere_below_0_have_the_numbers_that_they_had() -> None:
    """Bit for bit: a bundle that is exported again has the id that it had."""
    bundle = Bundle.open(pretrained() / "bundle")
    image = np.random.default_rng(0).random((70, 3, 32, 32), np.float32)
    names = {features_name(cut.boundary): features_name(cut.boundary) for cut in bundle.manifest.cuts[1:]}
    outputs = OnnxSpan(bundle.graph, ("image",), names).run(image)
    tops = [values.max(axis=(0, 2, 3)).astype(np.float64) for values in outputs.values()]
    before = {k: tuple((np.maximum(top, 1e-6) / 255).tolist()) for k, top in enumerate(tops, start=1)} | {0: (1 / 255,)}
    found = cuts(bundle.graph, {cut.boundary: _alone(bundle, cut.boundary) for cut in bundle.manifest.cuts}, image)
    assert [cut.scale for cut in found] == [before[cut.boundary] for cut in found]
    kept = [
        cut.model_copy(update={"scale": old.scale, "samples": old.samples, "codecs": old.codecs})
        for cut, old in zip(found, bundle.manifest.cuts, strict=True)
    ]
    assert bundle.manifest.model_copy(update={"cuts": tuple(kept)}).id == "a638335af6d27a2af5d5ece44a473d80"
    assert [{codec: one.bytes_per_sample for codec, one in cut.codecs.items()} for cut in found] == [
        {codec: one.bytes_per_sample for codec, one in cut.codecs.items()} for cut in bundle.manifest.cuts
    ]


def _alone(bundle: Bundle, boundary: int) -> tuple[int, ...]:
    (shape,) = bundle.manifest.tensors(boundary).values()
    return shape


def noise(shape: tuple[int, ...], samples: int = 70) -> np.ndarray:
    """Inputs of a network whose features are known."""
    return np.random.default_rng(0).random((samples, 1, int(np.prod(shape)), 1), np.float32)


def test_what_stays_plain_is_counted_as_fp32_and_has_no_scale() -> None:
    """A mask that crosses beside the features."""
    shape = (4, 2)
    shapes = {0: (1, 8, 1), 1: signed.tensors(shape, masked=True)}
    first, second = cuts(signed.graph(shape, masked=True), shapes, noise(shape), plain={1: ("mask",)})
    assert (first.scale, list(first.codecs)) == ((1 / 255,), ["fp32", "fp16", "uint8"])
    assert isinstance(second.scale, dict)
    assert isinstance(second.zero, dict)
    assert (list(second.scale), list(second.zero), second.plain) == (["features_1"], ["features_1"], ("mask",))
    assert {codec: result.bytes_per_sample for codec, result in second.codecs.items()} == {
        "fp32": 4 * 16,
        "fp16": 2 * 8 + 4 * 8,
        "uint8": 8 + 4 * 8,
    }


def test_of_several_tensors_those_that_go_below_0_have_zero_points() -> None:
    """A mask that is not said to stay plain has steps of its own."""
    shape = (4, 2)
    shapes = {1: signed.tensors(shape, masked=True)}
    (cut,) = cuts(signed.graph(shape, masked=True), shapes, noise(shape))
    assert isinstance(cut.zero, dict)
    assert (list(cut.zero), len(cut.zero_of("features_1"))) == (["features_1"], 2)
    assert set(cut.scale_of("mask")) == {1 / 255, 1e-6 / 255}  # a place that is never 1 has a small step
    assert cut.zero_of("mask") == (0,) * 8


def test_an_input_crosses_in_its_own_codecs() -> None:
    """Token ids as they are; and uint8 has the scale of pixels."""
    graph, image = signed.graph((8,)), noise((8,))
    (cut,) = cuts(graph, {0: (1, 8, 1)}, image, input_codecs=("fp32", "fp16"))
    sizes = {codec: result.bytes_per_sample for codec, result in cut.codecs.items()}
    assert (cut.scale, cut.zero, sizes) == ((), (), {"fp32": 32, "fp16": 16})


def test_what_fp16_cannot_hold_has_no_fp16() -> None:
    """It would arrive as infinity, which is refused there."""
    image, shapes = noise((2,)), {1: (2,)}
    (cut,) = cuts(signed.graph((2,)), shapes, image)
    assert list(cut.codecs) == ["fp32", "fp16", "uint8"]
    image[3, 0, 1, 0] = -20_000  # times 6
    (cut,) = cuts(signed.graph((2,)), shapes, image)
    assert list(cut.codecs) == ["fp32", "uint8"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_no_numbers_are_refused(value: float) -> None:
    """No scale can be taken from them."""
    image = noise((2,))
    image[-1] = value
    with pytest.raises(InputError) as caught:
        cuts(signed.graph((2,)), {1: (2,)}, image)
    assert str(caught.value) == (
        "features_1: it is NaN or infinite on calibration samples, and no codec can hold that. Check the network, or "
        "calibrate on other data (--data)."
    )


def test_a_codecs_bytes_are_those_of_its_values(bundle: Bundle) -> None:
    """Four, two or one for each value at the boundary."""
    for cut in bundle.manifest.cuts:
        values = int(np.prod(*bundle.manifest.tensors(cut.boundary).values()))
        assert {codec: result.bytes_per_sample for codec, result in cut.codecs.items()} == {
            "fp32": 4 * values,
            "fp16": 2 * values,
            "uint8": values,
        }


def test_without_a_codec_the_accuracy_is_the_last_exits(checkpoint: Checkpoint, bundle: Bundle, digits: Splits) -> None:
    """At every cut, all samples forwarded: where the network is cut changes nothing."""
    expected = accuracies(checkpoint.net, digits.calibration)[9]
    assert {cut.codecs["fp32"].accuracy for cut in bundle.manifest.cuts} == {expected}


def test_the_accuracy_is_measured_on_the_labels_given(bundle: Bundle, image: np.ndarray, digits: Splits) -> None:
    """Labels that are all wrong give 0 through every codec at every cut."""
    right = digits.calibration.labels
    for cut in measured_cuts(bundle, image, (right + 5) % 10):
        for result in cut.codecs.values():
            assert result.accuracy is not None
            assert result.accuracy < 0.05
    assert all(r.accuracy is not None and r.accuracy > 0.8 for c in bundle.manifest.cuts for r in c.codecs.values())
