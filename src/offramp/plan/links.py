"""The same edge and cloud over another link, and plans that are each the best over some link.

Takes prices; the sum of a path's parts is the one that `artifacts.choices.Priced` makes of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from offramp.artifacts.choices import Priced
from offramp.artifacts.plan import Part, ScoreName
from offramp.exits.score import Floats
from offramp.plan.candidate import Candidate
from offramp.plan.goal import Goal
from offramp.plan.pricing import Prices, Pricing
from offramp.plan.search import Scan, fewer, moved, ranked
from offramp.plan.table import Crossing, Table

# Bits/s to the cloud, of a mobile link at its edge to a wired one, and seconds of a round trip on the spot and across
# an ocean: the corners and middles of what a controller may meet. What comes back is a few hundred bytes.
RATES = (0.0, 1e5, 3e5, 1e6, 3e6, 1e7, 3e7, 1e8, 1e9)
ROUND_TRIPS = (0.0003, 0.003, 0.02, 0.08, 0.3)
MOST = 16  # plans that an edge keeps ready
ANY = 1e9  # bits/s, of a plan that sends nothing


@dataclass(frozen=True)
class Over:
    """Costs over a link of these rates in bits/s, and seconds there and back; at a rate of 0 nothing gets through."""

    costs: Pricing
    up: float
    down: float
    round_trip: float

    def exits(self, part: Part) -> tuple[float, ...]:
        """As they are."""
        return self.costs.exits(part)

    def local(self, part: Part) -> float:
        """As it is."""
        return self.costs.local(part)

    def edge(self, part: Part) -> float:
        """As it is."""
        return self.costs.edge(part)

    def cloud(self, part: Part) -> float:
        """As it is."""
        return self.costs.cloud(part)

    def bytes_up(self, part: Part) -> int:
        """As they are."""
        return self.costs.bytes_up(part)

    def bytes_down(self, part: Part) -> int:
        """As they are."""
        return self.costs.bytes_down(part)

    def onward(self, part: Part) -> float:
        """With this link's part."""
        passing = 8 * (self.bytes_up(part) / self.up + self.bytes_down(part) / self.down)
        return self.edge(part) + self.round_trip + passing + self.cloud(part)


def priced(candidate: Candidate, score: ScoreName = "entropy") -> Priced:
    """A candidate as a node reads it."""
    figures = candidate.figures
    of_one = 1.0 / figures.onward if figures.onward else 0.0
    return Priced(
        plan=candidate.plan(score),
        accuracy=figures.accuracy,
        edge_ms=1000 * figures.edge,
        onward=figures.onward,
        bytes_up=figures.up * of_one,
        bytes_down=figures.down * of_one,
        cloud_ms=1000 * figures.cloud * of_one,
    )


def over_links(scan: Scan, table: Table, prices: Prices, goal: Goal, most: int = MOST) -> list[Candidate]:
    """At most so many plans within a goal's bounds, the best of them on each of a grid of links; none goes twice.

    The first needs no link, if any plan within the bounds does not.
    """
    goal = replace(goal, minimise="latency", deadline=None)  # which depends on the link
    within = np.flatnonzero(goal.missed(scan.figures) == 0)
    within = within[[not scan.crossings[way].other for way in scan.which[within, 1]]]
    if not len(within):
        return []
    found: dict[tuple[tuple[int, ...], Crossing], Candidate] = {}
    for up, round_trip in _links():
        seconds = _seconds(scan, within, up, round_trip)
        if np.isinf(seconds.min()):  # nothing does without a link
            continue
        leader = scan.at(int(within[seconds.argmin()]))
        key = (leader.exits, leader.crossing)
        if key not in found:
            found[key] = _own_thresholds(leader, table, prices, goal, scan, (up, round_trip))
    return _fewest(list(found.values()), most)


def _links() -> Iterator[tuple[float, float]]:
    yield from ((up, round_trip) for up in RATES for round_trip in (ROUND_TRIPS if up else ROUND_TRIPS[:1]))


def _seconds(scan: Scan, places: npt.NDArray[np.intp], up: float, round_trip: float) -> Floats:
    """Mean latency of each plan over a link, as fast down as up."""
    figures = scan.figures
    onward, edge, cloud = figures.onward[places], figures.edge[places], figures.cloud[places]
    if not up:
        return np.where(onward > 0, np.inf, edge)
    passing = 8 * (figures.up[places] + figures.down[places]) / up
    total: Floats = edge + onward * round_trip + passing + cloud
    return total


def _own_thresholds(
    leader: Candidate, table: Table, prices: Prices, goal: Goal, scan: Scan, link: tuple[float, float]
) -> Candidate:
    """The same exits and crossing with thresholds moved for this link."""
    up, round_trip = link
    there = replace(prices, costs=Over(prices.costs, up or ANY, up or ANY, round_trip))
    tried = [leader.on(there, table), *moved(leader, table, there, goal, scan.grid)]
    best = ranked(tried, goal)[0]
    return ranked([best, *fewer(best, table, there, goal)], goal)[0].on(prices, table)


def _fewest(candidates: Sequence[Candidate], most: int) -> list[Candidate]:
    """So many of them that are together never far from the best of all, greedily; the one without a link first."""
    each = [priced(one) for one in candidates]
    links = [(up, 1000 * round_trip) for up, round_trip in _links()]
    seconds = np.array([[one.mean_ms(up, up, rtt) for up, rtt in links] for one in each])
    best = seconds.min(axis=0)
    usable = np.isfinite(best)
    lost = seconds[:, usable] / best[usable]
    kept: list[int] = [k for k in np.argsort([one.edge_ms for one in each]) if not each[k].onward][:1]
    while len(kept) < min(most, len(each)):
        far = lost[kept].min(axis=0) if kept else np.full(lost.shape[1], np.inf)
        with np.errstate(invalid="ignore"):
            worst = np.minimum(far, lost).max(axis=1)
        worst[kept] = np.inf
        pick = int(worst.argmin())
        if kept and far.max() <= 1.0 + 1e-9:
            break
        kept.append(pick)
    return [candidates[k] for k in kept]
