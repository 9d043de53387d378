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
from offramp.exits.betting import tally, wealth
from offramp.exits.guarantees import Moments, Routes, gaps, moments, ordered
from offramp.exits.score import Floats
from offramp.machine import here
from offramp.measure.predict import of_bundle
from offramp.plan.joint import Leaves, plans
from offramp.plan.score import choose_score

LOSSES, DELTAS, SAMPLES = (0.005, 0.01, 0.02), (0.05, 0.1), (1000, 2500, 5000)
POWER = (2500, 0.01, 0.05)
AT_ONCE = 25  # draws
OVER, LESS = 0.08, 0.07  # the bars on costs: at most so much above the best plan, and so much below one threshold
ONE, EACH, SINGLE = "one threshold for all exits", "a threshold for each exit", "one exit, as a SEM's"
KNOWN = "a threshold for each exit, were the population known"


@dataclass(frozen=True)
class Family:
    """Candidates of one kind, with what validation expects of them and what the population makes of them."""

    expect: Moments
    costs: Floats  # (P,) mean multiply-adds, on the validation samples
    gaps: npt.NDArray[np.int8]  # (P, N) of the population
    true_costs: Floats  # (P,)
    best: dict[float, float]  # the least cost of any plan of this kind that loses no more of the population, by loss
    end: float  # the last exit asked for every sample

    @property
    def losses(self) -> Floats:
        """What each loses of the population `(P,)`."""
        return self.gaps.mean(axis=1)


def predicted(bundle: Bundle, data: str | None, split: str, cache: Path) -> Predictions:
    """A split's predictions by the plain route, measured once."""
    path = cache / f"{bundle.id}-{split}.parquet"
    if not path.exists():
        manifest, predictor = bundle.manifest, of_bundle(bundle)
        origin, shape = manifest.origin, manifest.preprocessing.shape
        splits, _ = load_as_trained(data, origin.data, origin.record, shape, seed=origin.seed, split=split)
        predictor.predict(splits.part(split), split).write(path)
    return Predictions.read(path)


def family(
    tried: Sequence[Floats], score: str, manifest: Manifest, chosen_on: Predictions, population: Predictions
) -> Family:
    """Candidates by their thresholds, 0 where an exit is not active; put in order on the one, known of the other."""
    local = population.header.exits[:-1]
    ours = [
        Plan.checked(
            active=[{"exit": k, "threshold": t} for k, t in zip(local, at, strict=True) if t],
            cut=population.last,
            score=score,
        )
        for at in tried
    ]
    before, truth = Leaves.of(chosen_on, manifest, score), known(population, manifest, score)
    left = [truth.left(at) for at in tried]
    lost = np.array([loss for _, loss in left]).astype(np.int8)
    middle = len(tried) // 2
    assert (lost[middle] == gaps(population, population, ours[middle])).all()  # what nodes would answer
    costs = np.array([cost.mean() for cost, _ in left])
    found = Family(
        moments(Routes(chosen_on), ours, "accuracy"),
        np.array([before.mean(at)[0] for at in tried]),
        lost,
        costs,
        {},
        truth.end,
    )
    return replace(found, best={loss: least(costs, found.losses, loss, truth.end) for loss in LOSSES})


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
    exits = len(leaves.heads)
    grid = np.unique(np.quantile(leaves.scores, np.linspace(0.2, 1, 120)))
    alone = [np.where(np.arange(exits) == k, at, 0.0) for k in range(exits) for at in grid[::3]]
    found = {}
    if exits > 1:
        found[ONE] = family([np.full(exits, at) for at in grid], "entropy", manifest, chosen_on, population)
    found[SINGLE] = family(alone, "entropy", manifest, chosen_on, population)
    score = choose_score(chosen_on, manifest, POWER[1])
    if exits > 1:
        prices = leaves.end / 0.01 * np.geomspace(0.02, 2, 30)
        tried = plans(Leaves.of(chosen_on, manifest, score), prices)
        each, truth = family(tried, score, manifest, chosen_on, population), known(population, manifest, score)
        oracle = np.array([truth.mean(at) for at in plans(truth, prices)]).T
        best = {loss: min(cost, least(*oracle, loss, each.end)) for loss, cost in each.best.items()}
        found[EACH] = replace(each, best=best)
        found[KNOWN] = informed(family(plans(truth, prices), score, manifest, chosen_on, population))
    return score, found


def informed(of: Family) -> Family:
    """Candidates chosen and put in order by the population itself: what is left is what drawing samples costs."""
    taken = np.ones(len(of.costs))
    return replace(of, expect=Moments(of.losses, of.gaps.var(axis=1) + 1e-3, taken), costs=of.true_costs)


@dataclass
class Tally:
    """What came of the draws of one setting."""

    missed: int = 0
    shown: int = 0
    cost: float = 0.0
    in_sample: int = 0


def drawn(of: Family, samples: int, draws: int, seed: int) -> dict[tuple[float, float], Tally]:
    """Promise again and again on samples drawn from the population; by max loss and delta."""
    found = {(loss, delta): Tally() for loss in LOSSES for delta in DELTAS}
    chains = {loss: ordered(of.expect, of.costs, samples, loss) for loss in LOSSES}
    rng = np.random.default_rng(seed)
    cheapest = np.argsort(of.true_costs)
    for start in range(0, draws, AT_ONCE):
        rows = rng.integers(0, of.gaps.shape[1], (min(AT_ONCE, draws - start), samples))
        mean = np.array([of.gaps[:, some].mean(axis=1) for some in rows])
        for loss, chain in chains.items():
            greedy = [cheapest[(one[cheapest] <= loss).argmax()] for one in mean if (one <= loss).any()]
            over = int((of.losses[greedy] > loss).sum())
            tallies = tally(of.gaps[chain][:, rows].swapaxes(0, 1).reshape(-1, samples)) if len(chain) else None
            for delta in DELTAS:
                into = found[loss, delta]
                into.in_sample += over
                held = np.zeros(len(rows), np.intp)
                if tallies is not None:
                    passed = wealth(tallies, loss, delta) >= math.log(1 / delta)
                    held = np.cumprod(passed.reshape(len(rows), -1), axis=1).sum(axis=1)
                promised = chain[held[held > 0] - 1]
                into.shown += len(promised)
                into.missed += int((of.losses[promised] > loss).sum())
                into.cost += float(of.true_costs[promised].sum()) + of.end * int((held == 0).sum())
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
                figures[f"{name}, n {samples}, max loss {loss:g}, delta {delta:g}"] = {
                    "missed": it.missed / draws, "in_sample": it.in_sample / draws, "shown": it.shown / draws,
                    "cost": it.cost / draws, "oracle": of.best[loss], "delta": delta,
                    "kept": it.missed / draws <= delta + 2 * math.sqrt(delta * (1 - delta) / draws),
                }  # fmt: skip
                rows.append([
                    f"{samples:,}", f"{loss:.1%}", f"{delta:.0%}", f"{it.missed / draws:.1%}",
                    f"{it.in_sample / draws:.1%}", f"{it.shown / draws:.0%}", f"{it.cost / draws / 1e6:.2f}",
                    f"{of.best[loss] / 1e6:.2f}",
                ])  # fmt: skip
        by = score if name in (EACH, KNOWN) else "entropy"
        columns = ("samples", "max loss", "δ", "missed", "missed in sample", "shown", "M MACs", "best plan")
        show(f"{bundle.manifest.model}: {name}, by {by}; {draws} draws", columns, rows)
    return {"score": score, "figures": figures}


def bars(found: dict[str, Any]) -> dict[str, Any]:
    """What of the bars is met by a network."""
    figures = found["figures"]
    setting = f"n {POWER[0]}, max loss {POWER[1]:g}, delta {POWER[2]:g}"
    at = {name: found for name in (ONE, EACH, KNOWN) if (found := figures.get(f"{name}, {setting}"))}
    said: dict[str, Any] = {"violations": all(one["kept"] for one in figures.values())}
    if len(at) > 1:
        over = {name: one["cost"] / one["oracle"] - 1 for name, one in at.items()}
        less = 1 - at[EACH]["cost"] / at[ONE]["cost"]
        said |= {"over_best": over, "within_8_percent": {name: share <= OVER for name, share in over.items()}}
        said |= {"joint_saves": less, "joint_saves_7_percent": less >= LESS}
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
