"""The standard CNN of the paper's Figure 1, as stages and heads."""

import torch
from torch import Tensor, nn

from offramp.models.architecture import Architecture
from offramp.models.exit_net import ExitNet, Standardize, unit_statistics


def block(before: int, width: int) -> list[nn.Module]:
    """Twice: 3x3 convolution, batch normalization, ReLU."""
    layers: list[nn.Module] = []
    for channels in (before, width):
        layers += [
            nn.Conv2d(channels, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        ]
    return layers


def pooled_linear(width: int, classes: int) -> nn.Sequential:
    """The paper's fully connected block: average pooling and a linear layer."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))


def standard_cnn(architecture: Architecture, statistics: tuple[Tensor, Tensor] | None = None, seed: int = 0) -> ExitNet:
    """Build the network with freshly drawn weights.

    `statistics` are the mean and standard deviation of the training images per channel, in [0, 1]. A pooling belongs to
    the stage before it, so that what crosses a cut there is already small. The stages are drawn first and each head
    from a seed of its own: models of one seed that differ in their exits start from the same stages and heads.
    """
    mean, std = statistics or unit_statistics(architecture.channels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        stages: list[nn.Module] = []
        before = architecture.channels
        for index, width in enumerate(architecture.widths, start=1):
            layers = block(before, width)
            if index == 1:
                layers.insert(0, Standardize(mean, std))
            if index in architecture.pool_after:
                layers.append(nn.AvgPool2d(2))
            stages.append(nn.Sequential(*layers))
            before = width
        for stage in stages:
            for module in stage.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")  # He et al. 2015
        heads = {}
        for exit_ in architecture.exits:
            torch.manual_seed(seed * 1_000 + exit_)
            heads[exit_] = pooled_linear(architecture.widths[exit_ - 1], len(architecture.classes))
    return ExitNet(stages, heads)
