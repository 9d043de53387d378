"""Regret: what is chosen by predictions, against the best of at least twenty plans that were measured on the same link.

    python benchmarks/regret.py --data /path/to/cifar10 --links 4           # minutes
    python benchmarks/regret.py --data /path/to/cifar10 --links 30          # half an hour and more

For each link of a grid of rates and delays, and each of three deadlines, `offramp plan`'s choice: the least mean
latency that loses at most a point with 95 % in time, or where that cannot be, the least loss in time. All choices of a
link, the best predicted of each kind, and all baselines are then measured in turn: a real edge (the library, as an
embedded device has it), a real cloud in a process of its own, the repository's shaper between them. Of every plan each
path, by which exit a sample leaves, is timed on real images that take it, and the paths are weighted by how often all
test images take them. Predictions and labels of test choose nothing.

Regret is how much longer the choice takes than the best measured plan that keeps the same bounds (accuracy as predicted
on validation, the deadline as measured), or how much more it loses. The spread is that of the rounds' totals.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from alternate import last_line
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.engine import Engine
from offramp.artifacts.measurement import Conditions
from offramp.artifacts.predictions import Predictions
from offramp.artifacts.pretrained import pretrained
from offramp.artifacts.profile import LinkProfile, Profile
from offramp.bench.device import Wanted as Device
from offramp.bench.device import profile_device
from offramp.errors import InputError
from offramp.link.shape import LinkShape
from offramp.link.shaper_process import child_link
from offramp.machine import here
from offramp.measure.crossings import Crossings
from offramp.nodes.edge import Edge
from offramp.nodes.process import child_node
from offramp.nodes.settings import CloudSettings
from offramp.plan.baselines import baselines
from offramp.plan.candidate import Candidate
from offramp.plan.choose import Chosen, Extent, Wanted, choose
from offramp.plan.cost import Costs
from offramp.plan.inputs import Samples
from offramp.plan.pricing import Prices, answered
from offramp.plan.table import Crossing, Table

RATES = (500_000, 2_000_000, 8_000_000, 32_000_000, 128_000_000, 512_000_000)  # bits/s, both ways
DELAYS = (0.0002, 0.002, 0.01, 0.03, 0.08)  # seconds one way
DEADLINES = (0.7, 1.0, 1.6)  # of what everything at the edge takes
MAX_LOSS, LEAST, NEAR = 0.01, 20, 0.05
PLANNED = "the choice"
Ask = Callable[[Wanted], Chosen]


@dataclass
class Measured:
    """A plan on one link: seconds of each path by round, and how often all test images take it."""

    plan: Candidate
    shares: np.ndarray  # (paths,)
    seconds: list[list[float]]  # of each path, a round each
    last: int  # the network's end

    @property
    def said(self) -> str:
        """The plan in words."""
        return self.plan.said(self.last)

    @property
    def rounds(self) -> np.ndarray:
        """Mean latency by round."""
        return self.shares @ np.array(self.seconds)

    @property
    def mean(self) -> float:
        """Median over rounds."""
        return float(median(self.rounds))

    @property
    def spread(self) -> float:
        """Of the rounds, as a share of the mean."""
        return float((self.rounds.max() - self.rounds.min()) / 2 / self.mean)

    @property
    def p95(self) -> float:
        """Seconds within which 95 % are answered, by the paths' medians."""
        each = np.array([median(path) for path in self.seconds])
        order = np.argsort(each)
        return float(each[order][(self.shares[order].cumsum() >= 0.95 - 1e-9).argmax()])


def links(count: int) -> list[LinkShape]:
    """So many of the grid, spread over it."""
    grid = [LinkShape(up=rate, down=rate, delay=delay) for rate in RATES for delay in DELAYS]
    return [grid[k] for k in np.unique(np.linspace(0, len(grid) - 1, count).round().astype(int))]


def chosen(ask: Ask, wanted: Wanted) -> tuple[Chosen, bool]:
    """What `offramp plan` says for a deadline, and whether it keeps within a point of loss."""
    with suppress(InputError):  # nothing does both
        return ask(wanted), True
    return ask(Wanted(minimise="loss", deadline=wanted.deadline)), False


def can_be_met(ask: Ask, deadline: float) -> bool:
    """Whether any plan is predicted to."""
    try:
        ask(Wanted(minimise="loss", deadline=deadline))
    except InputError:
        return False
    return True


def contenders(ask: Ask, deadlines: Sequence[float]) -> tuple[dict[str, Candidate], list[bool]]:
    """Plans to measure on a link, by name: the choices, baselines for each deadline, and the best predicted."""
    free = ask(Wanted(max_loss=MAX_LOSS))
    order = free.goal.ranked(free.scan.figures)
    named = {f"predicted {k}": free.scan.at(place) for k, place in enumerate(free.scan.leaders(order, LEAST))}
    named |= {f"moved {k}": one for k, one in enumerate(free.ranked[:3])}
    accurate = []
    for number, deadline in enumerate(deadlines):
        wanted = Wanted(max_loss=MAX_LOSS, deadline=deadline)
        found, within = chosen(ask, wanted)
        named[f"{PLANNED} {number}"] = found.best
        accurate.append(within)
        for row in baselines(free.table, free.prices, wanted.goal(free.whole), free.scan.grid):
            if row.candidate is not None:
                named[f"{row.name.partition(':')[0]} {number}"] = row.candidate
    return named, accurate


class Bench:
    """An edge, a cloud, and images by the path that they take."""

    def __init__(self, bundle: Bundle, cloud: str, table: Table, images: np.ndarray, each: int, rounds: int) -> None:
        self.bundle, self.cloud, self.table, self.images = bundle, cloud, table, images
        self.each, self.rounds = each, rounds

    def measure(self, shape: LinkShape, plans: Sequence[Candidate]) -> list[Measured]:
        """Measure plans over a link, in turn."""
        with ExitStack() as stack:
            over = stack.enter_context(child_link(shape, self.cloud))
            first = plans[0].plan()
            edge = Edge(self.bundle, first, over, threads=1, degraded=False, cloud_timeout=30.0)
            stack.callback(getattr(edge.cloud, "close", lambda: None))
            courses = [edge.ready(plan.plan()) for plan in plans]
            found = [self._paths(plan) for plan in plans]
            measured = [
                Measured(plan, shares, [[] for _ in rows], self.table.last)
                for plan, (shares, rows) in zip(plans, found, strict=True)
            ]
            for number in range(-1, self.rounds):  # the first warms up
                for course, one, (_, rows) in zip(courses, measured, found, strict=True):
                    edge.follow(course)
                    for path, some in zip(one.seconds, rows, strict=True):
                        seconds = self._timed(edge, some, number)
                        if number >= 0:
                            path.append(seconds)
            return measured

    def _paths(self, plan: Candidate) -> tuple[np.ndarray, list[np.ndarray]]:
        at = answered(self.table, plan.exits, plan.thresholds)
        counts = np.bincount(at, minlength=len(plan.exits) + 1)
        taken = np.flatnonzero(counts)
        return counts[taken] / len(at), [np.flatnonzero(at == path) for path in taken]

    def _timed(self, edge: Edge, rows: np.ndarray, number: int) -> float:
        some = np.resize(np.roll(rows, -self.each * (number + 1)), self.each if number >= 0 else 1)
        seconds = []
        for row in some:
            start = perf_counter()
            edge.infer(self.images[row : row + 1])
            seconds.append(perf_counter() - start)
        return median(seconds)  # all took the same path: what is longer is the machine's


def judged(
    named: dict[str, Candidate], measured: dict[Candidate, Measured], accurate: Sequence[bool],
    deadlines: Sequence[float], whole: float,
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """For each deadline the choice's regret, and where Neurosurgeon's and Edgent's own choices are."""
    for number, (deadline, within) in enumerate(zip(deadlines, accurate, strict=True)):
        mine = measured[named[f"{PLANNED} {number}"]]
        slack = deadline * (1 + max(NEAR, mine.spread))
        kept = [
            one for one in measured.values()
            if one.p95 <= slack and (not within or whole - one.plan.figures.accuracy <= MAX_LOSS + 1e-9)
        ]  # fmt: skip
        row = {
            "deadline_ms": round(1000 * deadline, 2), "within_loss": within, "choice": mine.said,
            "ms": round(1000 * mine.mean, 3), "p95_ms": round(1000 * mine.p95, 3), "in_time": mine.p95 <= slack,
            "spread": round(mine.spread, 4), "measured": len(measured), "kept": len(kept),
        }  # fmt: skip
        if within and kept:
            best = min(kept, key=lambda one: one.mean)
            row |= {"best": best.said, "regret": round(mine.mean / best.mean - 1, 4)}
            row["spread"] = round(max(mine.spread, best.spread), 4)
            row["holds"] = row["in_time"] and row["regret"] <= max(NEAR, row["spread"])
        elif kept:
            best = max(kept, key=lambda one: one.plan.figures.accuracy)
            lost = best.plan.figures.accuracy - mine.plan.figures.accuracy
            row |= {"best": best.said, "more_lost": round(lost, 4), "holds": row["in_time"] and lost <= 0.005}
        for name in ("Neurosurgeon", "Edgent"):
            other = measured[named[f"{name} {number}"]]
            row[name] = beside(mine, other, slack, within)
        yield row


def beside(mine: Measured, other: Measured, slack: float, within: bool) -> dict[str, Any]:
    """Who is ahead: in time before late; of two in time the faster, or where loss is to be least, who loses less."""
    faster = other.mean / mine.mean - 1
    gained = mine.plan.figures.accuracy - other.plan.figures.accuracy
    late = other.p95 > slack
    if late or (mine.p95 > slack):
        state = "ahead" if late and mine.p95 <= slack else "equal" if late else "behind"
    elif within:
        near = max(mine.spread, other.spread)
        state = "ahead" if faster > near else "behind" if faster < -near else "equal"
    else:
        state = "ahead" if gained > 0 else "behind" if gained < 0 else "equal"
    return {
        "plan": other.said,
        "takes": round(faster, 4),
        "loses": round(gained, 4),
        "late": late,
        "choice": state,
    }


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Over all links and deadlines."""
    regrets = [row["regret"] for row in rows if "regret" in row]
    lost = [row["more_lost"] for row in rows if "more_lost" in row]
    others = {
        name: {state: sum(row[name]["choice"] == state for row in rows) for state in ("ahead", "equal", "behind")}
        for name in ("Neurosurgeon", "Edgent")
    }
    return {
        "questions": len(rows), "hold": sum(bool(row.get("holds")) for row in rows),
        "in_time": sum(row["in_time"] for row in rows),
        "regret_median": round(float(np.median(regrets)), 4) if regrets else None,
        "regret_worst": max(regrets, default=None), "more_lost_worst": max(lost, default=None),
        "fewest_measured": min(row["measured"] for row in rows), **others,
    }  # fmt: skip


def _ask(samples: Samples, prices: Prices, extent: Extent, wanted: Wanted) -> Chosen:
    return choose(samples, prices, wanted, extent=extent)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--links", type=int, default=30, help="of the grid of 30")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--each", type=int, default=4, help="images of a path and round")
    parser.add_argument("--profile", type=Path, help="of this device; default: measured first")
    parser.add_argument("--validation", type=Path, help="predictions to choose on; default: measured")
    parser.add_argument("--test", type=Path, help="predictions that tell images by their path; default: measured")
    parser.add_argument("--plain", action="store_true", help="only crossings that lose nothing: measures no more")
    options = parser.parse_args()
    bundle = Bundle.open(pretrained() / "bundle")
    source = Crossings(bundle, Engine(threads=1), options.data)
    read = {
        split: Predictions.read(path) if path else source.measure(split)
        for split, path in (("validation", options.validation), ("test", options.test))
    }
    device = Device("onnxruntime", "fp32", threads=1, bound=1.0)
    profile = Profile.read(options.profile) if options.profile else profile_device(bundle, device)
    samples, table = Samples(read["validation"]), Table.of(read["test"], bundle.manifest)
    images = bundle.manifest.preprocessing.from_uint8(source.splits.test.images)
    measure = cache(lambda crossing: source.measure("validation", crossing.cut, crossing.codec))
    whole = float((samples.plain.at(samples.plain.last).argmax(axis=1) == samples.plain.labels).mean())
    found: list[dict[str, Any]] = []
    with child_node(CloudSettings(bundles=(str(bundle.path),), runtime="onnxruntime", threads=1)) as cloud:
        bench = Bench(bundle, cloud.address(), table, images, options.each, options.rounds)
        for shape in links(options.links):
            costs = Costs.of(bundle.manifest, profile, LinkProfile.stated(shape), way="library")
            prices = Prices(bundle.manifest, costs, {})
            ask = partial(_ask, samples, prices, Extent(measure=None if options.plain else measure))
            alone = prices.path((), Crossing(table.last, "fp32")).seconds[-1]
            deadlines = [share * alone for share in DEADLINES]
            deadlines = [deadline for deadline in deadlines if can_be_met(ask, deadline)]
            if not deadlines:
                print(f"{shape}: nothing meets any deadline, by this profile", file=sys.stderr, flush=True)
                continue
            named, accurate = contenders(ask, deadlines)
            plans = list(dict.fromkeys(named.values()))
            measured = dict(zip(plans, bench.measure(shape, plans), strict=True))
            rows = list(judged(named, measured, accurate, deadlines, whole))
            found += [{"link": str(shape), **row} for row in rows]
            print(f"{shape}: {len(plans)} plans; {summary(rows)}", file=sys.stderr, flush=True)
        figures = {"summary": summary(found) if found else {}, "rows": found}
        print(figures["summary"], file=sys.stderr, flush=True)
    conditions = Conditions(
        **here(), batch_size=1, link=f"{options.links} of a grid", runtime=profile.runtime, dtype=profile.precision
    )
    last_line("regret", figures, conditions, rounds=options.rounds, each=options.each, links=options.links)


if __name__ == "__main__":
    main()
