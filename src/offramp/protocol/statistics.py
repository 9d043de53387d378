"""What each model of a node has answered since it started: counts and time, shared by its fronts.

What an operator should hear of without asking goes to the log: see `notices`.
"""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from offramp.errors import OverloadedError
from offramp.protocol.notices import Overload, Slow
from offramp.protocol.pool import GoneError
from offramp.protocol.served import Call, Served


class Statistics:
    """Tallies by model and version. A request counts once; its samples are the rows of its first input."""

    def __init__(self) -> None:
        self.overload, self.slow = Overload(), Slow()
        self.tallies: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        self.answered: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)  # samples, by what answered
        self.changing = threading.Lock()

    @contextmanager
    def measured(self, model: Served, call: Call) -> Iterator[dict[str, int]]:
        """Count what is answered inside, with its time; an answer that the caller left counts as nothing.

        Gives what counts the samples by what answered them: whoever has the results adds to it.
        """
        by: dict[str, int] = {}
        began = time.perf_counter_ns()
        try:
            yield by
        except (GeneratorExit, GoneError):
            raise
        except BaseException as error:
            took = time.perf_counter_ns() - began
            self._add(model, {}, failed=1, failed_ns=took)
            self.slow.note(took / 1e9, model.name)
            if isinstance(error, OverloadedError):
                self.overload.refuse(error)
            raise
        first = next(iter(call.inputs.values()), None)
        samples = 0 if first is None else len(first) if first.ndim else 1
        took = time.perf_counter_ns() - began
        self._add(model, by, samples=samples, succeeded=1, succeeded_ns=took)
        self.slow.note(took / 1e9, model.name)

    def refused(self, error: OverloadedError) -> OverloadedError:
        """Mention in the log that a request is refused for load; give the error back."""
        self.overload.refuse(error)
        return error

    def _add(self, model: Served, by: dict[str, int], **counts: int) -> None:
        key = (model.name, model.version)
        with self.changing:  # item by item: for so few, a Counter's update takes five times as long
            answered, tally = self.answered[key], self.tallies[key]
            for name, count in by.items():
                answered[name] += count
            for name, count in counts.items():
                tally[name] += count
            tally["last_ms"] = time.time_ns() // 1_000_000  # since 1970

    def of(self, model: Served) -> dict[str, Any]:
        """Triton's statistics of a model, in their JSON form: what is not measured here is left out."""
        with self.changing:
            tally, by = self.tallies[model.name, model.version], self.answered[model.name, model.version]
            told = {
                "name": model.name,
                "version": model.version,
                "last_inference": tally["last_ms"],
                "inference_count": tally["samples"],
                "inference_stats": {
                    "success": {"count": tally["succeeded"], "ns": tally["succeeded_ns"]},
                    "fail": {"count": tally["failed"], "ns": tally["failed_ns"]},
                },
            }
            # Triton's map of a model's responses by a key: here by what answered, and samples instead of responses.
            responses = {name: {"success": {"count": count}} for name, count in sorted(by.items())}
            return told | ({"response_stats": responses} if responses else {})
