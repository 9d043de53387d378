"""Measurements as a table for people."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from rich.table import Table

from offramp.artifacts.outcome import LAST_TIER, OVERALL, Outcome, Over
from offramp.artifacts.plan import Plan
from offramp.artifacts.provenance import Int8

COLUMNS = ("model", "exit", "T", "exited")  # then what is rare, accuracies and latencies by tier, and KB
NONE = "–"
WHOLE = 100_000  # bytes from which on KB are shown whole
RARE = {
    "dropped": "dropped: answered before the cloud, unsure, and in no tier's accuracy.",
    "degraded": "degraded: of the exited, those that were the cloud's to answer, which did not.",
}


class Line(NamedTuple):
    """What a row of the table shows of what was measured under one plan."""

    model: str
    plan: Plan
    outcome: Outcome
    p50: Callable[[Over], float | None]  # median latency of a tier in ms
    bytes_to_cloud: int


def measurements_table(lines: Iterable[Line], title: str | None = None) -> Table:
    """A row a measurement. Latencies are medians over samples; a dash stands where no sample was answered.

    Samples that were dropped, and those that the cloud did not answer, have a column where there are any.
    """
    lines = list(lines)
    rare = [name for name in RARE if any(getattr(line.outcome, name) for line in lines)]
    said = "exited: answered before the cloud. ms: median over samples. KB: sent to the cloud."
    table = Table(title=title, caption=" ".join([said, *(RARE[name] for name in rare)]))
    tiers = [name for name in dict.fromkeys(name for line in lines for name in line.plan.tiers) if name != LAST_TIER]
    over: tuple[Over, ...] = (*tiers, LAST_TIER, OVERALL)
    shown = [*tiers, LAST_TIER, "all"]
    for name in (*COLUMNS, *rare, *(f"{one} %" for one in shown), *(f"{one} ms" for one in shown), "KB"):
        table.add_column(name, justify="left" if name == "model" else "right", no_wrap=True)
    before = None
    for model, plan, outcome, p50, sent in lines:
        if before not in (None, model):
            table.add_section()
        before = model
        table.add_row(
            model,
            _by_tier([", ".join(str(one.exit) for one in part.active) for part in plan.tiers.values()]),
            _by_tier([", ".join(f"{one.threshold:g}" for one in part.active) for part in plan.tiers.values()]),
            f"{outcome.local}/{outcome.n}",
            *(str(getattr(outcome, name)) for name in rare),
            *(percent(outcome.right(one)) for one in over),
            *(_ms(p50(one)) for one in over),
            f"{sent / 1000:,.{0 if sent >= WHOLE else 1}f}",
        )
    return table


def _by_tier(said: list[str]) -> str:
    """What each tier of a chain has, in its order."""
    return " | ".join(one or NONE for one in said)


def int8_table(found: Int8) -> Table:
    """A row an exit: accuracy in both precisions, and for each fp32 threshold the int8 one that lets as many leave."""
    thresholds = sorted({again.threshold for again in found.thresholds})
    again = {(one.exit, one.threshold): one.int8 for one in found.thresholds}
    table = Table(
        title=f"int8 on {found.samples} calibration samples",
        caption=f"T {found.score}: the int8 threshold by which as many samples leave as by that T in fp32.",
    )
    for name in ("exit", "fp32 %", "int8 %", *(f"T {threshold:g}" for threshold in thresholds)):
        table.add_column(name, justify="right", no_wrap=True)
    for exit_, accuracy in found.fp32_accuracy.items():
        cells = [f"{again[exit_, t]:.4f}" if (exit_, t) in again else NONE for t in thresholds]
        table.add_row(str(exit_), percent(accuracy), percent(found.int8_accuracy[exit_]), *cells)
    return table


def percent(share: float | None) -> str:
    """A share as a percentage; a dash for none."""
    return NONE if share is None else f"{100 * share:.2f}"


def _ms(median: float | None) -> str:
    return NONE if median is None else f"{median:.2f}"
