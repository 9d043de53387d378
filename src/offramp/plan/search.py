"""The search: every set of exits at every threshold of a grid by every crossing, exactly; then thresholds per exit.

Takes a table, prices and a goal; gives candidates with their figures. Runs nothing, and learns of labels only what a
candidate's accuracy says.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import comb
from typing import Self

import numpy as np
import numpy.typing as npt

from offramp.exits.score import Floats
from offramp.plan.candidate import Candidate
from offramp.plan.goal import Goal, front
from offramp.plan.leaving import walk
from offramp.plan.pricing import Columns, Prices, priced
from offramp.plan.refine import Start, refined
from offramp.plan.table import Crossing, Table

MOST_SETS = 4096  # of exits, each with as many crossings: every set of 12 exits, and of more those with fewer exits
STARTS = 12  # sets of exits with their crossings, of which the thresholds are moved one by one


@dataclass(frozen=True)
class Scan:
    """Every plan with one threshold for all its exits: `P` of them, as columns."""

    grid: Floats
    sets: tuple[tuple[int, ...], ...]
    crossings: tuple[Crossing, ...]
    which: npt.NDArray[np.int32]  # (P, 3): set, crossing, threshold
    figures: Columns  # (P,)

    def __len__(self) -> int:
        return len(self.which)

    @classmethod
    def of(cls, table: Table, prices: Prices, grid: Floats | None = None) -> Self:
        """Price them all. Of more than 12 exits, sets of so many that there are no more than MOST_SETS."""
        grid = table.grid() if grid is None else grid
        ways = {way: number for number, way in enumerate(table.ends)}
        sets: list[tuple[int, ...]] = []
        which: list[npt.NDArray[np.int32]] = []
        found: list[Columns] = []
        for leaving in walk(table, grid, most_exits(len(table.exits))):
            count = len(grid) if leaving.exits else 1
            for way, figures in priced(prices, table, leaving):
                places = np.empty((count, 3), np.int32)
                places[:, 0], places[:, 1], places[:, 2] = len(sets), ways[way], np.arange(count)
                which.append(places)
                found.append(Columns(*(column[:count] for column in figures)))
            sets.append(leaving.exits)
        figures = Columns(*(np.concatenate(column) for column in zip(*found, strict=True)))
        return cls(grid, tuple(sets), tuple(ways), np.concatenate(which), figures)

    def at(self, place: int) -> Candidate:
        """One of them."""
        number, way, threshold = map(int, self.which[place])
        exits = self.sets[number]
        thresholds = (float(self.grid[threshold]),) * len(exits)
        return Candidate(exits, thresholds, self.crossings[way], self.figures.at(place))

    @cached_property
    def groups(self) -> npt.NDArray[np.int64]:
        """A number for each set of exits with a crossing `(P,)`."""
        return self.which[:, 0].astype(np.int64) * len(self.crossings) + self.which[:, 1]

    def leaders(self, order: npt.NDArray[np.intp], most: int) -> list[int]:
        """The first of each of the first so many groups, in an order of places."""
        _, first = np.unique(self.groups[order], return_index=True)
        return [int(order[k]) for k in np.sort(first)[:most]]

    def front(self, goal: Goal) -> npt.NDArray[np.intp]:
        """Places that no other beats in what is to be least and accuracy, of those within the other bounds."""
        within = np.flatnonzero(replace(goal, accuracy=None).missed(self.figures) == 0)
        cost = self.figures.mean if goal.minimise == "loss" else goal.cost(self.figures)
        return within[front(cost[within], self.figures.accuracy[within])]


def most_exits(count: int, allowed: int = MOST_SETS) -> int:
    """How many exits a set may have, of so many, where so many sets are allowed.

    >>> most_exits(8), most_exits(12), most_exits(40)
    (8, 12, 2)
    """
    sets, most = 1, 0
    while most < count and sets + comb(count, most + 1) <= allowed:
        most += 1
        sets += comb(count, most)
    return most


def search(scan: Scan, table: Table, prices: Prices, goal: Goal, starts: int = STARTS) -> list[Candidate]:
    """Candidates for a goal, the best first: of one threshold the best of each group, and those with thresholds moved.

    The first meets the goal if any does; if none does, it is the nearest.
    """
    order = goal.ranked(scan.figures)
    leaders = [scan.at(place) for place in scan.leaders(order, starts)]
    others = [one for leader in leaders for one in moved(leader, table, prices, goal, scan.grid)]
    found = ranked([*leaders, *others], goal)
    if starts < STARTS:
        return found
    best = ranked([*found, *moved(found[0], table, prices, goal, scan.grid, thorough=True)], goal)
    return ranked([*best, *fewer(best[0], table, prices, goal)], goal)


def at_the_edge(one: Candidate, table: Table, prices: Prices) -> Candidate:
    """The same; of a plan that leaves none of these samples to a cloud, the one that never leaves any.

    It costs the same, and of other samples, too, it needs no cloud.
    """
    here = Crossing(table.last, "fp32")
    if one.figures.onward or one.crossing == here or here not in table.ends:
        return one
    return replace(one, crossing=here).on(prices, table)


def fewer(best: Candidate, table: Table, prices: Prices, goal: Goal) -> Iterator[Candidate]:
    """The same without exits at which hardly anybody leaves, for as long as that is better."""
    tried = []
    for place in range(len(best.exits)):
        exits = best.exits[:place] + best.exits[place + 1 :]
        thresholds = best.thresholds[:place] + best.thresholds[place + 1 :]
        tried.append(replace(best, exits=exits, thresholds=thresholds).on(prices, table))
    if tried and ranked([best, *tried], goal)[0] is not best:
        better = ranked(tried, goal)[0]
        yield better
        yield from fewer(better, table, prices, goal)


def ranked(candidates: Iterable[Candidate], goal: Goal) -> list[Candidate]:
    """The best first; of the same figures, the one with fewer exits."""
    pool = sorted(candidates, key=lambda one: len(one.exits))
    return [pool[k] for k in goal.ranked(Columns.of(one.figures for one in pool))]


def moved(
    leader: Candidate, table: Table, prices: Prices, goal: Goal, grid: Floats, *, thorough: bool = False
) -> list[Candidate]:
    """The same exits and crossing with thresholds of their own; `thorough` takes as long as all else."""
    if len(leader.exits) < 2:  # one exit's thresholds were all tried
        return []
    path = prices.path(leader.exits, leader.crossing)
    start = Start(leader.exits, leader.thresholds, leader.crossing)
    return [
        Candidate(leader.exits, thresholds, leader.crossing, found)
        for thresholds, found in refined(path, table, start, goal, grid, thorough=thorough)
    ]


def chain(
    scan: Scan, table: Table, prices: Prices, goal: Goal, accuracies: Sequence[float], starts: int = 3
) -> list[Candidate]:
    """Plans from the most accurate to the cheapest, none of which another beats: the best at each of some accuracies.

    What a promise is looked for along: its order is set by these samples, and others decide how far it holds.
    """
    found = [scan.at(int(place)) for place in scan.front(goal)]
    for accuracy in accuracies:
        aim = replace(goal, accuracy=accuracy)
        found += [one for one in search(scan, table, prices, aim, starts) if aim.met(one.figures)][:starts]
    columns = Columns.of(one.figures for one in found)
    kept = front(columns.mean if goal.minimise == "loss" else goal.cost(columns), columns.accuracy)
    return [found[k] for k in reversed(kept)]
