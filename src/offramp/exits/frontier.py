"""What accuracy costs: average multiply-adds against accuracy, several exits active, as the threshold moves."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.exits.evaluation import route


class Point(NamedTuple):
    """Every sample leaves at the first active exit whose score is below `threshold`, or at the last."""

    threshold: float
    macs: float  # mean over samples
    accuracy: float


def cost(exit_: int, active: tuple[int, ...], stage_macs: Mapping[int, int], head_macs: Mapping[int, int]) -> int:
    """Multiply-adds of a sample that leaves at `exit_`, having passed the active heads before it.

    >>> cost(2, (1, 2, 3), {1: 100, 2: 100, 3: 100}, {1: 1, 2: 2, 3: 3})
    203
    """
    heads = {k for k in active if k <= exit_} | {exit_}
    return sum(macs for stage, macs in stage_macs.items() if stage <= exit_) + sum(head_macs[k] for k in heads)


def frontier(
    predictions: Predictions,
    stage_macs: Mapping[int, int],
    head_macs: Mapping[int, int],
    active: tuple[int, ...],
    thresholds: Iterable[float],
    score: str = "entropy",
) -> tuple[Point, ...]:
    """Give a point a threshold, the same at every active exit. No label takes part but in the accuracy.

    `stage_macs` counts every stage of the network, `head_macs` the head of every exit; `active` are local exits.
    """
    points = []
    for threshold in thresholds:
        exits = [{"exit": exit_, "threshold": threshold} for exit_ in active]
        answers = route(predictions, Plan.checked(active=exits, cut=predictions.last, score=score))
        left = {int(exit_): int((answers.exit == exit_).sum()) for exit_ in np.unique(answers.exit)}
        macs = sum(count * cost(exit_, active, stage_macs, head_macs) for exit_, count in left.items()) / len(answers)
        points.append(Point(float(threshold), macs, float((answers.label == predictions.labels).mean())))
    return tuple(points)
