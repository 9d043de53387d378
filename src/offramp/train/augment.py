"""Flip and crop a whole batch at once, on the device, while it is gathered from the set in memory."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from offramp.data.image_set import ImageSet
from offramp.data.jpeg import QUALITY, through_jpeg
from offramp.errors import InputError
from offramp.train.workers import Alone, Workers, part_of


class Batches:
    """An image set on a device, given out in shuffled and augmented batches.

    The order and the augmentation of an epoch follow from the seed and the epoch's number alone: an interrupted run
    needs no generator's state to go on exactly where it stopped. Of several workers each takes its part of every batch.
    """

    def __init__(
        self,
        images: ImageSet,
        *,
        batch_size: int,
        flip: bool,
        crop: int,
        alternating: bool = False,
        jpeg: float = 0.0,
        jpeg_quality: tuple[int, int] = (QUALITY, QUALITY),
        seed: int,
        device: torch.device,
        workers: Workers | None = None,
    ) -> None:
        self.size = images.images.shape[1:3]
        if crop >= min(self.size):
            raise InputError(
                f"crop {crop}: images of {self.size[0]}x{self.size[1]} can be padded by their own reflection with at "
                f"most {min(self.size) - 1} pixels on each side. Choose a smaller crop."
            )
        pixels = torch.from_numpy(images.images)
        if crop:
            # Reflection has no black border to learn from (as airbench does).
            padded = F.pad(pixels.permute(0, 3, 1, 2).float(), (crop,) * 4, mode="reflect")
            pixels = padded.to(torch.uint8).permute(0, 2, 3, 1).contiguous()
        self.pixels = pixels.contiguous().to(device)  # uint8 (N, H + 2 crop, W + 2 crop, C)
        self.labels = torch.from_numpy(images.labels).to(device)
        self.batch_size = min(batch_size, len(images))
        self.workers = workers or Alone()
        self.part = part_of(self.batch_size, self.workers)
        self.flip, self.crop, self.seed = flip and images.mirrors, crop, seed
        self.first: Tensor | None = None  # who is mirrored in the first epoch, the third, ...; the others between
        if alternating and self.flip:  # Jordan 2024, arXiv 2404.00498, section 3.6: no view twice before the other
            self.first = torch.rand(len(images), generator=torch.Generator().manual_seed(self.seed)) < 0.5
        self.jpeg, self.jpeg_quality = jpeg, jpeg_quality

    def __len__(self) -> int:
        # The last, smaller batch is left out: its batch statistics would be noisy, and the next epoch shuffles anew.
        return len(self.labels) // self.batch_size

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Give one epoch's batches: float32 images `(B, C, H, W)` in [0, 1], stored channels last, and labels `(B,)`.

        What is drawn at random for the whole epoch goes to the device at its start: a copy at each step would make the
        device wait for the host.
        """
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
        device, size = self.labels.device, self.batch_size
        order = torch.randperm(len(self.labels), generator=generator).to(device)
        drawn, flips, qualities = [], [], []
        for _ in range(len(self) if self.crop or self.flip else 0):
            drawn.append(torch.randint(2 * self.crop + 1, (2, size, 1), generator=generator))
            if self.flip and self.first is None:
                flips.append(torch.rand(size, 1, generator=generator) < 0.5)
        for _ in range(len(self) if self.jpeg else 0):
            lowest, highest = self.jpeg_quality
            chosen = torch.randint(lowest, highest + 1, (size,), generator=generator)
            qualities.append(chosen * (torch.rand(size, generator=generator) < self.jpeg))
        corners = torch.cat(drawn, dim=1).to(device) if drawn else None
        mirrored = torch.cat(flips).to(device) if flips else None
        if self.first is not None:
            mirrored = (self.first.to(device) ^ bool(number % 2))[order][:, None]
        for start in range(self.workers.rank * self.part, len(self) * size, size):
            part = slice(start, start + self.part)
            rows = order[part]
            if corners is None:
                window = self.pixels[rows]
            else:
                window = self._window(rows, corners[:, part], None if mirrored is None else mirrored[part])
            if qualities:
                window = _compressed(window, qualities[start // size][self.workers.rank * self.part :])
            yield window.permute(0, 3, 1, 2).float().div_(255), self.labels[rows]

    def _window(self, rows: Tensor, corners: Tensor, mirrored: Tensor | None) -> Tensor:
        (top, left), (height, width) = corners, self.size
        across = torch.arange(width, device=rows.device).repeat(len(rows), 1)
        if mirrored is not None:
            across = torch.where(mirrored, width - 1 - across, across)
        padded_height, padded_width, channels = self.pixels.shape[1:]
        lines = rows[:, None] * padded_height + torch.arange(height, device=rows.device) + top
        places = lines[:, :, None] * padded_width + (across + left)[:, None, :]
        # One number a pixel: on a CPU this takes a third of the time of an index by row, line and column.
        pixels = self.pixels.view(-1, channels).index_select(0, places.view(-1))
        return pixels.view(len(rows), height, width, channels)


def _compressed(images: Tensor, qualities: Tensor) -> Tensor:
    """Put images `(B, H, W, C)` through JPEG, each at its quality; those of quality 0 stay as they are.

    On the processor, by the codec that will be met: some 10,000 images of 32 x 32 a second.
    """
    pixels = images.cpu().numpy().copy()
    for row, quality in enumerate(qualities[: len(pixels)].tolist()):
        if quality:
            pixels[row] = through_jpeg(pixels[row], quality)
    return torch.from_numpy(pixels).to(images.device)
