"""Every exit asked once for every sample: from that, what a plan answers, without the softmax of each plan anew.

Takes predictions and gives labels and exits as `evaluation.route` does; knows neither right nor wrong.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.exits.answers import Judged

Labels = npt.NDArray[np.int64]


class Course(NamedTuple):
    """What a plan answers, a row a sample in the order of the predictions."""

    label: Labels
    exit: Labels


@dataclass(frozen=True)
class Asked:
    """What the exits of a table of predictions say by one score."""

    predictions: Predictions
    score: str = "entropy"

    @cached_property
    def _judged(self) -> dict[int, Judged]:
        return {}

    def judged(self, exit_: int) -> Judged:
        """What an exit says of all samples, no exit before it."""
        if exit_ not in self._judged:
            self._judged[exit_] = Judged.of(self.predictions.at(exit_), self.score)
        return self._judged[exit_]

    def answered(self, plan: Plan) -> Course:
        """Answer every sample by a plan of this score."""
        raise NotImplementedError
