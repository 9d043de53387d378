"""Do two sets of answers agree? The running nodes must give what the offline evaluation gives."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from offramp.artifacts.engine import Place, Precision
from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions, PredictionsHeader
from offramp.exits.answers import Answers, Judged
from offramp.exits.score import PATIENCE

EXACT = 0.0
# How far a score or a probability may be from another's of the same network where the two are not bit for bit the same.
# fp32: between two runtimes or two routes; 5e-6 is the most seen, a margin's, over 2,000 images at nine exits. bf16:
# between two batch sizes or numbers of threads, on the same spans. int8: between two processors, on the same spans.
# A codec: between two runtimes, a feature beside the edge of two of its steps takes the other one.
WITHIN: dict[Precision, float] = {"fp32": 1e-5, "bf16": 2e-3, "int8": 2e-3}
WITHIN_CODED = 2e-3


def tolerance(header: PredictionsHeader, plan: Plan, places: Sequence[Place | None]) -> tuple[float, str]:
    """How far answers by a plan may be from predictions, given where they were computed, and why so far.

    Nothing where fp32 or int8 ran the same spans on the same runtime and processor everywhere; a place that is not
    known is another one.
    """
    within = max(WITHIN[header.precision], WITHIN_CODED if header.coded else EXACT)
    if header.precision == "bf16":
        return within, "bf16 rounds by batch size and threads"
    if not header.follows(plan):
        return within, f"the predictions are of {header.route}"
    if not places or not all(header.place.alike(place) for place in places):
        return within, "the nodes' runtime or processor is not the predictions', or not known"
    return EXACT, "the same spans on the same runtime and processor"


@dataclass(frozen=True)
class Agreement:
    """What a comparison found. Rows in `near` are left out of it: rounding may send them either way."""

    n: int
    near: tuple[int, ...]  # rows nearer to a threshold, or to another label, than `within`
    swayed: int  # of them: those that did go the other way, in label, exit or tier
    labels: int  # samples whose label differs
    exits: int  # whose exit or tier differs, or whether it was dropped
    scores: int  # whose score differs by more than the tolerance
    first: int | None  # row of the first that differs
    within: float = EXACT
    why: str = ""  # the tolerance is what it is

    @property
    def ties(self) -> int:
        """How many were left out."""
        return len(self.near)

    @property
    def compared(self) -> int:
        """Samples that are no tie."""
        return self.n - self.ties

    @property
    def holds(self) -> bool:
        """Nothing differs."""
        return self.first is None


def ties(predictions: Predictions, plan: Plan, within: float) -> npt.NDArray[np.bool_]:
    """Samples that a difference of `within` may send the other way, or give the other of two labels.

    Of those that reach an exit: their score is so close to its threshold, or they may be answered there and two classes
    are so close in probability. None where numbers are the same.
    """
    found = np.zeros(len(predictions), np.bool_)
    if not within:
        return found
    reach = np.ones(len(predictions), np.bool_)  # some run of the same network may bring them so far
    for part in plan.tiers.values():
        judged: Judged | None = None
        for active in part.active:
            judged = Judged.of(predictions.at(active.exit), plan.score, judged)
            if active.exit == predictions.last:
                return found | reach & _swappable(judged, within)
            if plan.score == PATIENCE:  # the exits behind it count on from this label, whoever answers
                found |= reach & _swappable(judged, within)
            off = judged.scores - active.threshold
            here = off < within  # may be answered here
            found |= reach & (np.abs(off) <= within)
            if part.drop_threshold is not None and active is part.active[-1]:
                above = judged.scores - part.drop_threshold
                found |= reach & (np.abs(above) <= within)
                found |= reach & (above > -within) & _swappable(judged, within)
                reach &= above <= within
            found |= reach & here & _swappable(judged, within)
            reach &= off >= -within
        if part.cut == predictions.last:
            break
    return found | reach & _swappable(Judged.of(predictions.at(predictions.last), plan.score), within)


def _swappable(judged: Judged, gap: float) -> npt.NDArray[np.bool_]:
    if judged.probabilities.shape[1] < 2:
        return np.zeros(len(judged.scores), np.bool_)
    second, first = np.partition(judged.probabilities, -2, axis=1)[:, -2:].T
    found: npt.NDArray[np.bool_] = first - second <= gap
    return found


def compare(
    running: Answers, offline: Answers, tie: npt.NDArray[np.bool_], within: float = EXACT, why: str = ""
) -> Agreement:
    """Compare answers row by row; rows in `tie` are left out."""
    other = running.label != offline.label
    course = (running.exit != offline.exit) | (running.tier != offline.tier) | (running.dropped != offline.dropped)
    label, exit_ = other & ~tie, course & ~tie
    score = ~(np.abs(running.score - offline.score) <= within) & ~tie
    wrong = np.flatnonzero(label | exit_ | score)
    return Agreement(
        n=len(running),
        near=tuple(map(int, tie.nonzero()[0])),
        swayed=int(((other | course) & tie).sum()),
        labels=int(label.sum()),
        exits=int(exit_.sum()),
        scores=int(score.sum()),
        first=int(wrong[0]) if len(wrong) else None,
        within=within,
        why=why,
    )
