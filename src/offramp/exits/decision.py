"""The decision made for each sample at an active exit: leave here, be dropped here, or go on."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from offramp.artifacts.plan import Part
from offramp.exits.score import Floats

Rows = npt.NDArray[np.intp]
NONE: Rows = np.empty(0, np.intp)


@dataclass(frozen=True)
class Decision:
    """Rows of a batch by what becomes of them; together they are every row, once."""

    exit: Rows
    drop: Rows
    forward: Rows

    @classmethod
    def at(cls, scores: Floats, part: Part, position: int) -> Self:
        """Decide at a tier's active exit number `position`, counted from 0.

        A score equal to the threshold goes on; one equal to the drop threshold does too. Only the last active exit
        drops: before it, a later exit on the same node may still become sure.
        """
        leave = scores < part.active[position].threshold
        if part.drop_threshold is None or position < len(part.active) - 1:
            return cls(leave.nonzero()[0], NONE, (~leave).nonzero()[0])
        drop = (scores > part.drop_threshold) & ~leave
        return cls(leave.nonzero()[0], drop.nonzero()[0], (~(leave | drop)).nonzero()[0])
