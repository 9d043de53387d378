"""Measurements as a table for people."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from rich.table import Table

from offramp.artifacts.outcome import Outcome, Over
from offramp.artifacts.plan import Plan
from offramp.artifacts.provenance import Int8

OVER: tuple[Over, ...] = ("edge", "cloud", "overall")
COLUMNS = ("model", "exit", "T", "exited", "edge %", "cloud %", "all %", "edge ms", "cloud ms", "all ms", "KB")
RARE = {
    "dropped": "dropped: answered at the edge, unsure, and in no tier's accuracy.",
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
    said = "exited: answered at the edge. ms: median over samples. KB: sent to the cloud."
    table = Table(title=title, caption=" ".join([said, *(RARE[name] for name in rare)]))
    for name in (*COLUMNS[:4], *rare, *COLUMNS[4:]):
        table.add_column(name, justify="left" if name == "model" else "right", no_wrap=True)
    before = None
    for model, plan, outcome, p50, sent in lines:
        if before not in (None, model):
            table.add_section()
        before = model
        table.add_row(
            model,
            str(plan.exit),
            f"{plan.threshold:g}",
            f"{outcome.local}/{outcome.n}",
            *(str(getattr(outcome, name)) for name in rare),
            *(percent(outcome.right(over)) for over in OVER),
            *(_ms(p50(over)) for over in OVER),
            f"{sent / 1000:,.0f}",
        )
    return table


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
        cells = [f"{again[exit_, t]:.4f}" if (exit_, t) in again else "–" for t in thresholds]
        table.add_row(str(exit_), percent(accuracy), percent(found.int8_accuracy[exit_]), *cells)
    return table


def percent(share: float | None) -> str:
    """A share as a percentage; a dash for none."""
    return "–" if share is None else f"{100 * share:.2f}"


def _ms(median: float | None) -> str:
    return "–" if median is None else f"{median:.2f}"
