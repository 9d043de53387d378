"""Measurements as a table for people."""

from collections.abc import Iterable

from rich.table import Table

from offramp.artifacts.bundle import Int8
from offramp.artifacts.measurement import Latency, Measurement
from offramp.artifacts.outcome import Over

OVER: tuple[Over, ...] = ("edge", "cloud", "overall")


def measurements_table(documents: Iterable[Measurement], title: str | None = None) -> Table:
    """A row a measurement. Latencies are medians over samples; a dash stands where no sample was answered."""
    table = Table(title=title, caption="exited: answered at the edge. ms: median over samples. KB: sent to the cloud.")
    for name in ("model", "exit", "T", "exited", "edge %", "cloud %", "all %", "edge ms", "cloud ms", "all ms", "KB"):
        table.add_column(name, justify="left" if name == "model" else "right", no_wrap=True)
    before = None
    for document in documents:
        if before not in (None, document.model):
            table.add_section()
        before = document.model
        outcome, plan = document.outcome, document.plan
        table.add_row(
            document.model,
            str(plan.exit),
            f"{plan.threshold:g}",
            f"{outcome.local}/{outcome.n}",
            *(percent(outcome.right(over)) for over in OVER),
            *(_median(document.latency_ms.get(over)) for over in OVER),
            f"{document.bytes_to_cloud / 1000:,.0f}",
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


def _median(latency: Latency | None) -> str:
    return "–" if latency is None else f"{latency.p50:.2f}"
