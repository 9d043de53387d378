"""Risk against coverage: how wrong an exit is on the samples that it is surest of, as ever more of them leave there.

After El-Yaniv & Wiener, "On the Foundations of Noise-free Selective Classification", JMLR 11, 2010.
"""

from typing import NamedTuple

import numpy as np

from offramp.artifacts.predictions import Predictions
from offramp.exits.answers import Judged
from offramp.exits.score import Floats

POINTS = 200  # of a curve: more cannot be told apart in a drawing


class Coverage(NamedTuple):
    """Rising points of a curve, all arrays of one length; samples of the same score leave together."""

    threshold: Floats  # just above this score
    share: Floats  # of all samples leaves, in (0, 1]
    risk: Floats  # and so many of those are answered wrong, in [0, 1]


def coverage(predictions: Predictions, exit_: int, score: str = "entropy", points: int = POINTS) -> Coverage:
    """The curve of an exit, every sample asked there; at most so many points, evenly over the ranks.

    Of no samples, a curve without points.
    """
    judged = Judged.of(predictions.at(exit_), score)
    order = np.argsort(judged.scores, kind="stable")
    scores = judged.scores[order]
    wrong = np.cumsum((judged.probabilities.argmax(axis=1) != predictions.labels)[order])
    ends = np.flatnonzero(np.append(scores[1:] != scores[:-1], [True] * (len(scores) > 0)))
    kept = ends[np.unique(np.linspace(0, len(ends) - 1, min(points, len(ends))).astype(np.intp))]
    return Coverage(scores[kept], (kept + 1) / max(len(scores), 1), wrong[kept] / (kept + 1))
