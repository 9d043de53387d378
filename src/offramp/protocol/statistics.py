"""What each model of a node has answered since it started, as the protocol tells it: read from the node's metrics.

What an operator should hear of without asking goes to the log: see `notices`.
"""

from typing import Any

from offramp.errors import OverloadedError
from offramp.protocol.metrics import (
    BATCH_SECONDS,
    BATCHES,
    LAST,
    PART_SECONDS,
    PARTS,
    REQUEST_SECONDS,
    SAMPLES,
    Family,
    Metrics,
)
from offramp.protocol.notices import Overload, Slow
from offramp.protocol.record import Kind, Record
from offramp.protocol.served import Served

NEVER = {"count": 0, "ns": 0}
RUN = tuple(part for part in PARTS if part != "queue")  # of a batch: it is made of what has waited


class Statistics:
    """Is told of each request, has it counted, and mentioned where it should be."""

    def __init__(self, metrics: Metrics | None = None) -> None:
        self.metrics = metrics or Metrics()
        self.overload, self.slow = Overload(), Slow()

    def ended(self, record: Record) -> None:
        """Count a request, and say where it was refused for load or took long."""
        self.metrics.ended(record)
        if record.served and record.outcome != "gone":
            self.slow.note((record.answered or record.ended) - record.served, record.model)
        if isinstance(record.error, OverloadedError):
            self.overload.refuse(record.error)

    def refused(self, error: OverloadedError, front: str = "grpc") -> OverloadedError:
        """Count a request that is refused for load before it is read; give the error back."""
        record = Record(None, front)
        record.error, record.outcome = error, "refused"
        self.ended(record)
        return error

    def of(self, model: Served) -> dict[str, Any]:
        """Triton's statistics of a model, in their JSON form."""
        own = (model.name, model.version)
        found = {key: numbers for key, numbers in self.metrics.read().items() if key[1:3] == own}
        by = {Kind(*key[3:]): int(count) for key, (count,) in _of(SAMPLES, found)}  # type: ignore[arg-type]
        batches = {int(key[3]): int(count) for key, (count,) in _of(BATCHES, found)}
        answered, failed = (_timed(found.get((REQUEST_SECONDS.name, *own, way))) for way in ("success", "fail"))
        parts = {part: _of_part(answered["count"], found.get((PART_SECONDS.name, *own, part))) for part in PARTS}
        told = {
            "name": model.name,
            "version": model.version,
            "last_inference": int(1000 * found.get((LAST.name, *own), [0.0])[0]),
            "inference_count": sum(by.values()),
            "execution_count": sum(batches.values()),
            # Nothing is kept of earlier answers: Triton's cache is neither hit nor missed.
            "inference_stats": {"success": answered, "fail": failed, **parts, "cache_hit": NEVER, "cache_miss": NEVER},
            "batch_stats": [
                {
                    "batch_size": size,
                    **{part: _of_part(count, found.get((BATCH_SECONDS.name, *own, str(size), part))) for part in RUN},
                }
                for size, count in sorted(batches.items())
            ],
        }
        # Triton's map of a model's responses by a key: here by what answered, and samples instead of responses.
        said = sorted((str(kind), count) for kind, count in by.items() if kind.exit or kind.outcome == "direct")
        responses = {name: {"success": {"count": count}} for name, count in said}
        return told | ({"response_stats": responses} if responses else {})


def _of(family: Family, found: dict[tuple[str, ...], list[float]]) -> list[tuple[tuple[str, ...], list[float]]]:
    return [(key, numbers) for key, numbers in found.items() if key[0] == family.name]


def _timed(numbers: list[float] | None) -> dict[str, int]:
    """How many, and in what time together."""
    return NEVER if numbers is None else {"count": int(sum(numbers[:-1])), "ns": int(1e9 * numbers[-1])}


def _of_part(count: int, seconds: list[float] | None) -> dict[str, int]:
    """How many went through a part, and in what time together."""
    return {"count": count, "ns": 0 if seconds is None else int(1e9 * seconds[0])}
