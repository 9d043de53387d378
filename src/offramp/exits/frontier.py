"""What accuracy costs: average multiply-adds against accuracy, several exits active, as the threshold moves."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from offramp.artifacts.macs import macs_until
from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.exits.evaluation import route


class FrontierPoint(NamedTuple):
    """Every sample leaves at the first active exit whose score is below `threshold`, or at the last."""

    threshold: float
    macs: float  # mean over samples
    accuracy: float


def frontier(
    predictions: Predictions,
    stage_macs: Mapping[int, int],
    head_macs: Mapping[int, int],
    active: tuple[int, ...],
    thresholds: Iterable[float],
    score: str = "entropy",
) -> tuple[FrontierPoint, ...]:
    """Give a point a threshold, the same at every active exit. No label takes part but in the accuracy.

    `stage_macs` counts every stage of the network, `head_macs` the head of every exit; `active` are local exits.
    """
    points = []
    for threshold in thresholds:
        exits = [{"exit": exit_, "threshold": threshold} for exit_ in active]
        answers = route(predictions, Plan.checked(active=exits, cut=predictions.last, score=score))
        left = {int(k): int((answers.exit == k).sum()) for k in np.unique(answers.exit)}
        macs = sum(n * macs_until(k, stage_macs, head_macs, active) for k, n in left.items()) / len(answers)
        points.append(FrontierPoint(float(threshold), macs, float((answers.label == predictions.labels).mean())))
    return tuple(points)
