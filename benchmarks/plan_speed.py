"""How long a plan takes from predictions, in how much memory, and how far its thresholds are from the best there are.

    taskset -c 0 python benchmarks/plan_speed.py
    python benchmarks/plan_speed.py --validation validation.parquet    # the gap on real predictions

Samples are drawn: logits of nine exits of ten classes that get better from exit to exit. Timed in a process of its own
for each size, on one thread, is what `offramp plan` does between its files: every set of exits at 256 thresholds by
every crossing, codecs that lose something included, the thresholds of the best dozen moved, the baselines. The bars are
on seconds of one core: those of the processor, which others on the machine do not change by much. The gap is that of
the thresholds found to the best of all combinations of a grid of 24, for every set of two or three exits.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import numpy as np

from alternate import last_line
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.measurement import Conditions
from offramp.artifacts.plan import Part
from offramp.artifacts.predictions import Predictions, PredictionsHeader
from offramp.artifacts.pretrained import pretrained
from offramp.machine import here
from offramp.plan.baselines import baselines
from offramp.plan.choose import Wanted, choose
from offramp.plan.goal import Goal
from offramp.plan.inputs import Samples
from offramp.plan.leaving import leaving
from offramp.plan.pricing import Prices, curve
from offramp.plan.search import Scan, moved, ranked
from offramp.plan.table import Crossing, Table, bins

BARS = {10_000: 2.0, 100_000: 15.0}  # seconds
COARSE, MAX_LOSS = 24, 0.01


class Made:
    """Seconds by multiply-adds: how long the search takes does not depend on them."""

    def __init__(self, bundle: Bundle) -> None:
        self.manifest = bundle.manifest

    def exits(self, part: Part) -> tuple[float, ...]:
        active = tuple(one.exit for one in part.active)
        return tuple(1e-9 * self.manifest.macs(exit_, active) + 1e-3 for exit_ in active)

    def local(self, part: Part) -> float:
        return 1e-9 * self.manifest.macs(self.manifest.last, tuple(one.exit for one in part.active)) + 1e-3

    def edge(self, part: Part) -> float:
        deepest = max(part.cut, part.exit if part.active else 0)
        return 1e-9 * self.manifest.macs(deepest, tuple(one.exit for one in part.active)) + 1e-3 if deepest else 1e-3

    def cloud(self, part: Part) -> float:
        return 1e-3 + 1e-10 * (self.manifest.last - part.cut) * 1e6

    def onward(self, part: Part) -> float:
        return self.edge(part) + self.cloud(part) + 2e-3 + 8 * self.bytes_up(part) / 15e6

    def bytes_up(self, part: Part) -> int:
        return 100 + self.manifest.cut(part.cut).codecs[part.codec].bytes_per_sample

    def bytes_down(self, part: Part) -> int:
        return 140


def drawn(bundle: Bundle, n: int) -> Samples:
    """Predictions of so many samples, whole and by every lossy crossing."""
    rng, manifest = np.random.default_rng(0), bundle.manifest
    labels, ease = rng.integers(0, 10, n), rng.gamma(1.0, 1.0, n)[:, None]
    truth = np.eye(10)[labels]
    logits = {k: (2 * ease * np.sqrt(k) * truth + rng.normal(size=(n, 10))).astype(np.float32) for k in manifest.exits}
    header = PredictionsHeader(
        model=manifest.model, source=f"bundle:{manifest.id}", data="drawn", split="validation",
        classes=manifest.classes, exits=manifest.exits,
    )  # fmt: skip
    plain = Predictions(header, np.arange(n), labels, logits)
    others = []
    for cut in manifest.cuts[1:]:
        for codec, much in (("fp16", 0.01), ("uint8", 0.1)):
            noise = rng.normal(size=(n, 10)).astype(np.float32)
            coded = {**logits, manifest.last: logits[manifest.last] + much * noise}
            at = header.model_copy(update={"cut": cut.boundary, "codec": codec})
            others.append(Predictions(at, plain.index, labels, coded))
    return Samples(plain, tuple(others))


def one_size(bundle: Bundle, n: int) -> dict[str, float]:
    """Seconds of one plan, on the wall and of the processor, and the most memory that it took beyond the samples."""
    samples, prices = drawn(bundle, n), Prices(bundle.manifest, Made(bundle), {})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, cpu = perf_counter(), process_time()
    chosen = choose(samples, prices, Wanted(max_loss=MAX_LOSS))
    baselines(chosen.table, prices, chosen.goal, chosen.scan.grid)
    return {
        "seconds": perf_counter() - wall,
        "processor_seconds": process_time() - cpu,
        "plans": len(chosen.scan),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "beyond_samples_mib": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024,
    }


def gaps(table: Table, prices: Prices) -> tuple[list[float], list[float]]:
    """By how much the thresholds found cost more than the best of a coarse grid, and one threshold more than those."""
    end = Crossing(table.last, "fp32")
    goal = Goal("macs", accuracy=float(table.ends[end].mean()) - MAX_LOSS)
    grid = table.grid(COARSE)
    found, one = [], []
    for size in (2, 3):
        for exits in combinations(table.exits, size):
            rows = [table.row(k) for k in exits]
            few = Table(exits, table.last, table.scores[rows], table.right[rows], {end: table.ends[end]})
            scan = Scan.of(few, prices, grid)
            columns = curve(prices, leaving(few, grid, exits), end)
            place = int(goal.ranked(columns)[0])
            leader = next(scan.at(k) for k in range(len(scan)) if _is(scan, k, exits, place))
            mine = ranked([leader, *moved(leader, few, prices, goal, grid, thorough=True)], goal)[0]
            best = exhaustive(few, prices, exits, grid, goal.accuracy or 0.0)
            if goal.met(mine.figures) and np.isfinite(best):
                found.append(mine.figures.macs / best - 1)
                one.append(float(columns.macs[place]) / mine.figures.macs - 1)
    return found, one


def _is(scan: Scan, place: int, exits: tuple[int, ...], threshold: int) -> bool:
    return scan.sets[scan.which[place, 0]] == exits and int(scan.which[place, 2]) == threshold


def exhaustive(table: Table, prices: Prices, exits: tuple[int, ...], grid: np.ndarray, least: float) -> float:
    """Multiply-adds of the cheapest of all combinations of thresholds that are right often enough: all of them tried.

    A count over all thresholds of all exits at once, then sums over its corners.
    """
    placed, count = bins(table.scores, grid), len(grid)
    path = prices.path(exits, Crossing(table.last, "fp32"))
    macs = np.array(path.macs, np.float64)
    axes = np.meshgrid(*[np.arange(count)] * len(exits), indexing="ij")
    cost, right = np.zeros(axes[0].shape), np.zeros(axes[0].shape)
    hist = [np.zeros((count + 1,) * len(exits)) for _ in range(len(exits) + 2)]
    where = tuple(placed)
    np.add.at(hist[0], where, 1.0)
    for position, good in enumerate([*table.right, table.ends[Crossing(table.last, "fp32")]]):
        np.add.at(hist[position + 1], tuple(one[good] for one in placed), 1.0)
    for position in range(len(exits) + 1):
        cost += macs[position] * _reaching(hist[0], position, count)
        right += _reaching(hist[position + 1], position, count)
    cost, right = cost / len(table), right / len(table)
    return float(cost[right >= least - 1e-9].min(initial=np.inf))


def _reaching(of: np.ndarray, position: int, count: int) -> np.ndarray:
    """Of a count by bins: who has not left before an exit, and leaves there, at every combination of thresholds."""
    for axis in range(of.ndim):
        until = of.cumsum(axis=axis)
        whole = np.take(until, [count], axis=axis)
        within = np.take(until, range(count), axis=axis)
        if axis < position:
            of = whole - within
        elif axis == position:
            of = within
        else:  # whatever they do there
            of = np.repeat(whole, count, axis=axis)
    return of


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, help="only this one, in this process")
    parser.add_argument("--validation", type=Path, help="predictions that the gap is measured on; default: drawn ones")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    bundle = Bundle.open(pretrained() / "bundle")
    if options.size:
        print(json.dumps(one_size(bundle, options.size)))
        return
    figures: dict[str, Any] = {}
    for size, bar in BARS.items():
        runs = []
        for _ in range(options.rounds):
            command = [sys.executable, __file__, "--size", str(size)]
            runs.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        best = {key: float(np.median([run[key] for run in runs])) for key in runs[0]}
        figures[f"of_{size}"] = best | {"bar_seconds": bar, "holds": best["processor_seconds"] < bar}
        print(f"{size:,} samples: {best['seconds']:.2f} s ({best['processor_seconds']:.2f} s of the processor), "
              f"{best['plans']:,.0f} plans, {best['peak_mib']:.0f} MiB", file=sys.stderr)  # fmt: skip
    samples = drawn(bundle, 2500) if options.validation is None else Samples(Predictions.read(options.validation))
    table, prices = Table.of(samples.plain, bundle.manifest), Prices(bundle.manifest, Made(bundle), {})
    found, one = gaps(table, prices)
    figures["gap"] = {
        "sets": len(found), "median": round(float(np.median(found)), 5), "worst": round(max(found), 5),
        "one_threshold_costs_more_median": round(float(np.median(one)), 5),
    }  # fmt: skip
    print(f"gap to exhaustive: {figures['gap']}", file=sys.stderr)
    conditions = Conditions(**here(), batch_size=1, link="none", runtime="numpy", dtype="float64")
    last_line("plan_speed", figures, conditions, rounds=options.rounds, coarse=COARSE)


if __name__ == "__main__":
    main()
