"""A reproduction's rows as CSV, for programs: a line a setup. Floats are read back as they were."""

import csv
import io
import statistics
from typing import Any

from offramp.artifacts.measurement import Latency
from offramp.paper.reproduction import Reproduction, Row, Setup
from offramp.paper.values import TIERS

_MEASURED = (
    "exited_locally", "forwarded", "dropped", "edge_accuracy", "cloud_accuracy", "overall_accuracy", "bytes_to_cloud",
)  # fmt: skip


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
    return [*Setup.model_fields, *_MEASURED, "repeats", *times, "cloud_ms"]


def _values(row: Row) -> dict[str, Any]:
    values = row.setup.model_dump() | {name: getattr(row, name) for name in _MEASURED}
    values["repeats"] = len(row.repeats)
    for tier in TIERS:
        found = [latency for repeat in row.repeats if (latency := getattr(repeat.latency_ms, tier)) is not None]
        for name in Latency.model_fields if found else ():
            values[f"{tier}_{name}"] = statistics.median(getattr(latency, name) for latency in found)
        if ends := row.p50_range(tier):
            values[f"{tier}_p50_low"], values[f"{tier}_p50_high"] = ends
    if row.repeats:
        values["cloud_ms"] = statistics.median(repeat.cloud_ms for repeat in row.repeats)
    return values
