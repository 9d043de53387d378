"""The choice among plans of three tiers: the best of all, and beside it the best of each choice of tiers that compute.

Takes tables, prices and a goal. What a choice hangs on and was not measured is measured first. Raises InputError where
nothing meets what is wanted.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from offramp.artifacts.plan import Plan, ScoreName
from offramp.artifacts.predictions import Predictions
from offramp.exits.score import Floats
from offramp.plan.chain_path import ChainFigures, ChainPrices, Shape
from offramp.plan.chain_scan import Best, ChainScan
from offramp.plan.chain_table import ChainTable, Hops
from offramp.plan.choose import Wanted, refusal
from offramp.plan.goal import Goal, in_order
from offramp.plan.inputs import Samples
from offramp.plan.pricing import answered, at_each, part_of
from offramp.plan.refine import Start, refined
from offramp.plan.table import Crossing

ALL = ("device", "edge", "cloud")
LEADERS = 3  # shapes whose thresholds are moved one by one, for each choice of tiers that compute
Measure = Callable[[Hops], Predictions]


@dataclass(frozen=True)
class ChainCandidate:
    """A plan of three tiers before it is written down, and what it is predicted to come to."""

    shape: Shape
    thresholds: tuple[float, ...]
    figures: ChainFigures
    tiers: tuple[str, ...]  # that compute

    def plan(self, last: int, score: ScoreName = "entropy") -> Plan:
        """The plan that the chain follows; where the device asks the cloud itself or all is answered there, its own."""
        of, count = self.shape, len(self.shape.device)
        tiers = {"device": part_of(of.device, self.thresholds[:count], of.first)}
        if not of.direct and of.first.cut != last:
            tiers["edge"] = part_of(of.edge, self.thresholds[count:], of.second)
        return Plan(tiers=tiers, score=score)

    def brief(self, last: int) -> str:
        """The plan in a table's cell: each tier's exits with their thresholds, and what crosses behind it."""
        of, count = self.shape, len(self.shape.device)
        pairs = [f"{k}:{t:g}" for k, t in zip(of.exits, self.thresholds, strict=True)]
        device = " ".join(["device", *pairs[:count]])
        if of.first.cut == last:
            return f"{device}, to the end"
        onto = "cloud" if of.direct else " ".join(["edge", *pairs[count:]])
        behind = "" if of.direct else ", to the end" if of.second.cut == last else f" → {_crossed(of.second)} → cloud"
        return f"{device} → {_crossed(of.first)} → {onto}{behind}"

    @classmethod
    def of(
        cls, table: ChainTable, prices: ChainPrices, shape: Shape, thresholds: tuple[float, ...]
    ) -> "ChainCandidate":
        """A plan with what it comes to on these samples at these prices."""
        of, exits = table.table(shape), shape.exits
        at, n = answered(of, exits, thresholds), len(of)
        right = at_each(of, exits, shape.second)
        left = np.bincount(at, minlength=len(exits) + 1)[:, None] / n
        rights = np.array([[np.count_nonzero(right[place][at == place]) / n] for place in range(len(exits) + 1)])
        found = prices.path(shape).one(left, rights)
        return cls(shape, tuple(thresholds), found, shape.reached(table.last, found))


@dataclass(frozen=True)
class ChainChosen:
    """What came of it: the best of all, and the best of each choice of tiers that meets the goal or comes nearest."""

    samples: Samples  # with all that was measured for it
    table: ChainTable
    prices: ChainPrices
    goal: Goal
    whole: float  # accuracy of the last exit, asked for every sample
    priced: int
    ranked: tuple[ChainCandidate, ...]
    score: ScoreName = "entropy"

    @property
    def best(self) -> ChainCandidate:
        """The first."""
        return self.ranked[0]

    @property
    def by_tiers(self) -> dict[tuple[str, ...], ChainCandidate]:
        """The best for each choice of tiers that compute, the best choice first."""
        found: dict[tuple[str, ...], ChainCandidate] = {}
        for one in self.ranked:
            found.setdefault(one.tiers, one)
        return found

    @property
    def fewer(self) -> ChainCandidate:
        """The best of those by which at most two tiers compute."""
        return next(one for one in self.ranked if one.tiers != ALL)

    @property
    def three(self) -> ChainCandidate | None:
        """The best of those by which all three compute."""
        return next((one for one in self.ranked if one.tiers == ALL), None)

    @property
    def pays(self) -> bool:
        """Whether a third tier does."""
        return self.best.tiers == ALL


def choose_chain(
    samples: Samples,
    prices: ChainPrices,
    wanted: Wanted,
    score: ScoreName = "entropy",
    measure: Measure | None = None,
    grid: Floats | None = None,
) -> ChainChosen:
    """Choose for what is wanted, on these samples; `measure` gives predictions by two hops of the same."""
    while True:
        table = ChainTable.of(samples, prices.manifest, score, hopes=measure is not None)
        whole = float(table.plain.ends[Crossing(table.last, "fp32")].mean())
        goal = wanted.goal(whole)
        scan = ChainScan.of(table, prices, goal, grid)
        found = tuple(_searched(scan, table, prices, goal))
        chosen = ChainChosen(samples, table, prices, goal, whole, scan.count, found, score)
        missing = _missing(chosen)
        if missing is None or measure is None:
            break
        samples = samples.beside(measure(missing))
    chosen = replace(chosen, ranked=tuple(_ending(chosen)))
    if not goal.met(chosen.best.figures):
        raise refusal(wanted, chosen.best.figures, chosen.best.brief(table.last), whole)
    return chosen


def _crossed(crossing: Crossing) -> str:
    return f"{crossing.cut} {crossing.codec}" if crossing.cut else f"{crossing.input} {crossing.codec}"


def _ending(chosen: ChainChosen) -> Iterator[ChainCandidate]:
    """All that was found; the best for each choice of tiers ends where the last of these samples is answered.

    It costs the same, and of other samples, too, it needs no tier that it is not said to need.
    """
    table, end = chosen.table, Crossing(chosen.table.last, "fp32")
    firsts = {id(one) for one in chosen.by_tiers.values()}
    for one in chosen.ranked:
        of = shape = one.shape
        if "cloud" in of.computes(table.last) and "cloud" not in one.tiers:
            shape = of._replace(second=end)
        if of.first != end and "edge" not in one.tiers and shape.second == end:
            shape = Shape(of.device, end, (), end)
        known = id(one) in firsts and shape != of and table.knows(shape)
        yield ChainCandidate.of(table, chosen.prices, shape, one.thresholds[: len(shape.exits)]) if known else one


def _missing(chosen: ChainChosen) -> Hops | None:
    """Two hops that an answer hangs on, the best or what it is held against, and that nobody has measured."""
    shown = filter(None, (chosen.best, chosen.fewer, chosen.three))
    return next((lacking for one in shown if (lacking := chosen.table.lacks(one.shape)) is not None), None)


def _searched(scan: ChainScan, table: ChainTable, prices: ChainPrices, goal: Goal) -> Iterator[ChainCandidate]:
    """All that was kept, the best first, and those leaders whose thresholds are better moved one by one."""
    order = ranked([one.figures for one in scan.best], goal)
    best = [scan.best[k] for k in order]
    found = [
        ChainCandidate(
            one.shape, (one.threshold,) * len(one.shape.exits), one.figures, one.shape.reached(table.last, one.figures)
        )
        for one in best
    ]
    seen: dict[tuple[str, ...], int] = {}
    for leader in best:
        seen[leader.tiers] = seen.get(leader.tiers, 0) + 1
        if seen[leader.tiers] <= LEADERS:
            found += _moved(leader, table, prices, goal, scan.grid)
    yield from (found[k] for k in ranked([one.figures for one in found], goal))


def _moved(leader: Best, table: ChainTable, prices: ChainPrices, goal: Goal, grid: Floats) -> Iterator[ChainCandidate]:
    """The same shape with thresholds of their own."""
    shape = leader.shape
    if len(shape.exits) > 1:  # one exit's thresholds were all tried
        start = Start(shape.exits, (leader.threshold,) * len(shape.exits), shape.second)
        for thresholds, figures in refined(prices.path(shape), table.table(shape), start, goal, grid):
            yield ChainCandidate(shape, thresholds, figures, shape.reached(table.last, figures))


def ranked(figures: Iterable[ChainFigures], goal: Goal) -> list[int]:
    """Places, the best first: by bounds missed, what is to be least, accuracy, latency and bytes."""
    columns = ChainFigures(*np.array([tuple(one) for one in figures], np.float64).T)
    of = (columns.up, columns.mean, np.asarray(columns.accuracy))
    return [int(place) for place in in_order(*of, goal.cost(columns), goal.missed(columns))]
