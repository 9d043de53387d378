"""What a measurement of running nodes gives: the document that `offramp bench` writes, with its conditions."""

from typing import Annotated, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator

from offramp.artifacts.document import Document, Frozen
from offramp.artifacts.outcome import Outcome, Over, outcome_of_v1
from offramp.artifacts.plan import Plan, plan_of_v1
from offramp.artifacts.scenario import Load


class Latency(Frozen):
    """Milliseconds from the client sending a batch to the client holding a sample's answer, over samples."""

    mean: float
    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, milliseconds: npt.NDArray[np.float64]) -> Self | None:
        """Summarize; None where there is nothing to summarize."""
        if not len(milliseconds):
            return None
        p50, p95, p99 = np.percentile(milliseconds, (50, 95, 99))
        return cls(mean=round(float(milliseconds.mean()), 4), p50=round(p50, 4), p95=round(p95, 4), p99=round(p99, 4))


def _without_nulls(values: Any) -> Any:
    """Version 1 had null for who answered nothing."""
    return {over: one for over, one in values.items() if one is not None} if isinstance(values, dict) else values


# By the tier that answered, and over all; one that answered nothing is absent.
Latencies = Annotated[dict[Over, Latency], BeforeValidator(_without_nulls)]


class Conditions(Frozen):
    """What a figure was measured under; `machine.here` knows the first of them. A figure without is not a figure."""

    commit: str
    hardware: str
    cores: int
    batch_size: int
    link: str
    runtime: str
    dtype: str
    date: str


class Measurement(Document):
    """Answers, accuracy and latency of one edge and cloud at one exit and threshold (the paper's Figures 5 and 6)."""

    FORMAT: ClassVar[str] = "offramp.measurement"
    VERSION: ClassVar[int] = 2
    READS: ClassVar[tuple[int, ...]] = (1,)

    model: str
    plan: Plan  # that it was made under
    outcome: Outcome
    latency_ms: Latencies
    batch_ms: Latency | None
    bytes_to_cloud: int
    conditions: Conditions
    load: Load | None = None  # how the queries were sent, where it is known

    def p50(self, over: Over) -> float | None:
        """Median latency of a tier in ms."""
        return self.latency_ms[over].p50 if over in self.latency_ms else None

    @classmethod
    def upgrade(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Version 1 named one exit, or the cut where none was active, and no score: it was the paper's."""
        values = dict(fields)
        return {
            "plan": plan_of_v1(values),
            "outcome": outcome_of_v1(values, values.pop("n")),
            **values,
        }
