"""A reproduction's rows as CSV, for programs: a line a setup. Floats are read back as they were."""

import csv
import io
import statistics
from collections.abc import Callable
from operator import attrgetter
from typing import Any

from offramp.artifacts.measurement import Latency
from offramp.paper.reproduced import TIERS
from offramp.paper.reproduction import Reproduction, Row, Setup

_SETUP: dict[str, Callable[[Setup], Any]] = {
    **{name: attrgetter(name) for name in ("section", "contender", "model", "cloud_model", "exit")},
    **{name: attrgetter(f"plan.{name}") for name in ("threshold", "cut", "codec", "drop_threshold")},
    **{name: attrgetter(name) for name in ("reply", "form", "link", "edge_cores", "samples")},
}
_MEASURED: dict[str, Callable[[Row], Any]] = {
    "exited_locally": lambda row: row.outcome.local,
    "forwarded": lambda row: row.outcome.count("cloud"),
    "dropped": lambda row: row.outcome.dropped,
    "degraded": lambda row: row.outcome.degraded,
    "edge_accuracy": lambda row: row.outcome.right("edge"),
    "cloud_accuracy": lambda row: row.outcome.right("cloud"),
    "overall_accuracy": lambda row: row.outcome.right("overall"),
    "bytes_to_cloud": attrgetter("bytes_to_cloud"),
}


def rows_csv(reproduction: Reproduction) -> str:
    """Every row; accuracies in [0, 1], times in ms, medians over the repeats. An empty cell: there is none."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(_values(row) for row in reproduction.rows)
    return text.getvalue()


def columns() -> list[str]:
    """The names of the columns: the setup's fields, what was found, and the times of each tier."""
    times = [f"{tier}_{name}" for tier in TIERS for name in (*Latency.model_fields, "p50_low", "p50_high")]
    return [*_SETUP, *_MEASURED, "repeats", *times, "cloud_ms"]


def _values(row: Row) -> dict[str, Any]:
    values = {name: of(row.setup) for name, of in _SETUP.items()} | {name: of(row) for name, of in _MEASURED.items()}
    values["repeats"] = len(row.repeats)
    for tier in TIERS:
        latencies = [repeat.latency_ms[tier] for repeat in row.repeats if tier in repeat.latency_ms]
        for name in Latency.model_fields if latencies else ():
            values[f"{tier}_{name}"] = statistics.median(getattr(latency, name) for latency in latencies)
        if ends := row.p50_range(tier):
            values[f"{tier}_p50_low"], values[f"{tier}_p50_high"] = ends
    if row.repeats:
        values["cloud_ms"] = statistics.median(repeat.cloud_ms for repeat in row.repeats)
    return values
