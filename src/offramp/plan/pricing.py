"""What plans cost and are worth: the figures of one plan, or of a set of exits at every threshold and crossing at once.

Takes a table of samples and the seconds and bytes of each path. Knows neither what is wanted nor who measures.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt

from offramp.artifacts.manifest import Manifest
from offramp.artifacts.plan import ActiveExit, Part
from offramp.exits.score import Floats
from offramp.plan.leaving import Leaving
from offramp.plan.table import Bools, Crossing, Table

TAIL = 0.95  # of the samples are answered within `p95`
ROUNDING = 1e-9  # of a share that is a sum


class Pricing(Protocol):
    """Seconds and bytes of one sample at batch 1, by where it is answered: `plan.cost.Costs`, or a test's own."""

    def exits(self, part: Part) -> tuple[float, ...]:
        """Seconds until a sample has left at each active exit, in order."""

    def local(self, part: Part) -> float:
        """Seconds of one that leaves at none, at a part that runs to the network's end."""

    def edge(self, part: Part) -> float:
        """Seconds at the edge of one that goes on."""

    def onward(self, part: Part) -> float:
        """All seconds of one that goes on: edge, link and cloud."""

    def cloud(self, part: Part) -> float:
        """Of them, the cloud's."""

    def bytes_up(self, part: Part) -> int:
        """That one of these sends."""

    def bytes_down(self, part: Part) -> int:
        """That its answer takes."""


class Figures(NamedTuple):
    """What a plan comes to on the samples it was priced on: all predicted, means over all samples but for `p95`."""

    accuracy: float
    mean: float  # seconds
    p95: float  # seconds within which 95 % of the samples are answered
    up: float  # bytes to the cloud
    down: float  # bytes back
    cloud: float  # seconds of the cloud's
    edge: float  # seconds of the edge's
    macs: float  # multiply-adds, wherever
    onward: float  # share that goes on to the cloud


class Columns(NamedTuple):
    """The figures of several plans, an array each, in the order of `Figures`."""

    accuracy: Floats
    mean: Floats
    p95: Floats
    up: Floats
    down: Floats
    cloud: Floats
    edge: Floats
    macs: Floats
    onward: Floats

    @classmethod
    def of(cls, plans: Iterable[Figures]) -> Self:
        """Of each its own row."""
        return cls(*np.array(list(plans), np.float64).reshape(-1, len(cls._fields)).T)

    def at(self, place: int) -> Figures:
        """One of them."""
        return Figures(*(float(column[place]) for column in self))


@dataclass(frozen=True)
class Finish:
    """What finishing elsewhere costs in place of this network's own end: another bundle's, in a cascade of two."""

    cloud: float  # seconds
    macs: int


@dataclass(frozen=True)
class Prices:
    """A network on an edge, a link and a cloud, and the other networks that may finish."""

    manifest: Manifest
    costs: Pricing
    finish: Mapping[str, Finish]  # by the other bundle's id

    def path(self, exits: Sequence[int], crossing: Crossing) -> "Path":
        """The paths of a set of exits with a crossing."""
        costs, last = self.costs, self.manifest.last
        part = part_of(exits, [0.5] * len(exits), crossing)  # times do not depend on thresholds
        heads = [self.manifest.macs(k, tuple(exits)) for k in exits]
        whole = self.manifest.macs(last, tuple(exits))
        if crossing.cut == last:
            end = costs.local(part)
            return Path((*costs.exits(part), end), end, 0.0, 0, 0, (*heads, whole), False)
        onward, cloud = costs.onward(part), costs.cloud(part)
        if crossing.other:  # the image goes to another network, whose whole is run there
            other = self.finish[crossing.other]
            onward, cloud = onward - cloud + other.cloud, other.cloud
            whole = (heads[-1] if heads else 0) + other.macs
        elif exits and crossing.cut == 0:  # what was computed here is computed again there
            whole = heads[-1] + self.manifest.macs(last)
        up, down = costs.bytes_up(part), costs.bytes_down(part)
        return Path((*costs.exits(part), onward), costs.edge(part), cloud, up, down, (*heads, whole), True)


class Path(NamedTuple):
    """One sample's way through a plan, by where it is answered: at each active exit, then at the end."""

    seconds: tuple[float, ...]
    edge: float  # seconds at the edge of one that leaves at no exit
    cloud: float
    up: int
    down: int
    macs: tuple[int, ...]
    sends: bool

    def one(self, left: Floats, right: Floats) -> Figures:
        """Figures of shares `left` answered at each exit and the end, `right` of all that are right: `(places, 1)`."""
        return figures(self, left, right).at(0)

    def costs(self, minimise: str) -> Floats:
        """Of a sample by where it is answered, what is to be least: of a percentile or of accuracy, its seconds."""
        none = (0.0,) * (len(self.seconds) - 1)
        by = {"bytes": (*none, self.up), "cloud": (*none, self.cloud), "macs": self.macs}
        return np.array(by.get(minimise, self.seconds), np.float64)

    @property
    def dear(self) -> tuple[float, ...]:
        """What it costs: a path that is nowhere less than another is worth nothing where answers are the same."""
        return (*self.seconds, self.edge, self.cloud, self.up, self.down, *self.macs)


def part_of(exits: Sequence[int], thresholds: Sequence[float], crossing: Crossing) -> Part:
    """An edge's part of a plan."""
    active = tuple(ActiveExit(exit=k, threshold=t) for k, t in zip(exits, thresholds, strict=True))
    return Part(active=active, cut=crossing.cut, codec=crossing.codec)


def crossings(table: Table, exits: Sequence[int]) -> list[Crossing]:
    """Where samples that leave at none of these exits may cross: behind the last of them, or as the image."""
    deepest = exits[-1] if exits else 0
    return [one for one in table.ends if one.cut == 0 or one.cut >= deepest]


def figures(path: Path, left: Floats, right: Floats) -> Columns:
    """Figures of shares `left` that are answered at each exit and the end, and `right` of all that are right there.

    Both `(exits + 1, G)`, for columns `(G,)`.
    """
    seconds, onward = np.array(path.seconds), left[-1] if path.sends else 0.0 * left[-1]
    order = np.argsort(seconds, kind="stable")
    within = left[order].cumsum(axis=0) >= TAIL - ROUNDING
    edges = np.array([*path.seconds[:-1], path.edge])
    return Columns(
        accuracy=right.sum(axis=0),
        mean=seconds @ left,
        p95=seconds[order][within.argmax(axis=0)],
        up=onward * path.up,
        down=onward * path.down,
        cloud=onward * path.cloud,
        edge=edges @ left,
        macs=np.array(path.macs, np.float64) @ left,
        onward=onward,
    )


def undominated(paths: Sequence[Path], ends: Sequence[Floats]) -> list[int]:
    """Which of several crossings of one set of exits are worth a look: another costs no more, and is no less right."""
    dear, rights = np.array([path.dear for path in paths]), np.stack(ends)
    no_dearer = (dear[:, None] <= dear[None]).all(axis=2)
    no_worse = (rights[:, None] >= rights[None]).all(axis=2)
    beats = no_dearer & no_worse
    beats &= ~(beats.T & (np.arange(len(paths))[:, None] >= np.arange(len(paths))))  # of equals, the first stays
    return [int(k) for k in np.flatnonzero(~beats.any(axis=0))]


def priced(prices: Prices, table: Table, leaving: Leaving) -> list[tuple[Crossing, Columns]]:
    """One set of exits at every threshold, by each crossing that no other beats: figures `(G,)`."""
    ways = crossings(table, leaving.exits)
    paths = [prices.path(leaving.exits, way) for way in ways]
    left = np.vstack([leaving.left, leaving.onward])
    found = []
    for k in undominated(paths, [leaving.ends[way] for way in ways]):
        right = np.vstack([leaving.right, leaving.ends[ways[k]]])
        found.append((ways[k], figures(paths[k], left, right)))
    return found


def curve(prices: Prices, leaving: Leaving, crossing: Crossing) -> Columns:
    """One set of exits by one crossing at every threshold: columns `(G,)`."""
    left = np.vstack([leaving.left, leaving.onward])
    right = np.vstack([leaving.right, leaving.ends[crossing]])
    return figures(prices.path(leaving.exits, crossing), left, right)


def answered(table: Table, exits: Sequence[int], thresholds: Sequence[float]) -> npt.NDArray[np.intp]:
    """By which of the exits each sample leaves `(N,)`: its place in `exits`, or their number for the end."""
    at = np.full(len(table), len(exits), np.intp)
    for place in reversed(range(len(exits))):
        at[table.scores[table.row(exits[place])] < thresholds[place]] = place
    return at


def figures_of(
    prices: Prices, table: Table, exits: Sequence[int], thresholds: Sequence[float], crossing: Crossing
) -> Figures:
    """Figures of one plan, whatever its thresholds."""
    at, n = answered(table, exits, thresholds), len(table)
    right = at_each(table, exits, crossing)
    left = np.bincount(at, minlength=len(exits) + 1)[:, None] / n
    rights = np.array([[np.count_nonzero(right[place][at == place]) / n] for place in range(len(exits) + 1)])
    return prices.path(exits, crossing).one(left, rights)


def at_each(table: Table, exits: Sequence[int], crossing: Crossing) -> Bools:
    """Who is right at each of the exits and at the end `(exits + 1, N)`."""
    return np.stack([*(table.right[table.row(k)] for k in exits), table.ends[crossing]])
