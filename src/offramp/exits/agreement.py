"""Do two sets of answers agree? The running nodes must give what the offline evaluation gives."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.exits.answers import Answers, Judged

TIE = 1e-5  # a score this close to the threshold may go either way: runtimes differ by rounding
SCORE_TOLERANCE = 1e-4  # of a score, between two batch sizes or two machines on the same graph


@dataclass(frozen=True)
class Agreement:
    """What a comparison found. `ties` are left out of the comparison, and counted."""

    n: int
    ties: int
    labels: int  # samples whose label differs
    exits: int  # whose exit or tier differs, or whether it was dropped
    scores: int  # whose score differs by more than the tolerance
    first: int | None  # row of the first that differs

    @property
    def holds(self) -> bool:
        """Nothing differs."""
        return self.first is None


def ties(predictions: Predictions, plan: Plan) -> npt.NDArray[np.bool_]:
    """Samples with a score so close to a threshold of the plan that rounding may send them the other way."""
    found = np.zeros(len(predictions), np.bool_)
    for active in plan.active:
        scores = Judged.of(predictions.at(active.exit), plan.score).scores
        limits = [active.threshold]
        if plan.drop_threshold is not None and active is plan.active[-1]:
            limits.append(plan.drop_threshold)
        for limit in limits:
            found |= np.abs(scores - limit) <= TIE
    return found


def compare(running: Answers, offline: Answers, tie: npt.NDArray[np.bool_]) -> Agreement:
    """Compare answers row by row; rows in `tie` are left out."""
    label = (running.label != offline.label) & ~tie
    course = (running.exit != offline.exit) | (running.tier != offline.tier) | (running.dropped != offline.dropped)
    exit_ = course & ~tie
    score = ~(np.abs(running.score - offline.score) <= SCORE_TOLERANCE) & ~tie
    wrong = np.flatnonzero(label | exit_ | score)
    return Agreement(
        n=len(running),
        ties=int(tie.sum()),
        labels=int(label.sum()),
        exits=int(exit_.sum()),
        scores=int(score.sum()),
        first=int(wrong[0]) if len(wrong) else None,
    )
