"""Candidates for a promise with a threshold of its own for each exit: found by losses that are expected, not counted.

Takes what a choice was made from, gives candidates with their figures. The plans that counted best are the ones that
were lucky on the samples they were chosen on; these are less so.
"""

from collections.abc import Callable, Iterable, Iterator
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
Costing = Callable[[tuple[int, ...]], Floats]  # of active exits, what a sample costs by where it is answered


def jointly(
    plain: Predictions, table: Table, prices: Prices, goal: Goal, crossings: Iterable[Crossing]
) -> Iterator[Candidate]:
    """For each crossing, plans for a range of prices of a lost answer that keep within the goal's other bounds."""
    losses, bounds = expected_losses(plain, CAUTION), replace(goal, accuracy=None)
    for crossing in crossings:
        for active, thresholds in tried(table, losses, before(table, crossing), costs_by(prices, goal, crossing)):
            found = Candidate.of(prices, table, active, thresholds, crossing)
            if bounds.met(found.figures):
                yield found


def tried(
    table: Table, losses: Floats, exits: tuple[int, ...], costs: Costing
) -> Iterator[tuple[tuple[int, ...], tuple[float, ...]]]:
    """Of exits some, each with its threshold, for a range of prices of a lost answer."""
    if not exits or not (whole := float(costs(exits)[-1])):
        return
    for at in plans(leaves(table, losses, exits, costs), 100 * whole * RATES, STARTS):
        yield tuple(k for k, threshold in zip(exits, at, strict=True) if threshold), tuple(map(float, at[at > 0]))


def before(table: Table, crossing: Crossing) -> tuple[int, ...]:
    """The exits that a plan with this crossing may have."""
    return tuple(k for k in table.exits if not crossing.cut or k <= crossing.cut)


def costs_by(prices: Prices, goal: Goal, crossing: Crossing) -> Costing:
    """What is to be least of plans with this crossing."""
    return lambda exits: prices.path(exits, crossing).costs(goal.minimise)


def leaves(table: Table, losses: Floats, exits: tuple[int, ...], costs: Costing) -> Leaves:
    """What it costs to leave at each of some exits; `losses` are `(exits, N)` as the table's scores are.

    A head's price is what the whole costs more with it than without.
    """
    rows, found = [table.row(k) for k in exits], costs(exits)
    others = [float(costs(exits[:j] + exits[j + 1 :])[-1]) for j in range(len(exits))]
    heads = np.maximum(found[-1] - np.array(others), 0.0)
    passed = heads.cumsum()
    return Leaves(table.scores[rows], losses[rows], found[:-1] - passed, heads, float(found[-1] - passed[-1]))
