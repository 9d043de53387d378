"""Summary: features of a boundary, whatever their shape, as one vector a sample; what a head stands on."""

from math import prod
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from offramp.errors import InputError
from offramp.graphs.layout import Kind

Part = Literal["mean", "max", "first", "grid"]
Features = Tensor | tuple[Tensor, ...]  # of several tensors at a boundary, a head stands on the first


class ChannelsFirst(nn.Module):
    """Features of any kind with their channels, or a token's values, on axis 1: `(N, D, …)`."""

    def __init__(self, kind: Kind) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, features: Features) -> Tensor:
        """Take the tensors of a boundary, and give the first."""
        first = features[0] if isinstance(features, tuple) else features
        match self.kind:
            case "nhwc":
                return first.permute(0, 3, 1, 2)
            case "tokens":
                return first.transpose(1, 2)
            case _:
                return first


class Summary(nn.Module):
    """Parts of a vector `(N, width)`: over all places the mean, the largest or the first, or the means of windows.

    There are `windows` along each side, of one size: along a side that they do not divide they overlap. Where there are
    no places, in a vector, the summary is the vector itself. `first` of tokens is the class token, where there is one.
    """

    def __init__(self, kind: Kind, shape: tuple[int, ...], parts: tuple[Part, ...], windows: int = 2) -> None:
        super().__init__()
        self.kind, self.ordered = kind, ChannelsFirst(kind)
        self.channels, self.sides = _axes(kind, shape)
        self.parts: tuple[Part, ...] = parts if self.sides else ("mean",)
        if "grid" in self.parts and kind == "tokens":
            raise InputError(f"head: windows are of maps and sequences, and features are {kind} {shape}.")
        # A short side has as many windows as it has places. The last ones end where the side does.
        self.counts = tuple(min(side, windows) for side in self.sides)
        self.strides = tuple(side // count for side, count in zip(self.sides, self.counts, strict=True))
        spans = zip(self.sides, self.counts, self.strides, strict=True)
        self.windows = tuple(side - (count - 1) * stride for side, count, stride in spans)

    @property
    def width(self) -> int:
        """How long the vector is."""
        return self.channels * sum(prod(self.counts) if part == "grid" else 1 for part in self.parts)

    def forward(self, features: Features) -> Tensor:
        """Take the tensors of a boundary, and give the vectors."""
        ordered: Tensor = self.ordered(features)
        if not self.sides:
            return ordered
        found = [self._part(part, ordered, ordered.flatten(2)) for part in self.parts]
        return found[0] if len(found) == 1 else torch.cat(found, dim=1)

    def _part(self, part: Part, ordered: Tensor, flat: Tensor) -> Tensor:
        match part:
            case "mean":
                return flat.mean(2)
            case "max":
                return flat.amax(2)
            case "first":
                return flat[:, :, 0]
            case "grid":
                pool = F.avg_pool2d if len(self.sides) == 2 else F.avg_pool1d
                pooled: Tensor = pool(ordered, self.windows, self.strides)
                return pooled.flatten(1)


def _axes(kind: Kind, shape: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
    """How many channels features of a sample's `shape` have, and how many places along which sides."""
    ranks = {"nchw": 3, "nhwc": 3, "ncl": 2, "tokens": 2, "vector": 1}
    if len(shape) != ranks[kind]:
        raise InputError(f"head: features that are {kind} have {ranks[kind]} dimensions a sample, got {shape}.")
    match kind:
        case "nchw" | "ncl" | "vector":
            return shape[0], shape[1:]
        case _:
            return shape[-1], shape[:-1]
