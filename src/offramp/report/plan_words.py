"""A choice of plan in words and cells, in a terminal and on the page alike. Draws nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from offramp.artifacts.plan import Plan
from offramp.artifacts.promise import Promise
from offramp.exits.sampling import wilson
from offramp.plan.baselines import JPEG, Row
from offramp.plan.candidate import Candidate
from offramp.plan.choose import Chosen
from offramp.plan.goal import Goal, Minimised, points
from offramp.plan.pricing import Figures

PREDICTED = ("mean ms", "95 % ms", "bytes up", "cloud ms", "10⁶ MACs", "goes on %")
COLUMNS = ("", "right %", "lost", *PREDICTED, "exit:threshold → the rest")
SAYS = (
    "every figure is predicted, of one sample at a time: accuracies from the predictions given, with the 95 % interval "
    "in brackets (Wilson), the rest from the profiles and the link. Lost: points of accuracy below the last exit's"
)
GOALS: dict[Minimised, str] = {
    "latency": "mean latency",
    "p95": "the 95th percentile of latency",
    "bytes": "bytes to the cloud",
    "cloud": "cloud seconds",
    "macs": "multiply-adds",
    "loss": "accuracy lost",
}


@dataclass(frozen=True)
class Outcome:
    """A choice, whole: what is deployed, what was shown of it, and what it stands beside."""

    chosen: Chosen
    deployed: Candidate
    plan: Plan
    rows: tuple[Row, ...]

    @property
    def promise(self) -> Promise | None:
        """What was shown."""
        return self.plan.promise


def cells(name: str, plan: str, figures: Figures, whole: float, samples: int, remark: str = "") -> tuple[str, ...]:
    """A row under COLUMNS."""
    low, high = wilson(min(max(figures.accuracy, 0.0), 1.0), samples)
    return (
        name,
        f"{100 * figures.accuracy:.2f} [{100 * low:.1f},\u00a0{100 * high:.1f}]",
        f"{100 * (whole - figures.accuracy):+.2f}",
        f"{1000 * figures.mean:.3g}",
        f"{1000 * figures.p95:.3g}",
        f"{figures.up:,.0f}",
        f"{1000 * figures.cloud:.3g}",
        f"{figures.macs / 1e6:.2f}",
        f"{100 * figures.onward:.1f}",
        f"{plan}; {remark}" if plan and remark else plan or remark,
    )


def rows_of(found: Outcome) -> list[tuple[str, ...]]:
    """The baselines, then the choice."""
    chosen, n, last = found.chosen, len(found.chosen.table), found.chosen.table.last
    rows = [
        cells(
            row.name, row.candidate.brief(last) if row.candidate else "", row.figures, chosen.whole, n,
            row.remark or missed(chosen.goal, row.figures),
        )
        for row in found.rows
    ]  # fmt: skip
    mine = found.deployed
    return [*rows, cells("the choice", mine.brief(last), mine.figures, chosen.whole, n)]


def missed(goal: Goal, figures: Figures) -> str:
    """Which bound a baseline misses."""
    bounds = {
        "loses more": goal.accuracy is not None and figures.accuracy < goal.accuracy - 1e-9,
        "too late": goal.deadline is not None and figures.p95 > goal.deadline,
        "too many bytes": goal.up is not None and figures.up > goal.up,
        "too much cloud": goal.cloud is not None and figures.cloud > goal.cloud,
    }
    return ", ".join(words for words, over in bounds.items() if over)


def asked(goal: Goal, whole: float) -> str:
    """What was asked for."""
    bounds = []
    if goal.accuracy is not None:
        bounds.append(f"at most {points(whole - goal.accuracy)} of accuracy lost")
    if goal.deadline is not None:
        bounds.append(f"95 % within {1000 * goal.deadline:g} ms")
    if goal.up is not None:
        bounds.append(f"{goal.up:g} bytes a sample")
    if goal.cloud is not None:
        bounds.append(f"{1000 * goal.cloud:g} ms of the cloud a sample")
    return f"least {GOALS[goal.minimise]}" + (f", {' and '.join(bounds)}" if bounds else "")


def answer(found: Outcome) -> list[str]:
    """What to do, in sentences: with a cloud or without, with local exits or not, and whether JPEG would be better."""
    mine, figures, last = found.deployed, found.deployed.figures, found.chosen.table.last
    plan = capital(mine.said(last))
    local = 100 * (1 - figures.onward)
    lost = 100 * (found.chosen.whole - figures.accuracy)
    comes = f"predicted: mean {1000 * figures.mean:.3g} ms, {lost:.2f} points lost"
    if mine.crossing.cut == last:
        said = f"Do not use a cloud: answer everything at the edge. {plan}; {comes}."
    elif mine.crossing.other:
        said = (
            f"A cascade: {local:.1f} % is answered at the edge, the rest by another network. {plan}; "
            f"{comes}. Run it with --cloud-version {mine.crossing.other}."
        )
    elif mine.exits:
        said = f"Local exits pay: {local:.1f} % is answered at the edge. {plan}; {comes}."
    elif mine.crossing.cut:
        said = f"No local exit pays: cut the network and send everything on. {plan}; {comes}."
    else:
        said = f"No local exit pays, and no cut: send the {mine.crossing.input}. {plan}; {comes}."
    return [said, *_jpeg(found), *promised(found.promise, found.chosen.goal)]


def _jpeg(found: Outcome) -> list[str]:
    """Where JPEG would be the better choice, so."""
    goal, mine = found.chosen.goal, found.deployed.figures
    for row in found.rows:
        better = goal.met(row.figures) and goal.cost(row.figures) < goal.cost(mine)
        if row.name == JPEG and better:
            return [
                f"Sending the JPEG is predicted to be better still, mean {1000 * row.figures.mean:.3g} ms and "
                f"{row.figures.up:,.0f} bytes, decoding not counted; {row.remark}."
            ]
    return []


def promised(promise: Promise | None, goal: Goal) -> list[str]:
    """What is promised of a plan, and where nothing is, how that is had."""
    if promise is not None:
        return [
            f"Promised ({promise.kind}): at most {points(promise.max_loss)} lost, with a confidence of "
            f"{100 * promise.confidence:.3g} %, shown on {promise.samples:,} samples of {promise.data}."
        ]
    if goal.accuracy is None:
        return []
    return [
        "Nothing is promised: chosen on the samples that it was priced on, it may lose more on others. "
        "Ask for --confidence 95%."
    ]


def on_other(name: str, candidates: Sequence[tuple[str, Candidate]], whole: float, samples: int) -> list[str]:
    """What plans come to on samples that they were not chosen on, a line each."""
    lines = []
    for what, one in candidates:
        low, high = wilson(one.figures.accuracy, samples)
        lines.append(
            f"on {name}, {samples:,} samples: {what} is right on {100 * one.figures.accuracy:.2f} % "
            f"[{100 * low:.1f}, {100 * high:.1f}], {100 * (whole - one.figures.accuracy):.2f} points lost, "
            f"{100 * one.figures.onward:.1f} % go on"
        )
    return lines


def capital(text: str) -> str:
    """A sentence's beginning."""
    return text[:1].upper() + text[1:]
