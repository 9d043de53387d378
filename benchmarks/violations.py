"""How often a promise is missed, and what keeping it costs: calibration samples drawn many times from a population.

The population are all test images, of which every plan's loss is known; calibration samples are drawn from them with
replacement. Candidates and their order come from the validation images alone. A miss is a promised plan that loses more
of the population than was promised. Beside it stands the choice in sample: the cheapest plan that lost no more of the
samples drawn.

    python benchmarks/violations.py --data FOLDER_OF_CIFAR10

Other networks' bundles by --bundle, which can be repeated. No time is measured. Fails where a bar is not met; the bars
on costs are of the packaged network, at 2,500 samples, 1 point and 95 %.
"""

import argparse
import math
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from alternate import last_line, show
from offramp import pretrained
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.manifest import Manifest
from offramp.artifacts.measurement import Conditions
from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.data.recorded import load_as_trained
from offramp.exits.guarantees import Moments, Routes, aimed, gaps, moments, ordered, stretched
from offramp.exits.paired import BOUNDS, p_value
from offramp.exits.score import Floats
from offramp.machine import here
from offramp.measure.predict import of_bundle
from offramp.plan.joint import CAUTION, Leaves, plans
from offramp.plan.score import choose_score

LOSSES, DELTAS, SAMPLES = (0.005, 0.01, 0.02), (0.05, 0.1), (1000, 2500, 5000)
POWER = (2500, 0.01, 0.05)
SIZES = (1, 2, 3, 4)  # of sets of exits with one threshold
OVER, LESS = 0.08, 0.07  # the bars on costs: at most so much above the best plan, and so much below one threshold
ONE, EACH, SINGLE = "one threshold for all exits", "a threshold for each exit", "one exit, as a SEM's"
SETS = "one threshold for a chosen set of exits"
KNOWN = "a threshold for each exit, were the population known"


@dataclass(frozen=True)
class Looked:
    """Plans with what validation expects of them and what the population makes of them."""

    expect: Moments
    costs: Floats  # (P,) mean multiply-adds, on the validation samples
    gaps: npt.NDArray[np.int8]  # (P, N) of the population
    true_costs: Floats  # (P,)

    @property
    def losses(self) -> Floats:
        """What each loses of the population `(P,)`."""
        found: Floats = self.gaps.mean(axis=1)
        return found


@dataclass(frozen=True)
class Family:
    """Candidates of one kind, of which one is stretched to a chain; `informed` where the population chooses it."""

    tried: Sequence[Floats]  # thresholds, 0 where an exit is not active
    score: str
    manifest: Manifest
    chosen_on: Predictions
    population: Predictions
    informed: bool = False

    @cached_property
    def end(self) -> float:
        """The cost of the last exit, asked for every sample."""
        return self.truth.end

    @cached_property
    def before(self) -> Leaves:
        """Validation's."""
        return Leaves.of(self.chosen_on, self.manifest, self.score)

    @cached_property
    def truth(self) -> Leaves:
        """The population's."""
        return known(self.population, self.manifest, self.score)

    def looked(self, tried: Sequence[Floats]) -> Looked:
        """Take plans of this kind."""
        local = self.population.header.exits[:-1]
        left = [self.truth.left(at) for at in tried]
        costs = np.array([cost.mean() for cost, _ in left])
        lost = np.array([loss for _, loss in left]).astype(np.int8)
        ours = [
            Plan.checked(
                active=[{"exit": k, "threshold": t} for k, t in zip(local, at, strict=True) if t],
                cut=self.population.last,
                score=self.score,
            )
            for at in tried
        ]
        middle = len(tried) // 2
        assert (lost[middle] == gaps(self.population, self.population, ours[middle])).all()  # what nodes would answer
        if self.informed:
            return Looked(Moments(lost.mean(axis=1), lost.var(axis=1) + 1e-3, np.ones(len(costs))), costs, lost, costs)
        before = np.array([self.before.mean(at)[0] for at in tried])
        return Looked(moments(Routes(self.chosen_on), ours, "accuracy"), before, lost, costs)

    @cached_property
    def all(self) -> Looked:
        """The candidates."""
        return self.looked(self.tried)

    @cached_property
    def chains(self) -> dict[int, Looked]:
        """Candidates stretched, by their position."""
        return {}

    def chain(self, samples: int, loss: float, delta: float) -> tuple[Looked, npt.NDArray[np.intp]]:
        """What is tested, in its order."""
        best = aimed(self.all.expect, self.all.costs, samples, loss, delta)
        if best not in self.chains:
            self.chains[best] = self.looked(list(stretched(self.tried[best])))
        found = self.chains[best]
        return found, ordered(found.expect, found.costs, samples, loss)


def predicted(bundle: Bundle, data: str | None, split: str, cache: Path) -> Predictions:
    """A split's predictions by the plain route, measured once."""
    path = cache / f"{bundle.id}-{split}.parquet"
    if not path.exists():
        manifest, predictor = bundle.manifest, of_bundle(bundle)
        origin, shape = manifest.origin, manifest.preprocessing.shape
        splits, _ = load_as_trained(data, origin.data, origin.record, shape, seed=origin.seed, split=split)
        predictor.predict(splits.part(split), split).write(path)
    return Predictions.read(path)


def least(costs: Floats, losses: Floats, max_loss: float, end: float) -> float:
    """The least cost of those that lose no more; the whole network's where there is none."""
    return float(costs[losses <= max_loss].min(initial=end))


def known(population: Predictions, manifest: Manifest, score: str) -> Leaves:
    """What exits cost and lose, by the labels."""
    right = [population.at(k).argmax(axis=1) == population.labels for k in population.header.exits]
    losses = right[-1].astype(np.float64) - np.array(right[:-1])
    return replace(Leaves.of(population, manifest, score), losses=losses)


def families(manifest: Manifest, chosen_on: Predictions, population: Predictions) -> tuple[str, dict[str, Family]]:
    """The score that validation chooses, and each kind of plans: one threshold by entropy, as the paper's, and each."""
    leaves = Leaves.of(chosen_on, manifest, "entropy")
    exits, splits = len(leaves.heads), (manifest, chosen_on, population)
    grid = np.unique(np.quantile(leaves.scores, np.linspace(0.2, 1, 120)))
    alone = [np.where(np.arange(exits) == k, at, 0.0) for k in range(exits) for at in grid]
    found = {SINGLE: Family(alone, "entropy", *splits)}
    score = choose_score(chosen_on, manifest, POWER[1])
    if exits > 1:
        found[ONE] = Family([np.full(exits, at) for at in grid], "entropy", *splits)
        leaves, truth = Leaves.of(chosen_on, manifest, score, CAUTION), known(population, manifest, score)
        grid = np.unique(np.quantile(leaves.scores, np.linspace(0.3, 1, 40)))
        sets = [np.isin(np.arange(exits), some) for size in SIZES for some in combinations(range(exits), size)]
        found[SETS] = Family([np.where(some, at, 0.0) for some in sets for at in grid], score, *splits)
        prices = leaves.end / 0.01 * np.geomspace(0.02, 2, 30)
        found[EACH] = Family(plans(leaves, prices), score, *splits)
        found[KNOWN] = Family(plans(truth, prices), score, *splits, informed=True)
    return score, found


def best(found: dict[str, Family], name: str, loss: float) -> float:
    """The least cost of any plan of a kind that loses no more of the population, were that known."""
    kinds = (EACH, KNOWN) if name in (EACH, KNOWN) else (name,)
    return min(least(of.all.true_costs, of.all.losses, loss, of.end) for of in map(found.__getitem__, kinds))


@dataclass
class Tally:
    """What came of the draws of one setting."""

    missed: int = 0
    shown: int = 0
    cost: float = 0.0
    in_sample: int = 0


@cache
def limits(most: int, samples: int, loss: float, delta: float) -> npt.NDArray[np.intp]:
    """Of up to `most` changed samples, how many may be lost for a plan to be shown; -1 where none."""
    found = np.full(most + 1, -1)
    lost = -1

    def fits(lost: int, changed: int) -> bool:
        return lost <= changed and p_value(lost, changed - lost, samples, loss, BOUNDS * delta) <= delta

    for changed in range(most + 1):
        while lost >= 0 and not fits(lost, changed):
            lost -= 1
        while fits(lost + 1, changed):
            lost += 1
        found[changed] = lost
    return found


def drawn(of: Family, samples: int, draws: int, seed: int) -> dict[tuple[float, float], Tally]:
    """Promise again and again on samples drawn from the population; by max loss and delta."""
    found = {(loss, delta): Tally() for loss in LOSSES for delta in DELTAS}
    count = len(of.population)
    times = np.random.default_rng(seed).multinomial(samples, np.full(count, 1 / count), draws).astype(np.float32)
    mean = times @ of.all.gaps.T.astype(np.float32) / samples
    cheapest = np.argsort(of.all.true_costs)
    for (loss, delta), into in found.items():
        greedy = [cheapest[(one[cheapest] <= loss).argmax()] for one in mean if (one <= loss).any()]
        into.in_sample = int((of.all.losses[greedy] > loss).sum())
        looked, chain = of.chain(samples, loss, delta)
        lost, gained = (times @ (looked.gaps[chain] == value).T.astype(np.float32) for value in (1, -1))
        changed, hopeful = (lost + gained).astype(np.intp), lost - gained < loss * samples
        most = limits(-(-int(changed[hopeful].max(initial=0)) // 200) * 200, samples, loss, delta)
        shown = hopeful & (lost <= most[np.minimum(changed, len(most) - 1)])
        held = np.cumprod(shown, axis=1).sum(axis=1)
        promised = chain[held[held > 0] - 1]
        into.shown = len(promised)
        into.missed = int((looked.losses[promised] > loss).sum())
        into.cost = float(looked.true_costs[promised].sum()) + of.end * int((held == 0).sum())
    return found


def measure(bundle: Bundle, options: argparse.Namespace, cache: Path) -> dict[str, Any]:
    """One network's misses and costs, printed and given."""
    splits = [predicted(bundle, options.data, split, cache) for split in ("validation", "test")]
    score, kinds = families(bundle.manifest, *splits)
    draws, figures = options.draws, {}
    for name, of in kinds.items():
        rows = []
        for number, samples in enumerate(SAMPLES):
            for (loss, delta), it in drawn(of, samples, draws, number).items():
                oracle = best(kinds, name, loss)
                figures[f"{name}, n {samples}, max loss {loss:g}, delta {delta:g}"] = {
                    "missed": it.missed / draws, "in_sample": it.in_sample / draws, "shown": it.shown / draws,
                    "cost": it.cost / draws, "oracle": oracle, "delta": delta,
                    "kept": it.missed / draws <= delta + 2 * math.sqrt(delta * (1 - delta) / draws),
                }  # fmt: skip
                rows.append([
                    f"{samples:,}", f"{loss:.1%}", f"{delta:.0%}", f"{it.missed / draws:.1%}",
                    f"{it.in_sample / draws:.1%}", f"{it.shown / draws:.0%}", f"{it.cost / draws / 1e6:.2f}",
                    f"{oracle / 1e6:.2f}",
                ])  # fmt: skip
        by = of.score
        columns = ("samples", "max loss", "δ", "missed", "missed in sample", "shown", "M MACs", "best plan")
        show(f"{bundle.manifest.model}: {name}, by {by}; {draws} draws", columns, rows)
    return {"score": score, "figures": figures}


def bars(found: dict[str, Any]) -> dict[str, Any]:
    """What of the bars is met by a network."""
    figures = found["figures"]
    setting = f"n {POWER[0]}, max loss {POWER[1]:g}, delta {POWER[2]:g}"
    at = {name: found for name in (ONE, SETS, EACH, KNOWN) if (found := figures.get(f"{name}, {setting}"))}
    said: dict[str, Any] = {"violations": all(one["kept"] for one in figures.values())}
    if len(at) > 1:
        over = {name: one["cost"] / one["oracle"] - 1 for name, one in at.items()}
        less = {name: 1 - at[name]["cost"] / at[ONE]["cost"] for name in (SETS, EACH)}
        said |= {"over_best": over, "within_8_percent": {name: share <= OVER for name, share in over.items()}}
        said |= {"joint_saves": less, "joint_saves_7_percent": {name: share >= LESS for name, share in less.items()}}
    return said


def main() -> None:
    """Draw, print, and say which bars are met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, action="append", help="instead of the packaged network; repeat")
    parser.add_argument("--data", help="what the networks were trained on; default: as they say")
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--cache", type=Path, help="a folder for predictions, to be used again")
    options = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        cache = options.cache or Path(scratch)
        cache.mkdir(parents=True, exist_ok=True)
        for path in options.bundle or [pretrained() / "bundle"]:
            bundle = Bundle.open(path)
            found[f"{bundle.manifest.model} {bundle.id[:8]}"] = measure(bundle, options, cache)
    said = {name: bars(one) for name, one in found.items()}
    for name, one in said.items():
        print(name, *(f"  {bar}: {value}" for bar, value in one.items()), sep="\n")
    conditions = Conditions(batch_size=256, link="none", runtime="onnxruntime", dtype="fp32", **here())
    last_line("violations", {"networks": found, "bars": said}, conditions, draws=options.draws)
    sys.exit(not all(one["violations"] for one in said.values()))


if __name__ == "__main__":
    main()
