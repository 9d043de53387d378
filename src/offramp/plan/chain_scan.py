"""Every plan of three tiers with one threshold: all sets of exits by all pairs of crossings at every threshold, exact.

Takes tables, prices and a goal; keeps of each set the best shapes for every choice of tiers that compute. One pass of
numpy prices all shapes of a set at all thresholds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from offramp.exits.score import Floats
from offramp.plan.chain_path import ChainFigures, ChainPrices, Shape, priced
from offramp.plan.chain_table import ChainTable, hops, lossy
from offramp.plan.goal import Goal
from offramp.plan.leaving import Leaving, walk
from offramp.plan.pricing import ROUNDING
from offramp.plan.search import most_exits
from offramp.plan.table import Bools, Crossing, Table

MOST_SETS = 1024  # of exits, each by some hundred pairs of crossings
KEPT = 3  # shapes of a set, for each choice of tiers


@dataclass(frozen=True)
class Best:
    """A shape at its best threshold."""

    shape: Shape
    threshold: float
    figures: ChainFigures
    tiers: tuple[str, ...]  # that compute


@dataclass(frozen=True)
class ChainScan:
    """What is worth a look, of `count` plans."""

    grid: Floats
    count: int
    best: tuple[Best, ...]

    @classmethod
    def of(cls, table: ChainTable, prices: ChainPrices, goal: Goal, grid: Floats | None = None) -> "ChainScan":
        """Price every plan, and keep the best."""
        grid, count = table.plain.grid() if grid is None else grid, 0
        most = most_exits(len(table.plain.exits), MOST_SETS)
        best: list[Best] = []
        for of, firsts in table.groups():
            ends = _ends(table, firsts)
            for leaving in walk(_with(of, ends), grid, most):
                shapes = list(shapes_of(table, firsts, leaving.exits, prices.direct is not None))
                if shapes:
                    found = _priced(shapes, prices, leaving)
                    count += len(shapes) * (len(grid) if leaving.exits else 1)
                    best += _kept(shapes, found, goal, grid, table.last)
        return cls(grid, count, tuple(best))


def shapes_of(table: ChainTable, firsts: Sequence[Crossing], exits: tuple[int, ...], direct: bool) -> Iterator[Shape]:
    """All shapes of a set of exits by some first crossings, each with every second one that is known or hoped for."""
    end = Crossing(table.last, "fp32")
    deepest = exits[-1] if exits else 0
    for first in firsts:
        if first == end:
            yield Shape(exits, end, (), end)
            continue
        heard = table.hopes or not lossy(first) or first in table.behind
        for device, edge in _split(exits, first.cut):
            if edge and not heard:
                continue
            if direct and not edge and table.end((first, first)) is not None:
                yield Shape(device, first, (), first, True)
            for second in table.crossings:
                ahead = second.cut >= max(first.cut, deepest if edge else 0) or (second.cut == first.cut == 0)
                relayed = second.cut == first.cut and first.codec not in ("fp32", second.codec) and first.cut > 0
                if ahead and not relayed and table.end((first, second)) is not None:
                    yield Shape(device, first, edge, second)


def _split(exits: tuple[int, ...], cut: int) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Which exits are the device's, and which the edge's, where the first cut is here."""
    if cut:
        yield tuple(k for k in exits if k <= cut), tuple(k for k in exits if k > cut)
        return
    for place in range(len(exits) + 1):  # the input goes on: behind any of them
        yield exits[:place], exits[place:]


def _ends(table: ChainTable, firsts: Sequence[Crossing]) -> dict[tuple[Crossing, Crossing], Bools]:
    """Who is right at the end, by each pair of hops that is known or hoped for."""
    pairs = [(first, second) for first in firsts for second in table.crossings]
    return {pair: end for pair in pairs if (end := table.end(pair)) is not None}


def _with(table: Table, ends: dict[tuple[Crossing, Crossing], Bools]) -> Table:
    """A table whose ends are by pairs: `walk` asks of them only what is right there."""
    return Table(table.exits, table.last, table.scores, table.right, ends)  # type: ignore[arg-type]


def _priced(shapes: Sequence[Shape], prices: ChainPrices, leaving: Leaving) -> ChainFigures:
    left = np.vstack([leaving.left, leaving.onward])
    at_end = np.stack([leaving.ends[hops(shape)] for shape in shapes])  # type: ignore[index]
    return priced([prices.path(shape) for shape in shapes], left, leaving.right.sum(axis=0) + at_end)


def _kept(shapes: Sequence[Shape], found: ChainFigures, goal: Goal, grid: Floats, last: int) -> Iterator[Best]:
    """For each choice of tiers the best few shapes, each at its best threshold by which all of them are reached.

    Where nobody comes to the last of them, the same exits of fewer tiers answer alike, and are priced as well.
    """
    kinds = [shape.computes(last) for shape in shapes]
    deepest = {"device": found.at_device, "edge": found.at_edge, "cloud": found.onward}
    reached = np.array([deepest[tiers[-1]][row] > ROUNDING for row, tiers in enumerate(kinds)])
    missed: Floats = np.where(reached, np.round(goal.missed(found), 12), np.inf)
    least = missed == missed.min(axis=1, keepdims=True)
    cost: Floats = np.where(least, np.round(goal.cost(found), 12), np.inf)
    cheapest = cost == cost.min(axis=1, keepdims=True)
    at = np.where(cheapest, np.round(found.accuracy, 12), -np.inf).argmax(axis=1)
    rows = np.arange(len(shapes))
    keys = (-found.accuracy[rows, at], cost[rows, at], missed[rows, at])
    seen: dict[tuple[str, ...], int] = {}
    for row in np.lexsort(keys):
        tiers = kinds[row]
        seen[tiers] = seen.get(tiers, 0) + 1
        if seen[tiers] <= KEPT and np.isfinite(missed[row, at[row]]):
            yield Best(shapes[row], float(grid[at[row]]), found.at(row, at[row]), tiers)
