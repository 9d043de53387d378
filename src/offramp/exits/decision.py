"""The decision made for each sample at an active exit: leave here, be dropped here, or go on."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from offramp.artifacts.plan import Part
from offramp.exits.score import Floats

Rows = npt.NDArray[np.intp]
NONE: Rows = np.empty(0, np.intp)
FIRST: Rows = np.zeros(1, np.intp)
FIRST.setflags(write=False)  # shared


class Decision(NamedTuple):
    """Rows of a batch by what becomes of them; together they are every row, once."""

    exit: Rows
    drop: Rows
    forward: Rows

    @classmethod
    def at(cls, scores: Floats, part: Part, position: int) -> "Decision":
        """Decide at a tier's active exit number `position`, counted from 0.

        A score equal to the threshold goes on; one equal to the drop threshold does too. Only the last active exit
        drops: before it, a later exit on the same node may still become sure.
        """
        threshold, most = part.active[position].threshold, part.drop_threshold
        if position < len(part.active) - 1:
            most = None
        if len(scores) == 1:  # the usual request's one sample: no arrays are made
            score = scores.item()
            return EXIT if score < threshold else DROP if most is not None and score > most else FORWARD
        leave = scores < threshold
        if most is None:
            return cls(leave.nonzero()[0], NONE, (~leave).nonzero()[0])
        drop = (scores > most) & ~leave
        return cls(leave.nonzero()[0], drop.nonzero()[0], (~(leave | drop)).nonzero()[0])


EXIT, DROP, FORWARD = Decision(FIRST, NONE, NONE), Decision(NONE, FIRST, NONE), Decision(NONE, NONE, FIRST)
