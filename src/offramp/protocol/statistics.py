"""What each model of a node has answered since it started, as the protocol tells it: read from the node's metrics.

What an operator should hear of without asking goes to the log: see `notices`.
"""

from typing import Any

from offramp.errors import OverloadedError
from offramp.protocol.metrics import LAST, REQUEST_SECONDS, SAMPLES, Metrics
from offramp.protocol.notices import Overload, Slow
from offramp.protocol.record import Kind, Record
from offramp.protocol.served import Served


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
        """Triton's statistics of a model, in their JSON form: what is not measured here is left out."""
        own = (model.name, model.version)
        found = {key: numbers for key, numbers in self.metrics.read().items() if key[1:3] == own}
        by = {Kind(*key[3:]): int(count) for key, (count,) in _of(SAMPLES.name, found)}  # type: ignore[arg-type]
        told = {
            "name": model.name,
            "version": model.version,
            "last_inference": int(1000 * found.get((LAST.name, *own), [0.0])[0]),
            "inference_count": sum(by.values()),
            "inference_stats": {
                result: _timed(found.get((REQUEST_SECONDS.name, *own, result))) for result in ("success", "fail")
            },
        }
        # Triton's map of a model's responses by a key: here by what answered, and samples instead of responses.
        said = sorted((str(kind), count) for kind, count in by.items() if kind.exit or kind.outcome == "direct")
        responses = {name: {"success": {"count": count}} for name, count in said}
        return told | ({"response_stats": responses} if responses else {})


def _of(name: str, found: dict[tuple[str, ...], list[float]]) -> list[tuple[tuple[str, ...], list[float]]]:
    return [(key, numbers) for key, numbers in found.items() if key[0] == name]


def _timed(numbers: list[float] | None) -> dict[str, int]:
    """How many, and in what time together."""
    return {"count": 0, "ns": 0} if numbers is None else {"count": int(sum(numbers[:-1])), "ns": int(1e9 * numbers[-1])}
