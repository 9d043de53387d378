"""What an experiment means, in one sentence computed from its numbers."""

from math import sqrt

from offramp.paper.experiment import Experiment
from offramp.paper.families import Family, label, main_threshold, measured, models


def finding(experiment: Experiment) -> str:
    """Say how MEM's exits compare with the SEMs', and which exit answers fastest, whichever way it turned out."""
    parts = [part for part in (_accuracy(experiment), _latency(experiment)) if part]
    if not parts:
        return "Nothing was measured that could be compared."
    sentence = "; ".join(parts) + "."
    return sentence[0].upper() + sentence[1:]


def sampling_error(pairs: list[tuple[float, float]], samples: int) -> float:
    """Two standard errors of the mean difference of pairs of accuracies, each over the same `samples`.

    An upper bound, as only accuracies are known: binomial, the two models taken as independent and the exits as wholly
    dependent on each other. It holds no spread between training runs.
    """
    errors = [difference_error(one, samples, other, samples) for one, other in pairs]
    return sum(errors) / len(errors)


def difference_error(one: float, of_one: int, other: float, of_other: int) -> float:
    """Two standard errors of the difference of two shares in [0, 1], each over as many samples as stand beside it.

    Binomial, the two taken as independent: for shares of the same samples an upper bound.
    """
    return 2 * sqrt(one * (1 - one) / of_one + other * (1 - other) / of_other)


def _accuracy(experiment: Experiment) -> str | None:
    sem, mem = models(experiment, Family.SEM), models(experiment, Family.MEM)
    shared = [k for k in sorted(sem.keys() & mem.keys()) if k in sem[k].test_accuracy and k in mem[k].test_accuracy]
    if not shared or not experiment.test_samples:
        return None
    pairs = [(sem[k].test_accuracy[k], mem[k].test_accuracy[k]) for k in shared]
    difference = 100 * sum(mem_at - sem_at for sem_at, mem_at in pairs) / len(pairs)
    error = 100 * sampling_error(pairs, experiment.test_samples)
    scope = (
        f"the SEM{'s' * (len(shared) > 1)} over all {experiment.test_samples:,} test samples "
        f"({len(shared)} exit{'s' * (len(shared) > 1)}, one seed)"
    )
    if round(difference, 2) == 0:
        return f"at the same exit, the MEM is on average as accurate as {scope}"
    side = "less" if difference < 0 else "more"
    beyond = "more than" if abs(difference) > error else "which is within"
    return (
        f"at the same exit, the MEM is on average {abs(difference):.2f} points {side} accurate than {scope}, "
        f"{beyond} the sampling error of {error:.2f}{_mostly(dict(zip(shared, pairs, strict=True)))}"
    )


def _mostly(pairs: dict[int, tuple[float, float]]) -> str:
    """Name the exit that makes more than half of the difference by itself, if one of several does."""
    points = {exit_: 100 * (mem_at - sem_at) for exit_, (sem_at, mem_at) in pairs.items()}
    exit_, most = max(points.items(), key=lambda item: abs(item[1]))
    if len(points) < 2 or 2 * abs(most) <= sum(map(abs, points.values())):
        return ""
    rest = (sum(points.values()) - most) / (len(points) - 1)
    return f" (exit {exit_} alone: {most:+.2f} points; the others on average: {rest:+.2f})"


def _latency(experiment: Experiment) -> str | None:
    threshold = main_threshold(experiment)
    rows = [
        (overall.p50, m)
        for family in Family
        for m in measured(experiment, family, threshold).values()
        if (overall := m.latency_ms.get("overall")) is not None and m.outcome.overall is not None
    ]
    if not rows:
        return None
    p50, best = min(rows, key=lambda row: row[0])
    exit_, outcome = best.plan.exit, best.outcome
    sem = models(experiment, Family.SEM).get(exit_)
    where = "" if sem is not None and sem.model == best.model == f"sem-{exit_}" else f" at exit {exit_}"
    return (
        f"at T = {threshold:g} the lowest overall latency, {p50:.2f} ms (p50), is {label(best.model)}'s{where}, with "
        f"{100 * (outcome.overall or 0.0):.2f} % overall accuracy and {100 * outcome.local / outcome.n:.0f} % "
        f"of the samples answered at the edge{_as_fast(experiment, [row[0] for row in rows])}"
    )


def _as_fast(experiment: Experiment, overall: list[float]) -> str:
    """Say how many of the other latencies the machine's noise does not tell from the lowest."""
    share, others = noise(experiment), len(overall) - 1
    if share is None or not others:
        return ""
    close = sum(p50 <= (1 + share) * min(overall) for p50 in overall) - 1
    who = f"{close or 'none'} of the {others} others {'is' if close == 1 else 'are'}"
    return f"; {who} within the noise of {100 * share:.0f} %"


def noise(experiment: Experiment) -> float | None:
    """How far apart equal work was: the largest difference between SEM's and MEM's edge latency at an exit, as a share.

    Up to an exit the two compute the same. Medians at the threshold that is shown; None where no exit has both.
    """
    at = {family: measured(experiment, family, main_threshold(experiment)) for family in Family}
    apart = []
    for exit_ in at[Family.SEM].keys() & at[Family.MEM].keys():
        sem, mem = (at[family][exit_].latency_ms.get("edge") for family in Family)
        if sem is not None and mem is not None and min(sem.p50, mem.p50) > 0:
            apart.append(max(sem.p50, mem.p50) / min(sem.p50, mem.p50) - 1)
    return max(apart, default=None)
