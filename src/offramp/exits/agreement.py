"""Do two sets of answers agree? The running nodes must give what the offline evaluation gives."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from offramp.artifacts.engine import Precision
from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.exits.answers import Answers, Judged


@dataclass(frozen=True)
class Tolerance:
    """How far apart two runs of the same graph may be."""

    tie: float  # a score this close to a threshold may go either way
    score: float  # largest difference of a score
    gap: float = 0.0  # two most likely classes this close in probability may change places


# fp32: between two batch sizes, two runtimes or two machines. Below it a span rounds where it ends, so that the edge's
# part and the cloud's, run one after the other, round otherwise than the whole in one. Seen on 2,000 CIFAR-10 images at
# cuts 1, 3 and 7 of a MEM, same runtime: a score differs by 1.1e-2 at most in bf16, by 1.2e-4 in int8.
TOLERANCES: dict[Precision, Tolerance] = {
    "fp32": Tolerance(tie=1e-5, score=1e-4),
    "bf16": Tolerance(tie=2e-2, score=2e-2, gap=2e-2),
    "int8": Tolerance(tie=2e-3, score=2e-3, gap=2e-3),
}
FP32 = TOLERANCES["fp32"]
TIE, SCORE_TOLERANCE = FP32.tie, FP32.score


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
    def compared(self) -> int:
        """Samples that are no tie: rounding may send a tie either way."""
        return self.n - self.ties

    @property
    def holds(self) -> bool:
        """Nothing differs."""
        return self.first is None


def ties(predictions: Predictions, plan: Plan, tolerance: Tolerance = FP32) -> npt.NDArray[np.bool_]:
    """Samples that rounding may send the other way, or give the other of two labels.

    Their score is close to a threshold of the plan, or two classes are as good as equally likely at an exit they reach.
    """
    found = np.zeros(len(predictions), np.bool_)
    for active in plan.active:
        judged = Judged.of(predictions.at(active.exit), plan.score)
        scores = judged.scores
        found |= _swappable(judged, tolerance.gap)
        limits = [active.threshold]
        if plan.drop_threshold is not None and active is plan.active[-1]:
            limits.append(plan.drop_threshold)
        for limit in limits:
            found |= np.abs(scores - limit) <= tolerance.tie
    return found | _swappable(Judged.of(predictions.at(predictions.last), plan.score), tolerance.gap)


def _swappable(judged: Judged, gap: float) -> npt.NDArray[np.bool_]:
    if not gap or judged.probabilities.shape[1] < 2:
        return np.zeros(len(judged.scores), np.bool_)
    second, first = np.partition(judged.probabilities, -2, axis=1)[:, -2:].T
    found: npt.NDArray[np.bool_] = first - second <= gap
    return found


def compare(running: Answers, offline: Answers, tie: npt.NDArray[np.bool_], tolerance: Tolerance = FP32) -> Agreement:
    """Compare answers row by row; rows in `tie` are left out."""
    label = (running.label != offline.label) & ~tie
    course = (running.exit != offline.exit) | (running.tier != offline.tier) | (running.dropped != offline.dropped)
    exit_ = course & ~tie
    score = ~(np.abs(running.score - offline.score) <= tolerance.score) & ~tie
    wrong = np.flatnonzero(label | exit_ | score)
    return Agreement(
        n=len(running),
        ties=int(tie.sum()),
        labels=int(label.sum()),
        exits=int(exit_.sum()),
        scores=int(score.sum()),
        first=int(wrong[0]) if len(wrong) else None,
    )
