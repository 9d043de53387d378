"""ExitNet: a network is stages + heads. Training, export, prediction and serving know nothing else about it."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from offramp.artifacts.stages import features_name
from offramp.errors import InputError

Passed = Callable[[int, Any], Any]  # a boundary and its features; those that go on
Statistics = tuple[Tensor, Tensor]  # mean and standard deviation of images per channel


class ExitNet(nn.Module):
    """Stages in a row, and a head at some of the boundaries between them, the last one always.

    Stage i takes the features of boundary i - 1 (the image at 0) and gives those of boundary i; head k takes the
    features of boundary k and gives logits `(N, classes)`.
    """

    def __init__(self, stages: Iterable[nn.Module], heads: Mapping[int, nn.Module]) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.heads = nn.ModuleDict({str(exit_): heads[exit_] for exit_ in sorted(heads)})
        if not self.exits or self.exits[-1] != self.last or self.exits[0] < 1:
            raise InputError(
                f"heads: expected exits within 1 to {self.last} that end at {self.last}, got {self.exits}."
            )

    @property
    def last(self) -> int:
        """The last exit, and the number of stages."""
        return len(self.stages)

    @property
    def exits(self) -> tuple[int, ...]:
        """Boundaries that have a head, rising."""
        return tuple(int(name) for name in self.heads)

    def head(self, exit_: int) -> nn.Module:
        """The head at a boundary."""
        return self.heads[str(exit_)]

    def names(self, boundary: int) -> tuple[str, ...]:
        """What a graph of it calls the tensors at a boundary; of a stage that gives several, several."""
        return (features_name(boundary),)

    def features(self, image: Tensor) -> list[Any]:
        """Features at every boundary, 1 to n: a tensor, or of several at a boundary a tuple."""
        features = []
        for stage in self.stages:
            image = stage(image)
            features.append(image)
        return features

    def walk(self, image: Tensor, passed: Passed, *, frozen: bool = False) -> None:
        """Go through the stages. At each boundary `passed` is given the features, and gives those that go on.

        `frozen`: no gradient reaches the stages.
        """
        features: Any = image
        for boundary, stage in enumerate(self.stages, start=1):
            with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
                features = stage(features)
            features = passed(boundary, features)

    def forward(self, image: Tensor) -> dict[int, Tensor]:
        """Classify every sample at every exit; nobody leaves (the paper's training phase, section 3.2)."""
        features = self.features(image)
        return {exit_: self.head(exit_)(features[exit_ - 1]) for exit_ in self.exits}


class Standardize(nn.Module):
    """Subtract the training set's mean and divide by its standard deviation, per channel."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean.reshape(-1, 1, 1).clone())
        self.register_buffer("std", std.reshape(-1, 1, 1).clone())

    def forward(self, image: Tensor) -> Tensor:
        """Take an image batch `(N, C, H, W)` with values in [0, 1]."""
        return (image - self.mean) / self.std


def unit_statistics(channels: int) -> Statistics:
    """Mean 0 and deviation 1: for a network whose weights, and with them these numbers, are loaded afterwards."""
    return torch.zeros(channels), torch.ones(channels)
