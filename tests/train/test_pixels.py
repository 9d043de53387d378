"""Pixels as tensors, and their statistics."""

import numpy as np
import pytest
import torch

from offramp.data.image_set import ImageSet
from offramp.train.pixels import channel_statistics, to_tensor

CPU = torch.device("cpu")


def test_pixels_become_what_the_network_takes() -> None:
    """float32 `(N, C, H, W)` in [0, 1], each value at its place."""
    pixels = np.arange(2 * 3 * 4 * 5, dtype=np.uint8).reshape(2, 3, 4, 5)
    images = ImageSet("ramp", pixels, np.zeros(2, np.int64), ("a",), np.arange(2), mirrors=True)
    tensor = to_tensor(images, CPU)
    assert tensor.shape == (2, 5, 3, 4)
    assert float(tensor[1, 4, 2, 3]) == pytest.approx(119 / 255)
    assert float(tensor[0, 1, 2, 3]) == pytest.approx(pixels[0, 2, 3, 1] / 255)


def test_statistics_are_per_channel_and_never_0() -> None:
    """A channel without contrast is divided by a thousandth, not by nothing."""
    pixels = np.zeros((4, 2, 2, 2), np.uint8)
    pixels[..., 0] = 51
    pixels[:2, ..., 1] = 255
    images = ImageSet("flat", pixels, np.zeros(4, np.int64), ("a",), np.arange(4), mirrors=True)
    mean, std = channel_statistics(images)
    torch.testing.assert_close(mean, torch.tensor([0.2, 0.5]))
    torch.testing.assert_close(std, torch.tensor([0.001, 0.5]))
