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
from offramp.plan.joint import CAUTION, Leaves, plans
from offramp.plan.pricing import Prices
from offramp.plan.table import Crossing, Table

RATES = np.geomspace(0.02, 2, 20)  # of the whole network's cost, for a hundredth of accuracy
STARTS = 4  # of each rate's search


def jointly(
    plain: Predictions, table: Table, prices: Prices, goal: Goal, crossings: Iterable[Crossing]
) -> Iterator[Candidate]:
    """For each crossing, plans for a range of prices of a lost answer that keep within the goal's other bounds."""
    losses, bounds = expected_losses(plain, CAUTION), replace(goal, accuracy=None)
    for crossing in crossings:
        exits = before(table, crossing)
        if not exits or not (whole := _end(prices, exits, crossing, goal)):
            continue
        for at in plans(leaves(table, losses, prices, goal, crossing), 100 * whole * RATES, STARTS):
            active = tuple(k for k, threshold in zip(exits, at, strict=True) if threshold)
            thresholds = tuple(map(float, at[at > 0]))
            found = Candidate.of(prices, table, active, thresholds, crossing)
            if bounds.met(found.figures):
                yield found


def before(table: Table, crossing: Crossing) -> tuple[int, ...]:
    """The exits that a plan with this crossing may have."""
    return tuple(k for k in table.exits if not crossing.cut or k <= crossing.cut)


def leaves(table: Table, losses: Floats, prices: Prices, goal: Goal, crossing: Crossing) -> Leaves:
    """What it costs to leave at each exit before a crossing; `losses` are `(exits, N)` as the table's scores are.

    A head's price is what the whole costs more with it than without.
    """
    exits = before(table, crossing)
    rows, costs = [table.row(k) for k in exits], _costs(prices, exits, crossing, goal)
    others = [_end(prices, exits[:j] + exits[j + 1 :], crossing, goal) for j in range(len(exits))]
    heads = np.maximum(costs[-1] - np.array(others), 0.0)
    passed = heads.cumsum()
    return Leaves(table.scores[rows], losses[rows], costs[:-1] - passed, heads, float(costs[-1] - passed[-1]))


def _costs(prices: Prices, exits: tuple[int, ...], crossing: Crossing, goal: Goal) -> Floats:
    """What is to be least, of a sample by where it is answered."""
    return prices.path(exits, crossing).costs(goal.minimise)


def _end(prices: Prices, exits: tuple[int, ...], crossing: Crossing, goal: Goal) -> float:
    return float(_costs(prices, exits, crossing, goal)[-1])
