"""Thresholds of their own for each exit of a set: found by moving one at a time, from one that all share.

At a price of accuracy in what is to be least, the best threshold of one exit, the others as they are, is one count over
all samples; so is, with the price left out, the best that keeps within a bound. The price is bisected until the goal is
just met. Not exhaustive: how far from it is measured (docs/planning.md).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from offramp.exits.score import Floats
from offramp.plan.goal import Goal, Measured
from offramp.plan.pricing import at_each
from offramp.plan.table import Bools, Counts, Crossing, Table, bins

SWEEPS = 6  # through all exits at one price, at most: two or three settle
PRICES = 10  # tried
PUSHES = (-8, -3, -1, 1, 3, 8)  # places in the grid
ROUNDS = 3
EQUAL = 1e-12


F = TypeVar("F", bound=Measured)
F_co = TypeVar("F_co", bound=Measured, covariant=True)


class Way(Protocol[F_co]):
    """A sample's way through a plan, by where it is answered, of however many tiers."""

    def one(self, left: Floats, right: Floats) -> F_co:
        """Figures of shares `left` answered at each exit and the end, `right` of all that are right: `(places, 1)`."""

    def costs(self, minimise: str) -> Floats:
        """What is to be least, of a sample by where it is answered."""


class Start(NamedTuple):
    """Where the search begins."""

    exits: tuple[int, ...]
    thresholds: tuple[float, ...]
    crossing: Crossing


@dataclass(frozen=True)
class Moves(Generic[F]):
    """A set of exits by a crossing, ready for its thresholds, as places in the grid, to be moved."""

    path: Way[F]
    placed: Counts  # (exits, N)
    right: Bools  # (exits + 1, N)
    costs: Floats  # (exits + 1,): of a sample, by where it is answered
    size: int  # of the grid

    def left(self, at: npt.NDArray[np.intp]) -> Counts:
        """By which exit each sample leaves, the end last."""
        gone = np.vstack([self.placed <= at[:, None], np.ones(self.placed.shape[1], np.bool_)])
        left: Counts = gone.argmax(axis=0)
        return left

    def figures(self, at: npt.NDArray[np.intp]) -> F:
        """What it comes to."""
        left, (count, n) = self.left(at), self.right.shape
        right = self.right[left, np.arange(n)]
        gone, rightly = (np.bincount(of, minlength=count)[:, None] / n for of in (left, left[right]))
        return self.path.one(gone, rightly)

    def by(self, exit_: int, at: npt.NDArray[np.intp]) -> tuple[Floats, Floats]:
        """Cost and rightness, summed over all samples, of each threshold of one exit, the others as they are."""
        others = self.placed <= at[:, None]
        others[exit_] = False
        n, rows = self.placed.shape[1], np.arange(self.placed.shape[1])
        without = np.vstack([others, np.ones(n, np.bool_)]).argmax(axis=0)
        cost, right = self.costs[without], self.right[without, rows]
        reach = without > exit_  # they leave here if they may
        at_here = self.placed[exit_][reach]
        gained = self.right[exit_][reach].astype(np.float64) - right[reach]
        saved = self.costs[exit_] - cost[reach]
        costs = np.bincount(at_here, weights=saved, minlength=self.size + 1).cumsum()[: self.size]
        rights = np.bincount(at_here, weights=gained, minlength=self.size + 1).cumsum()[: self.size]
        return cost.sum() + costs, right.sum() + rights

    def total(self, at: npt.NDArray[np.intp]) -> float:
        """Cost, summed over all samples."""
        return float(self.by(0, at)[0][at[0]])

    def settled(self, at: npt.NDArray[np.intp], price: float) -> npt.NDArray[np.intp]:
        """Move until nothing helps, where a right answer is worth `price` in cost."""
        at, worth = at.copy(), price * self.right - self.costs[:, None]
        for _ in range(SWEEPS):
            before, end, later = at.copy(), len(at), worth[-1]
            reached = [np.ones(len(later), np.bool_)]
            for exit_ in range(end - 1):
                reached.append(reached[-1] & (self.placed[exit_] > at[exit_]))
            for exit_ in reversed(range(end)):  # from the last on, so that what a sample is worth behind is known
                rows = np.flatnonzero(reached[exit_])
                gained = worth[exit_][rows] - later[rows]
                by = np.bincount(self.placed[exit_][rows], weights=gained, minlength=self.size + 1)
                at[exit_] = int(by.cumsum()[: self.size].argmax())
                later = np.where(self.placed[exit_] <= at[exit_], worth[exit_], later)
            if (at == before).all():
                break
        return at

    def within(self, at: npt.NDArray[np.intp], accuracy: float, but: int | None = None) -> npt.NDArray[np.intp]:
        """Move each once, `but` one, to the cheapest that is right often enough."""
        at, least = at.copy(), accuracy * self.placed.shape[1] - 0.5e-6
        for exit_ in range(len(at)):
            if exit_ == but:
                continue
            costs, rights = self.by(exit_, at)
            allowed = rights >= least
            if allowed.any():
                at[exit_] = int(np.where(allowed, costs, np.inf).argmin())
        return at


def refined(
    path: Way[F], table: Table, start: Start, goal: Goal, grid: Floats, *, thorough: bool = False
) -> Iterator[tuple[tuple[float, ...], F]]:
    """Thresholds that were looked at, with their figures; the good ones are among them.

    `thorough`: from the best of them on, each threshold is pushed a little to either side and the others made the best
    of it, for as long as that helps.
    """
    rows = [table.row(exit_) for exit_ in start.exits]
    right = at_each(table, start.exits, start.crossing)
    moves = Moves(path, bins(table.scores[rows], grid), right, path.costs(goal.minimise), len(grid))
    at = np.searchsorted(grid, np.array(start.thresholds)).astype(np.intp)
    seen: dict[tuple[int, ...], F] = {}

    def look(at: npt.NDArray[np.intp]) -> F:
        key = tuple(map(int, at))
        if key not in seen:
            seen[key] = moves.figures(at)
        return seen[key]

    low, high, price = 0.0, np.inf, _price(moves, at)
    for _ in range(PRICES):
        at = moves.settled(at, price)
        accurate = _accurate_enough(goal, look(at))
        low, high = (low, price) if accurate else (price, high)
        price = price * 4 if high == np.inf else (high / 4 if low == 0 else float(np.sqrt(low * high)))
    if goal.accuracy is not None:
        for key in sorted(seen, key=lambda k: float(goal.missed(seen[k]) * 1e9 + goal.cost(seen[k])))[:2]:
            look(moves.within(moves.within(np.array(key, np.intp), goal.accuracy), goal.accuracy))
    if thorough and goal.accuracy is not None:
        best = min(seen, key=lambda k: (float(goal.missed(seen[k])), float(goal.cost(seen[k]))))
        for at in _pushed(moves, np.array(best, np.intp), goal.accuracy):
            look(at)
    yield from ((tuple(float(grid[k]) for k in key), found) for key, found in seen.items())


def _pushed(moves: Moves[F], at: npt.NDArray[np.intp], accuracy: float) -> Iterator[npt.NDArray[np.intp]]:
    """Thresholds that are cheaper each than the last, all right often enough."""
    least = moves.total(at)
    for _ in range(ROUNDS):
        before = least
        for exit_, push in product(range(len(at)), PUSHES):
            tried = at.copy()
            tried[exit_] = np.clip(at[exit_] + push, 0, moves.size - 1)
            tried = moves.within(tried, accuracy, exit_)
            costs, rights = moves.by(exit_, tried)
            cost, right = costs[tried[exit_]], rights[tried[exit_]]
            if cost < least * (1 - EQUAL) and right >= accuracy * moves.placed.shape[1] - 0.5e-6:
                at, least = tried, cost
                yield at
        if least >= before:
            return


def _price(moves: Moves[F], at: npt.NDArray[np.intp]) -> float:
    """What a right answer costs about here: the exchange of cost for rightness, from a little laxer to stricter."""
    step = max(moves.size // 16, 1)
    laxer, stricter = (moves.left(np.clip(at + way, 0, moves.size - 1)) for way in (step, -step))
    rows = np.arange(len(laxer))
    dearer = (moves.costs[stricter] - moves.costs[laxer]).sum()
    gained = int(moves.right[stricter, rows].sum()) - int(moves.right[laxer, rows].sum())
    return float(max(dearer, 1e-12) / max(gained, 1))


def _accurate_enough(goal: Goal, found: Measured) -> bool:
    """Whether a right answer may be worth less: accuracy is met, or cost is over where accuracy is to be most."""
    if goal.accuracy is not None and goal.minimise != "loss":
        return bool(found.accuracy >= goal.accuracy - 1e-12)
    return not goal.met(found)
