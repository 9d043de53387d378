"""What is said of a tensor of a graph: its type, and its shape as it grows with the batch."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Shape = tuple[int, ...]


class TensorInfo(NamedTuple):
    """A tensor's type, and the shape of one sample of it: no batch axis."""

    dtype: np.dtype[Any]
    shape: Shape


class Extent(NamedTuple):
    """A size along one axis, in a batch of N: `each * N + fixed`."""

    each: int
    fixed: int

    @classmethod
    def through(cls, at_two: int, at_three: int) -> "Extent":
        """The one that is so large in a batch of 2, and so in one of 3."""
        each = at_three - at_two
        return cls(each, at_two - 2 * each)

    def at(self, batch: int) -> int:
        """Give the size in a batch."""
        return self.each * batch + self.fixed


@dataclass(frozen=True)
class Seen:
    """A tensor as it was seen in runs: its type by ONNX's name, and its axes."""

    dtype: str  # "float", "int64", "bool" …
    axes: tuple[Extent, ...]

    @property
    def batch(self) -> int | None:
        """The axis that has an entry for each sample, most often the first; None where none has, or several grow."""
        grown = [place for place, axis in enumerate(self.axes) if axis.each]
        return grown[0] if len(grown) == 1 and self.axes[grown[0]] == Extent(1, 0) else None

    @property
    def sample(self) -> Shape | None:
        """One sample's shape, without the batch's axis; None where there is no such axis."""
        if self.batch is None:
            return None
        return tuple(axis.fixed for axis in self.axes if not axis.each)

    def batch_first(self) -> list[int]:
        """The order of the axes that puts the batch's in front."""
        assert self.batch is not None
        return [self.batch, *(place for place in range(len(self.axes)) if place != self.batch)]

    def at(self, batch: int) -> Shape:
        """Give its shape in a batch."""
        return tuple(axis.at(batch) for axis in self.axes)
