"""Heads: what classifies the features of a boundary."""

from typing import Literal

from torch import nn

from offramp.errors import InputError
from offramp.graphs.layout import Kind
from offramp.models.summary import ChannelsFirst, Part, Summary

GraphHead = Literal["linear", "mlp", "conv"]
# What a head of a kind reads of features that have places. Of tokens there is no map to lay windows over.
PARTS: dict[tuple[GraphHead, Kind], tuple[Part, ...]] = {
    ("linear", "nchw"): ("mean",),
    ("linear", "nhwc"): ("mean",),
    ("linear", "ncl"): ("mean",),
    ("linear", "tokens"): ("mean",),
    ("linear", "vector"): ("mean",),
    ("mlp", "nchw"): ("grid", "max"),
    ("mlp", "nhwc"): ("grid", "max"),
    ("mlp", "ncl"): ("grid", "max"),
    ("mlp", "tokens"): ("mean", "max", "first"),
    ("mlp", "vector"): ("mean",),
}
HIDDEN = 256  # at most
# The most windows along a side by which the vector stays below so many numbers. Windows say where an edge is, which an
# average forgets: what they gained is in docs/networks.md.
WINDOWS, LONGEST = (4, 2, 1), 2_048


def pooled_linear(width: int, classes: int) -> list[nn.Module]:
    """The paper's fully connected block: average pooling and a linear layer."""
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes)]


def convolutional(width: int, classes: int) -> list[nn.Module]:
    """A strided 3x3 convolution to twice the channels before pooling and linear layer.

    An average over a low stage's map keeps how often an edge occurs and not where: early exits starve on it. MSDNet
    (Huang et al., ICLR 2018, arXiv 1703.09844) puts two such convolutions into each classifier; this is one of them.
    """
    return [*convolved(width, 2 * width, stride=2), *pooled_linear(2 * width, classes)]


def convolved(before: int, width: int, size: int = 3, stride: int = 1) -> list[nn.Module]:
    """A convolution that keeps the map's size at a stride of 1, batch normalization, ReLU."""
    convolution = nn.Conv2d(before, width, size, stride, padding=size // 2, bias=False)
    return [convolution, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]


def standing_on(kind: Kind, shape: tuple[int, ...], classes: int, head: GraphHead) -> nn.Sequential:
    """A head for features of a kind and a sample's `shape`: `linear`, `mlp`, or `conv` where they are maps.

    The first layer says what it makes of features before anything is learned (`Summary`), so that it can be computed
    once. `linear` and `mlp` read a vector, brought to mean 0 and deviation 1 by what the training samples gave.
    """
    if head == "conv":
        if kind not in ("nchw", "nhwc"):
            raise InputError(f"head conv: of maps alone, and the features are {kind} {shape}. Choose linear or mlp.")
        channels = shape[0] if kind == "nchw" else shape[-1]
        return nn.Sequential(ChannelsFirst(kind), *convolutional(channels, classes))
    summaries = [Summary(kind, shape, PARTS[head, kind], windows) for windows in WINDOWS]
    summary = next((one for one in summaries if one.width <= LONGEST), summaries[-1])
    layers: list[nn.Module] = [summary, nn.BatchNorm1d(summary.width, affine=False)]
    width = summary.width
    if head == "mlp":
        hidden = min(HIDDEN, width)
        layers += [nn.Linear(width, hidden), nn.ReLU()]
        width = hidden
    return nn.Sequential(*layers, nn.Linear(width, classes))
