"""Every exit asked once for every sample: from that, what a plan answers, without a softmax for each plan.

Takes predictions and gives labels and exits as `evaluation.route` does; knows neither right nor wrong.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.exits.answers import Judged
from offramp.exits.decision import Decision
from offramp.exits.score import PATIENCE, Floats

Labels = npt.NDArray[np.int64]


class Answered(NamedTuple):
    """What a plan answers, a row a sample in the order of the predictions."""

    label: Labels  # (N,)
    exit: Labels  # (N,): where it left, or was dropped; the last exit for the rest


@dataclass(frozen=True)
class Asked:
    """The labels and the scores of every exit that was asked for."""

    predictions: Predictions
    _labels: dict[int, Labels] = field(default_factory=dict, repr=False, compare=False)
    _scores: dict[tuple[int, str], Floats] = field(default_factory=dict, repr=False, compare=False)

    def labels(self, exit_: int) -> Labels:
        """Label of every sample at an exit `(N,)`."""
        if exit_ not in self._labels:
            self._labels[exit_] = self.predictions.at(exit_).argmax(axis=1)
        return self._labels[exit_]

    def scores(self, exit_: int, score: str) -> Floats:
        """Score of every sample at an exit `(N,)`; for patience, as that of a tier's first."""
        if (exit_, score) not in self._scores:
            self._scores[exit_, score] = Judged.of(self.predictions.at(exit_), score).scores
        return self._scores[exit_, score]

    def answers(self, plan: Plan) -> Answered:
        """Answer every sample as `evaluation.route` does; that the predictions are of its route was seen to."""
        last = self.predictions.last
        label, exit_ = self.labels(last).copy(), np.full(len(self.predictions), last)
        rows = np.arange(len(label))
        for part in plan.tiers.values():
            agree = np.zeros(len(label), np.int64)  # exits in a row with this label
            before = 0
            for position, active in enumerate(part.active):
                if active.exit == last:
                    return Answered(label, exit_)
                scores = self.scores(active.exit, plan.score)
                if plan.score == PATIENCE:
                    same = self.labels(active.exit) == self.labels(before) if before else np.zeros(len(label), np.bool_)
                    agree, before = np.where(same, agree, 0) + 1, active.exit
                    scores = 1 / agree
                decision = Decision.at(scores[rows], part, position)
                here = np.concatenate([rows[decision.exit], rows[decision.drop]])
                label[here], exit_[here] = self.labels(active.exit)[here], active.exit
                rows = rows[decision.forward]
            if part.cut == last:
                break
        return Answered(label, exit_)
