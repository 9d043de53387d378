"""Flip and crop a whole batch at once, on the device, while it is gathered from the set in memory."""

import torch
from torch import Tensor
from torch.nn import functional as F

from offramp.data.image_set import ImageSet
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

    def __len__(self) -> int:
        # The last, smaller batch is left out: its batch statistics would be noisy, and the next epoch shuffles anew.
        return len(self.labels) // self.batch_size

    def epoch(self, number: int) -> "Epoch":
        """Give the batches of one epoch."""
        return Epoch(self, number)


class Epoch:
    """The batches of one epoch: float32 images `(B, C, H, W)` in [0, 1], stored channels last, and labels `(B,)`.

    What is drawn at random for the whole epoch goes to the device at its start: a copy at each step would make the
    device wait for the host.
    """

    def __init__(self, batches: Batches, number: int) -> None:
        self.batches = batches
        self.generator = torch.Generator().manual_seed(batches.seed * 1_000_003 + number)

    def __iter__(self) -> "Epoch":
        batches, size = self.batches, self.batches.batch_size
        device = batches.labels.device
        self.order = torch.randperm(len(batches.labels), generator=self.generator).to(device)
        if batches.crop or batches.flip:
            corners, mirrored = [], []
            for _ in range(len(batches)):
                corners.append(torch.randint(2 * batches.crop + 1, (2, size, 1), generator=self.generator))
                if batches.flip:
                    mirrored.append(torch.rand(size, 1, generator=self.generator) < 0.5)
            self.corners = torch.cat(corners, dim=1).to(device)
            self.mirrored = torch.cat(mirrored).to(device) if batches.flip else None
        self.step = 0
        return self

    def __next__(self) -> tuple[Tensor, Tensor]:
        batches, size = self.batches, self.batches.batch_size
        if self.step == len(batches):
            raise StopIteration
        first = self.step * size + batches.workers.rank * batches.part
        part = slice(first, first + batches.part)
        self.step += 1
        rows = self.order[part]
        return self._images(rows, part), batches.labels[rows]

    def _images(self, rows: Tensor, part: slice) -> Tensor:
        batches, (height, width) = self.batches, self.batches.size
        if not batches.crop and not batches.flip:
            window = batches.pixels[rows]
        else:
            top, left = self.corners[:, part]
            across = torch.arange(width, device=rows.device).repeat(len(rows), 1)
            if self.mirrored is not None:
                across = torch.where(self.mirrored[part], width - 1 - across, across)
            padded_height, padded_width, channels = batches.pixels.shape[1:]
            lines = rows[:, None] * padded_height + torch.arange(height, device=rows.device) + top
            places = lines[:, :, None] * padded_width + (across + left)[:, None, :]
            # One number a pixel: on a CPU this takes a third of the time of an index by row, line and column.
            pixels = batches.pixels.view(-1, channels).index_select(0, places.view(-1))
            window = pixels.view(len(rows), height, width, channels)
        return window.permute(0, 3, 1, 2).float().div_(255)
