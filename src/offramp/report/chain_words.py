"""A choice among plans of three tiers in words and cells. Draws nothing."""

from offramp.artifacts.promise import Promise
from offramp.exits.sampling import wilson
from offramp.plan.chain_search import ALL, ChainCandidate, ChainChosen
from offramp.plan.goal import Goal
from offramp.report.plan_words import GOALS, capital, promised

PREDICTED = ("mean ms", "95 % ms", "bytes 1st", "2nd hop", "cloud ms", "answers %")
COLUMNS = ("who computes", "right %", "lost", *PREDICTED, "exit:threshold → what crosses")
SAYS = (
    "every figure is predicted, of one sample at a time, in the mean: accuracies from the predictions given, with the "
    "95 % interval in brackets (Wilson), the rest from the profiles and the links. Of each choice of tiers its best "
    "plan; a tier that only hands on computes nothing. Answers: of device, edge and cloud"
)
NAMES = {
    ("device",): "everything on the device",
    ("edge",): "everything at the edge",
    ("cloud",): "everything in the cloud",
    ("device", "edge"): "device and edge",
    ("device", "cloud"): "device and cloud",
    ("edge", "cloud"): "edge and cloud",
    ALL: "all three",
}


def rows_of(chosen: ChainChosen, shown: ChainCandidate | None = None) -> list[tuple[str, ...]]:
    """A row for each choice of tiers under COLUMNS, the best last, and behind it the one that is promised."""
    rows = [_cells(NAMES[tiers], one, chosen) for tiers, one in chosen.by_tiers.items() if one is not chosen.best]
    rows = [*reversed(rows), _cells(f"the choice, {NAMES[chosen.best.tiers]}", chosen.best, chosen)]
    return rows if shown is None else [*rows, _cells(f"promised, {NAMES[shown.tiers]}", shown, chosen)]


def answer(chosen: ChainChosen) -> list[str]:
    """Whether a third tier pays, and by how much, in sentences."""
    best, goal = chosen.best, chosen.goal
    told = _told(best, chosen)
    if chosen.pays:
        other = chosen.fewer
        said = f"A third tier pays: {_than(best, other, goal)} by the best of fewer ({NAMES[other.tiers]}, "
        return [f"{said}{other.brief(chosen.table.last)}). {capital(told)}"]
    said = f"A third tier does not pay: {NAMES[best.tiers]} is the best."
    if (three := chosen.three) is not None:
        missed = "" if goal.met(three.figures) else ", which is not within what was asked"
        said += f" By all three, {_than(three, best, goal)} by it{missed}."
    return [f"{said} {capital(told)}", *([_relayed(chosen)] if best.tiers == ("device", "cloud") else [])]


def kept(chosen: ChainChosen, shown: ChainCandidate | None, promise: Promise | None) -> list[str]:
    """What is promised, of which plan, in sentences."""
    if shown is None:
        return promised(promise, chosen.goal)
    return [f"The plan that is promised: {_told(shown, chosen)}", *promised(promise, chosen.goal)]


def _told(one: ChainCandidate, chosen: ChainChosen) -> str:
    """A plan, what it is predicted to come to, and who answers."""
    shares = [f"the {tier} {100 * share:.1f} %" for tier, share in _shares(one).items() if share > 0]
    comes = f"{_value(one, chosen.goal)}, {100 * (chosen.whole - float(one.figures.accuracy)):.2f} points lost"
    return f"{one.brief(chosen.table.last)}; predicted: {comes}. It answers: {', '.join(shares)}."


def _relayed(chosen: ChainChosen) -> str:
    of = chosen.best.shape
    return "The device asks the cloud itself." if of.direct else "The edge only hands on what comes."


def _than(one: ChainCandidate, other: ChainCandidate, goal: Goal) -> str:
    """One figure held against another."""
    mine, theirs = (float(goal.cost(each.figures)) for each in (one, other))
    if goal.minimise == "loss":
        return f"{_value(one, goal)}, and {_value(other, goal)}"
    way = "less" if mine < theirs else "more"
    change = f"{100 * abs(mine / theirs - 1):.1f} % {way} than " if theirs else "against "
    return f"{_value(one, goal)}, {change}{_value(other, goal)}"


def _value(one: ChainCandidate, goal: Goal) -> str:
    """What is made least, with its unit."""
    value = float(goal.cost(one.figures))
    if goal.minimise == "loss":
        return f"right {100 * float(one.figures.accuracy):.2f} %"
    if goal.minimise in ("bytes", "macs"):
        return f"{value:,.0f} {'bytes on the links' if goal.minimise == 'bytes' else 'multiply-adds'}"
    return f"{GOALS[goal.minimise]} {1000 * value:.3g} ms"


def _cells(name: str, one: ChainCandidate, chosen: ChainChosen) -> tuple[str, ...]:
    found, samples = one.figures.floats(), len(chosen.table.plain)
    low, high = wilson(min(max(found["accuracy"], 0.0), 1.0), samples)
    missed = "" if chosen.goal.met(one.figures) else "; not within what was asked"
    return (
        name,
        f"{100 * found['accuracy']:.2f} [{100 * low:.1f},\u00a0{100 * high:.1f}]",
        f"{100 * (chosen.whole - found['accuracy']):+.2f}",
        f"{1000 * found['mean']:.3g}",
        f"{1000 * found['p95']:.3g}",
        f"{found['first']:,.0f}",
        f"{found['second']:,.0f}",
        f"{1000 * found['cloud']:.3g}",
        " ".join(f"{100 * share:.0f}" for share in _shares(one).values()),
        one.brief(chosen.table.last) + missed,
    )


def _shares(one: ChainCandidate) -> dict[str, float]:
    found = one.figures.floats()
    return {"device": found["at_device"], "edge": found["at_edge"], "cloud": found["onward"]}
