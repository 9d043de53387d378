"""Plans predicted and measured, as a table for people and in a few figures. Knows nothing of how they were measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from rich.table import Table

from offramp.artifacts.plan import Plan
from offramp.exits.sampling import wilson

NEAR = 0.2  # of the measurement: the share of plans whose prediction is no further from it is told
COLUMNS = "plan", "goes on", "predicted ms", "measured ms", "error", "predicted bytes", "measured", "right", "answers"


@dataclass(frozen=True)
class Row:
    """A plan, predicted and measured on the same images. Times in milliseconds, of one sample."""

    plan: Plan
    onward: float  # share of the samples that went on
    predicted_ms: float
    measured_ms: float  # median over rounds of the mean over a round's samples
    rounds_ms: tuple[float, ...]
    predicted_bytes: float  # a sample, in the mean over all
    measured_bytes: float
    predicted_accuracy: float  # on all images that there were
    measured_accuracy: float  # on those that were sent
    samples: int  # which are so many
    same: bool  # whether nodes and predictions answered all alike: label, exit, tier

    @property
    def error(self) -> float:
        """How far the prediction is from the measurement, as a share of that; above 0 where it is too long."""
        return self.predicted_ms / self.measured_ms - 1

    @property
    def accurate(self) -> bool:
        """Whether the accuracy that was measured is inside the 95 % interval of the one that was predicted."""
        low, high = wilson(self.predicted_accuracy, self.samples)
        return low <= self.measured_accuracy <= high


def named(plan: Plan) -> str:
    """A plan in few words."""
    exits = ", ".join(f"{active.exit}@{active.threshold:g}" for active in plan.active) or "none"
    return f"exits {exits}; cut {plan.cut} {plan.codec}"


def verified_table(rows: Sequence[Row], title: str, names: Mapping[Plan, str] | None = None) -> Table:
    """A row a plan, by its name or in few words."""
    found = Table(
        title=title,
        caption="ms of a sample in the mean, from client to client, one after another; measured: median over rounds, "
        "and the middle half. Bytes to the cloud, a sample. Right: of those sent (of all images, predicted).",
    )
    for name in (
        "plan",
        "goes on",
        "predicted ms",
        "measured ms",
        "error",
        "predicted bytes",
        "measured",
        "right",
        "answers",
    ):
        found.add_column(name, justify="left" if name == "plan" else "right")
    for row in rows:
        low, high = np.percentile(row.rounds_ms, (25, 75))
        found.add_row(
            (names or {}).get(row.plan, named(row.plan)),
            f"{row.onward:.0%}",
            f"{row.predicted_ms:.2f}",
            f"{row.measured_ms:.2f} ({low:.2f} to {high:.2f})",
            f"{row.error:+.1%}",
            f"{row.predicted_bytes:.1f}",
            f"{row.measured_bytes:.1f}",
            f"{row.measured_accuracy:.0%} of {row.samples} ({row.predicted_accuracy:.0%})",
            "as predicted" if row.same else "OTHERS",
        )
    return found


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """How good the predictions were: the errors' median, the share of plans within 20 %, the worst; bytes, answers."""
    errors = [abs(row.error) for row in rows]
    worst = rows[int(np.argmax(errors))]
    return {
        "plans": len(rows),
        "median_error": round(median(errors), 4),
        "within_20_percent": round(sum(error <= NEAR for error in errors) / len(errors), 4),
        "worst_error": round(worst.error, 4),
        "worst_plan": named(worst.plan),
        "bytes_exact": all(abs(row.predicted_bytes - row.measured_bytes) < 1e-6 for row in rows),
        "accuracy_in_interval": all(row.accurate for row in rows),
        "answers_as_predicted": all(row.same for row in rows),
    }
