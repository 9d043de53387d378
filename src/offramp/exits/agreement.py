"""Do two sets of answers agree? The running nodes must give what the offline evaluation gives."""

from dataclasses import dataclass

import numpy as np

from offramp.exits.answers import Answers
from offramp.exits.score import Floats

TIE = 1e-5  # a score this close to the threshold may go either way: runtimes differ by rounding
SCORE_TOLERANCE = 1e-4  # of a score, between two batch sizes or two machines on the same graph


@dataclass(frozen=True)
class Agreement:
    """What a comparison found. `ties` are left out of the comparison, and counted."""

    n: int
    ties: int
    labels: int  # samples whose label differs
    exits: int  # whose exit differs
    scores: int  # whose score differs by more than the tolerance
    first: int | None  # row of the first that differs

    @property
    def holds(self) -> bool:
        """Nothing differs."""
        return self.first is None


def compare(running: Answers, offline: Answers, scores_at_exit: Floats, threshold: float) -> Agreement:
    """Compare answers row by row; `scores_at_exit` are all samples' scores at the local exit, in double precision."""
    tie = np.abs(scores_at_exit - threshold) <= TIE
    label = (running.label != offline.label) & ~tie
    exit_ = (running.exit != offline.exit) & ~tie
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
