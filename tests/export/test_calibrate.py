"""How features cross each cut, as the manifest says it."""

import numpy as np
import pytest
import torch
from torch import nn

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.preprocessing import Preprocessing
from offramp.data.image_set import Splits
from offramp.export.calibrate import cuts, measured_cuts
from offramp.export.graph import to_onnx
from offramp.models.checkpoint import Checkpoint
from offramp.models.exit_net import ExitNet
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


def test_what_uint8_cannot_hold_has_no_uint8(image: np.ndarray) -> None:
    """Features below 0 and features without a channel axis; those of a ReLU between them have a scale as ever."""
    pixels = 2 * 14 * 14
    stages = [nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Sequential(nn.Flatten(), nn.Linear(pixels, 4), nn.ReLU())]
    net = ExitNet(stages, {3: nn.Linear(4, 10)}).eval()
    shapes = {0: (1, 16, 16), 1: (2, 14, 14), 2: (2, 14, 14), 3: (4,)}
    found = cuts(to_onnx(net, (1, 16, 16)), shapes, image)
    assert [(cut.boundary, list(cut.codecs), len(cut.scale)) for cut in found] == [
        (0, ["fp32", "fp16", "uint8"], 1),
        (1, ["fp32", "fp16"], 0),
        (2, ["fp32", "fp16", "uint8"], 2),
        (3, ["fp32", "fp16"], 0),
    ]


def test_one_value_below_0_in_the_last_batch_is_seen(image: np.ndarray) -> None:
    """A scale is of all samples."""
    net = ExitNet([nn.Identity()], {1: nn.Sequential(nn.Flatten(), nn.Linear(256, 10))}).eval()
    graph, several = to_onnx(net, (1, 16, 16)), np.concatenate([image] * 3)
    (cut,) = cuts(graph, {1: (1, 16, 16)}, several)
    assert "uint8" in cut.codecs
    several[-1, 0, 3, 3] = -1e-3
    (cut,) = cuts(graph, {1: (1, 16, 16)}, several)
    assert "uint8" not in cut.codecs


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
