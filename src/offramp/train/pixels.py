"""Pixels as the network takes them, and their statistics."""

import numpy as np
import torch
from torch import Tensor

from offramp.data.image_set import ImageSet


def to_tensor(images: ImageSet, device: torch.device) -> Tensor:
    """Images as the network takes them: float32 `(N, C, H, W)` in [0, 1]."""
    return torch.from_numpy(images.images).to(device).permute(0, 3, 1, 2).float().div_(255)


def channel_statistics(images: ImageSet) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the images per channel, in [0, 1]."""
    pixels = images.images.reshape(-1, images.images.shape[3])
    mean = pixels.mean(axis=0, dtype=np.float64) / 255
    std = pixels.std(axis=0, dtype=np.float64) / 255
    return torch.tensor(mean, dtype=torch.float32), torch.tensor(np.maximum(std, 1e-3), dtype=torch.float32)
