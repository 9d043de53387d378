"""Candidates for a promise with a threshold of its own for each exit: found by losses that are expected, not counted.

Takes what a choice was made from, gives candidates with their figures. The plans that counted best are the ones that
were lucky on the samples they were chosen on; these are less so.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from offramp.artifacts.predictions import Predictions
from offramp.exits.posterior import expected_losses
from offramp.exits.score import Floats
from offramp.plan.candidate import Candidate
from offramp.plan.goal import Goal
from offramp.plan.joint import Leaves, plans
from offramp.plan.pricing import Prices, figures_of
from offramp.plan.refine import costs_of
from offramp.plan.table import Crossing, Table

RATES = np.geomspace(0.02, 2, 20)  # of the whole network's cost, for a hundredth of accuracy
STARTS = 4  # of each rate's search


def jointly(
    plain: Predictions, table: Table, prices: Prices, goal: Goal, crossings: Iterable[Crossing]
) -> Iterator[Candidate]:
    """For each crossing, plans for a range of prices of a lost answer that keep within the goal's other bounds."""
    losses, bounds = expected_losses(plain), replace(goal, accuracy=None)
    for crossing in crossings:
        exits = tuple(k for k in table.exits if not crossing.cut or k <= crossing.cut)
        if not exits or not (ends := _end(prices, exits, crossing, goal)):
            continue
        rows = [table.row(k) for k in exits]
        heads = np.array([ends - _end(prices, exits[:j] + exits[j + 1 :], crossing, goal) for j in range(len(exits))])
        heads = np.maximum(heads, 0.0)
        here = _costs(prices, exits, crossing, goal)[:-1] - heads.cumsum()
        leaves = Leaves(table.scores[rows], losses[rows], here, heads, ends - float(heads.sum()))
        for at in plans(leaves, 100 * ends * RATES, STARTS):
            active = tuple(k for k, threshold in zip(exits, at, strict=True) if threshold)
            thresholds = tuple(map(float, at[at > 0]))
            found = figures_of(prices, table, active, thresholds, crossing)
            if bounds.met(found):
                yield Candidate(active, thresholds, crossing, found)


def _costs(prices: Prices, exits: tuple[int, ...], crossing: Crossing, goal: Goal) -> Floats:
    """What is to be least, of a sample by where it is answered."""
    return costs_of(prices.path(exits, crossing), goal)


def _end(prices: Prices, exits: tuple[int, ...], crossing: Crossing, goal: Goal) -> float:
    return float(_costs(prices, exits, crossing, goal)[-1])
