"""What a measurement of running nodes gives: the document that `offramp bench` writes, with its conditions."""

from datetime import UTC, datetime
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from offramp.artifacts.codec import Codec
from offramp.artifacts.document import Document, Frozen
from offramp.machine import commit, cores, processor


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


class TierLatency(Frozen):
    """Latency by the tier that answered; None for a tier that answered nothing."""

    edge: Latency | None
    cloud: Latency | None
    overall: Latency | None


class Conditions(Frozen):
    """What a figure was measured under. A figure without these is not a figure."""

    commit: str
    hardware: str
    cores: int
    batch_size: int
    link: str
    runtime: str
    dtype: str
    date: str

    @classmethod
    def here(cls, *, batch_size: int, link: str, runtime: str, dtype: str = "fp32") -> Self:
        """Describe this machine at this moment."""
        return cls(
            commit=commit(),
            hardware=processor(),
            cores=cores(),
            batch_size=batch_size,
            link=link,
            runtime=runtime,
            dtype=dtype,
            date=datetime.now(UTC).isoformat(timespec="seconds"),
        )


class Measurement(Document):
    """Answers, accuracy and latency of one edge and cloud at one exit and threshold (the paper's Figures 5 and 6)."""

    FORMAT: ClassVar[str] = "offramp.measurement"
    VERSION: ClassVar[int] = 1

    model: str
    exit: int
    threshold: float
    cut: int
    codec: Codec
    n: int
    exited_locally: int
    forwarded: int
    dropped: int
    degraded: int
    edge_accuracy: float | None  # None where no sample was answered there: absent, not zero
    cloud_accuracy: float | None
    overall_accuracy: float | None
    latency_ms: TierLatency
    batch_ms: Latency | None
    bytes_to_cloud: int
    conditions: Conditions
