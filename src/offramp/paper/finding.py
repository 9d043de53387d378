"""What a reproduction means, in one sentence computed from its numbers."""

from offramp.exits.sampling import difference_error
from offramp.paper.families import Family, label
from offramp.paper.view import View, by_exit


def finding(view: View) -> str:
    """Say how MEM's exits compare with the SEMs', and which exit answers fastest, whichever way it turned out."""
    parts = [part for part in (_accuracy(view), _latency(view)) if part]
    if not parts:
        return "Nothing was measured that could be compared."
    sentence = "; ".join(parts) + "."
    return sentence[0].upper() + sentence[1:]


def sampling_error(pairs: list[tuple[float, float]], samples: int) -> float:
    """Two standard errors of the mean difference of pairs of accuracies, each over the same `samples`.

    An upper bound, as only accuracies are known: binomial, the two models taken as independent and the exits as wholly
    dependent on each other. It holds no spread between training runs.
    """
    return sum(difference_error(one, samples, other, samples) for one, other in pairs) / len(pairs)


def _accuracy(view: View) -> str | None:
    sem, mem = (
        {k: model.test_accuracy[k] for k, model in view.models[family].items() if k in model.test_accuracy}
        for family in Family
    )
    pairs = {k: (sem[k], mem[k]) for k in sorted(sem.keys() & mem.keys())}
    samples = view.reproduction.test_samples
    if not pairs or not samples:
        return None
    difference = 100 * sum(mem_at - sem_at for sem_at, mem_at in pairs.values()) / len(pairs)
    error = 100 * sampling_error(list(pairs.values()), samples)
    scope = (
        f"the SEM{'s' * (len(pairs) > 1)} over all {samples:,} test samples "
        f"({len(pairs)} exit{'s' * (len(pairs) > 1)}, one seed)"
    )
    if round(difference, 2) == 0:
        return f"at the same exit, the MEM is on average as accurate as {scope}"
    side = "less" if difference < 0 else "more"
    beyond = "more than" if abs(difference) > error else "which is within"
    return (
        f"at the same exit, the MEM is on average {abs(difference):.2f} points {side} accurate than {scope}, "
        f"{beyond} the sampling error of {error:.2f}{_mostly(pairs)}"
    )


def _mostly(pairs: dict[int, tuple[float, float]]) -> str:
    """Name the exit that makes more than half of the difference by itself, if one of several does."""
    points = {exit_: 100 * (mem_at - sem_at) for exit_, (sem_at, mem_at) in pairs.items()}
    exit_, most = max(points.items(), key=lambda item: abs(item[1]))
    if len(points) < 2 or 2 * abs(most) <= sum(map(abs, points.values())):
        return ""
    rest = (sum(points.values()) - most) / (len(points) - 1)
    return f" (exit {exit_} alone: {most:+.2f} points; the others on average: {rest:+.2f})"


def _latency(view: View) -> str | None:
    threshold = view.main_threshold
    rows = [
        (p50, row)
        for family in Family
        for row in by_exit(view, family, threshold).values()
        if (p50 := row.p50("overall")) is not None and row.outcome.overall is not None
    ]
    if not rows:
        return None
    p50, best = min(rows, key=lambda row: row[0])
    exit_, outcome = best.setup.place, best.outcome
    sem = view.models[Family.SEM].get(exit_)
    where = "" if sem is not None and sem.model == best.setup.model == f"sem-{exit_}" else f" at exit {exit_}"
    return (
        f"at T = {threshold:g} the lowest overall latency, {p50:.2f} ms (p50), is {label(best.setup.model)}'s{where}, "
        f"with {100 * (outcome.overall or 0.0):.2f} % overall accuracy and {100 * outcome.local / outcome.n:.0f} % "
        f"of the samples answered at the edge{_as_fast(view, [row[0] for row in rows])}"
    )


def _as_fast(view: View, overall: list[float]) -> str:
    """Say how many of the other latencies the machine's noise does not tell from the lowest."""
    share, others = noise(view), len(overall) - 1
    if share is None or not others:
        return ""
    close = sum(p50 <= (1 + share) * min(overall) for p50 in overall) - 1
    who = f"{close or 'none'} of the {others} others {'is' if close == 1 else 'are'}"
    return f"; {who} within the noise of {100 * share:.0f} %"


def noise(view: View) -> float | None:
    """How far apart equal work was: the largest difference between SEM's and MEM's edge latency at an exit, as a share.

    Up to an exit the two compute the same. Medians at the threshold that is shown; None where no exit has both.
    """
    sem, mem = (by_exit(view, family, view.main_threshold) for family in Family)
    pairs = [(sem[k].p50("edge"), mem[k].p50("edge")) for k in sem.keys() & mem.keys()]
    return max((max(a, b) / min(a, b) - 1 for a, b in pairs if a and b), default=None)
