"""The standard CNN of the paper's Figure 1, as stages and heads; with richer heads and bottlenecks where wanted."""

import torch
from torch import Tensor, nn

from offramp.models.architecture import StandardCnn
from offramp.models.bottleneck import expand, squeeze
from offramp.models.exit_net import ExitNet, Standardize, Statistics, unit_statistics
from offramp.models.heads import convolutional, convolved, pooled_linear
from offramp.models.whitening import Whitening


def standard_cnn(architecture: StandardCnn, statistics: Statistics | None = None, seed: int = 0) -> ExitNet:
    """Build the network with freshly drawn weights.

    `statistics` are the mean and standard deviation of the training images per channel, in [0, 1]. A pooling belongs to
    the stage before it, so that what crosses a cut there is already small. The stages are drawn first, then each head
    and each side of a bottleneck from a seed of its own: models of one seed that differ in their exits start from the
    same stages and heads.
    """
    mean, std = statistics or unit_statistics(architecture.channels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        stages = _blocks(architecture)
        front: list[nn.Module] = [Whitening(architecture.channels)] if architecture.whitened else []
        stages[0] = [Standardize(mean, std), *front, *stages[0]]
        for boundary, channels in sorted(architecture.bottlenecks.items()):
            torch.manual_seed(seed * 1_000 + 100 + boundary)
            width = architecture.widths[boundary - 1]
            stages[boundary - 1] += _drawn(squeeze(width, channels))
            stages[boundary] = [*_drawn(expand(channels, width)), *stages[boundary]]
        heads = {}
        for exit_ in architecture.exits:
            torch.manual_seed(seed * 1_000 + exit_)
            heads[exit_] = _head(architecture, exit_)
    return ExitNet([nn.Sequential(*layers) for layers in stages], heads)


class Shortened(nn.Module):
    """A block whose second convolution learns what to add to the first one's features (He et al. 2016)."""

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        half = len(layers) // 2
        *second, relu = layers[half:]
        self.first, self.second, self.relu = nn.Sequential(*layers[:half]), nn.Sequential(*second), relu

    def forward(self, features: Tensor) -> Tensor:
        """Take features `(N, C, H, W)`."""
        features = self.first(features)
        added: Tensor = self.relu(features + self.second(features))
        return added


def _blocks(architecture: StandardCnn) -> list[list[nn.Module]]:
    """Each twice a 3x3 convolution, batch normalization, ReLU. All are made before any is drawn."""
    stages = []
    before = Whitening.width(architecture.channels) if architecture.whitened else architecture.channels
    pooling = nn.MaxPool2d if architecture.pooling == "max" else nn.AvgPool2d
    for index, width in enumerate(architecture.widths, start=1):
        layers = [*convolved(before, width), *convolved(width, width)]
        pool = [pooling(2)] if index in architecture.pool_after else []
        stages.append([*([Shortened(layers)] if architecture.shortcuts else layers), *pool])
        before = width
    return [_drawn(layers) for layers in stages]


def _head(architecture: StandardCnn, exit_: int) -> nn.Sequential:
    """The last exit's head is the paper's always: what is before it has seen the whole network."""
    width, classes = architecture.widths[exit_ - 1], len(architecture.classes)
    rich = architecture.head == "conv" and exit_ != architecture.last
    layers = _drawn((convolutional if rich else pooled_linear)(width, classes))
    if exit_ in architecture.bottlenecks:
        layers = [*_drawn(expand(architecture.bottlenecks[exit_], width)), *layers]
    return nn.Sequential(*layers)


def _drawn(layers: list[nn.Module]) -> list[nn.Module]:
    for layer in (inner for one in layers for inner in one.modules()):
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")  # He et al. 2015
    return layers
