"""The training loop that one writes first, as PyTorch's tutorials do: a Dataset, a DataLoader, float32, NCHW.

Each image is cropped and mirrored by itself when the loader asks for it; the loss is read at every step. The network,
its joint loss, the batch size and the augmentation are offramp's.
"""

import time
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, RandomSampler

from offramp.data.image_set import ImageSet
from offramp.models.build import build
from offramp.train.forward import forward
from offramp.train.loop import Run
from offramp.train.pixels import channel_statistics
from offramp.train.recipe import Recipe


class Images(Dataset[tuple[Tensor, Tensor]]):
    """An image set, one augmented image at a time: float32 `(C, H, W)` in [0, 1] and a label."""

    def __init__(self, images: ImageSet, recipe: Recipe) -> None:
        self.pixels, self.labels = torch.from_numpy(images.images), torch.from_numpy(images.labels)
        self.crop, self.flip = recipe.crop, recipe.flip and images.mirrors

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        image = self.pixels[row].permute(2, 0, 1).float() / 255
        if self.crop:
            height, width = image.shape[1:]
            top, left = torch.randint(2 * self.crop + 1, (2,)).tolist()
            image = F.pad(image, (self.crop,) * 4, mode="reflect")[:, top : top + height, left : left + width]
        if self.flip and torch.rand(()) < 0.5:
            image = image.flip(2)
        return image, self.labels[row]


class PlainLoop:
    """Trains the run's network. The images come from this process, or from `workers` others beside it.

    The loader is begun once, so that no epoch pays for a process's start; while others have their turn, a worker makes
    two batches and waits.
    """

    def __init__(self, run: Run, images: ImageSet, device: torch.device, *, epochs: int, workers: int = 0) -> None:
        recipe = run.recipe
        self.device, self.batch_size, self.steps = device, recipe.batch_size, len(images) // recipe.batch_size
        self.net = build(run.architecture, channel_statistics(images), run.seed).to(device).train()
        self.optimizer = torch.optim.SGD(
            self.net.parameters(),
            lr=0.01,
            momentum=recipe.momentum,
            nesterov=recipe.nesterov,
            weight_decay=recipe.weight_decay,
        )
        rows = Images(images, recipe)
        order = RandomSampler(rows, num_samples=epochs * self.steps * self.batch_size)
        self.loader: Iterator[tuple[Tensor, Tensor]] = iter(
            DataLoader(rows, self.batch_size, sampler=order, num_workers=workers, pin_memory=device.type == "cuda")
        )

    def batches(self) -> None:
        """Make an epoch's batches and train nothing."""
        for _ in range(self.steps):
            next(self.loader)

    def epoch(self) -> float:
        """Train an epoch; give images/s."""
        start, total = time.perf_counter(), 0.0
        for _ in range(self.steps):
            images, labels = (tensor.to(self.device) for tensor in next(self.loader))
            loss = torch.stack([F.cross_entropy(logits, labels) for logits in forward(self.net, images).values()]).sum()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.item()
        return self.steps * self.batch_size / (time.perf_counter() - start)
