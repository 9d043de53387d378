"""The choice: of one network's plans the best for what is wanted, with the rows that it stands beside.

Takes samples, prices and what is wanted; where a lossy crossing might be the best and was not measured, has it
measured. Raises InputError where nothing meets what is wanted, with the nearest plan that exists.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from offramp.artifacts.manifest import Manifest
from offramp.artifacts.plan import ScoreName
from offramp.artifacts.predictions import Predictions
from offramp.errors import InputError
from offramp.plan.candidate import Candidate
from offramp.plan.goal import Goal, Measured, Minimised, points
from offramp.plan.inputs import Samples
from offramp.plan.pricing import Prices
from offramp.plan.search import Scan, at_the_edge, chain, search
from offramp.plan.table import Bools, Crossing, Table

Measure = Callable[[Crossing], Predictions]
CHAIN = (-0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0, 1.5)  # losses, as parts of what may be lost, that candidates are for


@dataclass(frozen=True)
class Wanted:
    """What is asked of a plan; `max_loss` is of accuracy, in [0, 1], below the last exit's on the same samples."""

    minimise: Minimised = "latency"
    max_loss: float | None = None
    deadline: float | None = None  # seconds
    up: float | None = None  # bytes a sample
    cloud: float | None = None  # seconds a sample

    def __post_init__(self) -> None:
        if self.max_loss is not None and not 0 < self.max_loss < 1:
            raise InputError(
                f"max loss {self.max_loss:g}: expected a share above 0 and below 1, like 1%. The plan that loses "
                "nothing has no local exit: offramp serve edge BUNDLE --cut N, where N is the network's last stage "
                "or where its features cross best."
            )

    def goal(self, whole: float, part: float = 1.0) -> Goal:
        """The same on samples of which the last exit has the share `whole` right; `part` of the loss is taken."""
        least = None if self.max_loss is None else whole - part * self.max_loss
        return Goal(self.minimise, least, self.deadline, self.up, self.cloud)


@dataclass(frozen=True)
class Extent:
    """Which plans there are beside those of the predictions given."""

    alone: bool = False  # there is no link: everything is answered at the edge
    others: Mapping[Crossing, Bools] = field(default_factory=dict)  # who is right by another network, in a cascade
    measure: Measure | None = None


@dataclass(frozen=True)
class Chosen:
    """What came of it."""

    samples: Samples
    table: Table
    prices: Prices
    goal: Goal
    scan: Scan
    ranked: list[Candidate]
    whole: float  # accuracy of the last exit, asked for every sample
    score: ScoreName = "entropy"

    @property
    def best(self) -> Candidate:
        """The first."""
        return self.ranked[0]

    def chain(self, wanted: Wanted) -> list[Candidate]:
        """Candidates for a promise, from strict to lax, none of which another of these beats."""
        parts = [self.whole - part * (wanted.max_loss or 0.0) for part in CHAIN]
        return chain(self.scan, self.table, self.prices, wanted.goal(self.whole), parts)


def choose(
    samples: Samples,
    prices: Prices,
    wanted: Wanted,
    score: ScoreName = "entropy",
    extent: Extent | None = None,
) -> Chosen:
    """Choose for what is wanted, on these samples."""
    extent = extent or Extent()
    hoped = _unmeasured(samples, prices.manifest) if extent.measure and not extent.alone else []
    while True:
        table = _table(samples, prices.manifest, score, extent)
        end = table.ends[Crossing(table.last, "fp32")]
        whole = float(end.mean())
        goal = wanted.goal(whole)
        wide = table
        for crossing in hoped:  # until it is measured, as right as the network in one piece
            wide = wide.with_end(crossing, end)
        scan = Scan.of(wide, prices)
        ranked = search(scan, wide, prices, goal)
        at = ranked[0].crossing
        if extent.measure is None or at not in hoped:
            break
        hoped.remove(at)
        samples = samples.beside(extent.measure(at))
    if hoped:
        scan = Scan.of(table, prices)
        ranked = [one for one in ranked if one.crossing not in hoped]
    ranked = list(dict.fromkeys((at_the_edge(ranked[0], table, prices), *ranked)))
    if not goal.met(ranked[0].figures):
        raise refusal(wanted, ranked[0].figures, ranked[0].said(table.last), whole)
    return Chosen(samples, table, prices, goal, scan, ranked, whole, score)


def _table(samples: Samples, manifest: Manifest, score: ScoreName, extent: Extent) -> Table:
    table = Table.of(samples.plain, manifest, samples.others, score)
    if extent.alone:
        here = Crossing(table.last, "fp32")
        return Table(table.exits, table.last, table.scores, table.right, {here: table.ends[here]})
    for crossing, right in extent.others.items():
        table = table.with_end(crossing, right)
    return table


def _unmeasured(samples: Samples, manifest: Manifest) -> list[Crossing]:
    """Crossings by which features lose something, that were not measured; the image as 8 bits loses nothing."""
    every = [Crossing(cut.boundary, codec) for cut in manifest.cuts if cut.boundary for codec in cut.codecs]
    return [way for way in every if way.codec != "fp32" and samples.by(way) is None]


def refusal(wanted: Wanted, figures: Measured, nearest: str, whole: float) -> InputError:
    """What is said where no plan meets what is wanted: of how many tiers, the nearest and its figures."""
    asked = []
    if wanted.deadline is not None:
        asked.append(f"95 % of the samples within {1000 * wanted.deadline:g} ms")
    if wanted.max_loss is not None:
        asked.append(f"at most {points(wanted.max_loss)} lost")
    if wanted.up is not None:
        asked.append(f"at most {wanted.up:g} bytes a sample")
    if wanted.cloud is not None:
        asked.append(f"at most {1000 * wanted.cloud:g} ms of the cloud a sample")
    comes = f"95 % within {1000 * figures.p95:.3g} ms, {100 * (whole - figures.accuracy):.2f} points lost, "
    comes += f"{figures.up:.0f} bytes and {1000 * figures.cloud:.3g} ms of the cloud a sample"
    return InputError(
        f"plan: nothing meets {' and '.join(asked)}. The nearest is {nearest}, predicted: {comes}. Ask for less."
    )
