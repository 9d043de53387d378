"""A suite's numbers over seeds: mean and spread, and the difference between MEM and SEM. In percent, by exit."""

from collections.abc import Mapping
from statistics import mean
from typing import Literal, NamedTuple

from offramp.artifacts.names import SEM, single
from offramp.artifacts.suite import Suite, SuiteRun

Part = Literal["test", "validation"]
BySeed = dict[int, float]


class Spread(NamedTuple):
    """One quantity over seeds: its mean, and the lowest and the highest of `n` values."""

    mean: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, values: list[float]) -> "Spread | None":
        """Summarize; None where there is nothing to summarize."""
        return cls(mean(values), min(values), max(values), len(values)) if values else None


Spreads = dict[int, Spread]


def runs(suite: Suite, model: str | None, regime: str) -> dict[int, SuiteRun]:
    """A model's finished runs under a regime, by seed."""
    return {run.key.seed: run for run in suite.runs if (run.key.model, run.key.regime) == (model, regime)}


def local_exits(suite: Suite) -> tuple[int, ...]:
    """Every local exit that any finished model has."""
    return tuple(sorted({exit_ for run in suite.runs for exit_ in run.exits[:-1]}))


def baseline(suite: Suite) -> str:
    """The regime that everything is compared with."""
    return suite.settings.regimes[0]


def many(suite: Suite) -> str | None:
    """The model that stands for MEM: the finished one with the most local exits, several at least."""
    sizes = {run.key.model: len(run.exits) for run in suite.runs if not single(run.key.model)}
    return max(sizes, key=lambda model: sizes[model]) if sizes else None


def regimes(suite: Suite) -> tuple[str, ...]:
    """The regimes under which MEM has been trained."""
    return tuple(regime for regime in suite.settings.regimes if runs(suite, many(suite), regime))


def edge(suite: Suite, model: str | None, regime: str, exit_: int | None, part: Part = "test") -> BySeed:
    """Accuracy of an exit over all samples of a part, by seed; of the validation part after the last epoch.

    None stands for the model's last exit.
    """
    values = {}
    for seed, run in runs(suite, model, regime).items():
        at = run.test_accuracy if part == "test" else run.training[-1].validation_accuracy if run.training else {}
        place = run.exits[-1] if exit_ is None else exit_
        if place in at:
            values[seed] = 100 * at[place]
    return values


def paired(one: BySeed, other: BySeed) -> Spread | None:
    """One minus the other, seed by seed; None where they have no seed in common."""
    return Spread.of([one[seed] - other[seed] for seed in one if seed in other])


def sem_edge(suite: Suite, regime: str) -> Spreads:
    """Of the SEMs, each at its own exit."""
    return _spreads({k: edge(suite, f"{SEM}{k}", regime, k) for k in local_exits(suite)})


def sem_cloud(suite: Suite, regime: str) -> Spreads:
    """Of the SEMs, each at its last exit."""
    return _spreads({k: edge(suite, f"{SEM}{k}", regime, None) for k in local_exits(suite)})


def mem_edge(suite: Suite, regime: str) -> Spreads:
    """Of MEM at every exit, the last one included."""
    exits = {exit_ for run in runs(suite, many(suite), regime).values() for exit_ in run.exits}
    return _spreads({k: edge(suite, many(suite), regime, k) for k in sorted(exits)})


def differences(suite: Suite, regime: str, against: str, part: Part = "test") -> Spreads:
    """MEM under a regime minus SEM under another (or the same), at each exit over all samples, seed by seed."""
    apart = {
        k: paired(edge(suite, many(suite), regime, k, part), edge(suite, f"{SEM}{k}", against, k, part))
        for k in local_exits(suite)
    }
    return {exit_: spread for exit_, spread in apart.items() if spread is not None}


def ranked(suite: Suite) -> tuple[str, ...]:
    """The regimes of MEM from the best to the worst, by the exit that loses most on the validation part.

    The test part takes no part in the choice: a best of many, chosen there, would look better than it is.
    """

    def worst(regime: str) -> float:
        apart = differences(suite, regime, baseline(suite), "validation")
        return min((spread.mean for spread in apart.values()), default=float("-inf"))

    return tuple(sorted(regimes(suite), key=worst, reverse=True))


def shown(suite: Suite, most: int = 4) -> tuple[str, ...]:
    """The regimes for a figure, which has room for few: the first, and the best of the others."""
    best = [regime for regime in ranked(suite) if regime != baseline(suite)]
    kept = {baseline(suite), *best[: most - 1]}
    return tuple(regime for regime in regimes(suite) if regime in kept)


def overall(suite: Suite, model: str | None, regime: str, exit_: int, threshold: float) -> BySeed:
    """Overall accuracy at one exit and threshold, by seed."""
    return {
        seed: 100 * tiered.outcome.overall
        for seed, run in runs(suite, model, regime).items()
        for tiered in run.tiered
        if (tiered.exit, tiered.threshold) == (exit_, threshold) and tiered.outcome.overall is not None
    }


def curves(suite: Suite, model: str | None, regime: str, exit_: int) -> dict[int, float]:
    """Validation accuracy of an exit by epoch, mean over seeds."""
    by_epoch: dict[int, list[float]] = {}
    for run in runs(suite, model, regime).values():
        for point in run.training:
            if exit_ in point.validation_accuracy:
                by_epoch.setdefault(point.epoch, []).append(100 * point.validation_accuracy[exit_])
    return {epoch: mean(values) for epoch, values in sorted(by_epoch.items())}


def _spreads(values: Mapping[int, BySeed]) -> Spreads:
    return {k: spread for k, of in values.items() if (spread := Spread.of(list(of.values()))) is not None}
