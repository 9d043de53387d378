"""Which score to leave by: the one whose plans cost least within a loss, on samples that plans are chosen on.

Takes predictions of a validation split and the costs of the bundle, gives a score's name. Refuses a test split.
"""

from itertools import combinations, islice, pairwise
from typing import get_args

import numpy as np

from offramp.artifacts.manifest import Manifest
from offramp.artifacts.plan import ScoreName
from offramp.artifacts.predictions import Predictions
from offramp.errors import InputError
from offramp.exits.score import PATIENCE, Floats
from offramp.plan.joint import Leaves, plans

STARTS = 3  # of each price's search: enough to tell scores apart
IN_A_ROW = (2, 3, 4)
SETS = 4096  # of exits that are tried, those of few exits first


def choose_score(predictions: Predictions, manifest: Manifest, max_loss: float) -> ScoreName:
    """The score by which the fewest multiply-adds are expected to lose at most `max_loss` of the last exit's accuracy.

    Where two cost the same, the one that comes first in `ScoreName`.
    """
    if predictions.header.split == "test":
        raise InputError(
            "predictions: of the test split, which only measures what was chosen. Choose a score on validation: "
            "offramp predict BUNDLE --split validation"
        )
    if not 0 <= max_loss < 1:
        raise InputError(f"max loss {max_loss:g}: expected a share from 0 on and below 1, such as 0.01.")
    costs = {name: cost(predictions, manifest, name, max_loss) for name in get_args(ScoreName)}
    return min(costs, key=lambda name: costs[name])


def cost(predictions: Predictions, manifest: Manifest, score: ScoreName, max_loss: float) -> float:
    """Least mean multiply-adds of the plans found by a score that are expected to lose at most `max_loss`."""
    leaves = Leaves.of(predictions, manifest, "entropy" if score == PATIENCE else score)
    found = [(leaves.end, 0.0)]
    if score == PATIENCE:
        found += _patient(leaves, predictions)
    else:
        scale = leaves.end / 0.01  # the whole network for a hundredth of accuracy
        found += map(leaves.mean, plans(leaves, scale * np.geomspace(0.02, 2, 20), STARTS))
    return min(cost for cost, loss in found if loss <= max_loss)


def _patient(leaves: Leaves, predictions: Predictions) -> list[tuple[float, float]]:
    """Mean cost and loss of every set of exits with so many in a row that agree."""
    labels = np.array([predictions.at(exit_).argmax(axis=1) for exit_ in predictions.header.exits[:-1]])
    exits, count = labels.shape
    found = []
    sets = (one for size in range(2, exits + 1) for one in combinations(range(exits), size))
    for chosen in islice(sets, SETS):
        patience = np.ones((exits, count))
        for before, here in pairwise(chosen):
            patience[here] = np.where(labels[here] == labels[before], patience[before] + 1, 1)
        patient = Leaves(1 / patience, leaves.losses, leaves.costs, leaves.heads, leaves.end)
        found += [patient.mean(_thresholds(exits, chosen, 1 / (row - 0.5))) for row in IN_A_ROW if row <= len(chosen)]
    return found


def _thresholds(exits: int, chosen: tuple[int, ...], threshold: float) -> Floats:
    found = np.zeros(exits)
    found[list(chosen)] = threshold
    return found
