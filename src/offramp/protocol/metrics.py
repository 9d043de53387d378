"""The names under which a node counts what it does. Takes records of requests, adds them to counts; read by the fronts.

`docs/metrics.md` says what each is. No label's value is ever a client's word.
"""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from offramp.protocol.counts import LOST, Counts, Key, Merge
from offramp.protocol.parts import Parts, parts_of
from offramp.protocol.record import Record

SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SCORES = tuple(step / 20 for step in range(1, 21))  # a threshold between two of them is as good as one of them


@dataclass(frozen=True)
class Family:
    """Numbers of one name, told apart by labels. A histogram has one for each bound, one beyond, and their sum."""

    name: str
    kind: Literal["counter", "gauge", "histogram", "info"]
    text: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    merge: Merge = float.__add__  # of several processes

    @property
    def width(self) -> int:
        """Numbers of one set of labels."""
        return len(self.bounds) + 2 if self.bounds else 1


REQUESTS = Family("offramp_requests", "counter", "Requests, by what became of them.", ("model", "version", "outcome"))
SAMPLES = Family(
    "offramp_samples", "counter", "Samples answered, by what answered.", ("model", "version", "tier", "exit", "outcome")
)
REQUEST_SECONDS = Family(
    "offramp_request_seconds",
    "histogram",
    "From the decoded request to its last result.",
    ("model", "version", "result"),
    SECONDS,
)
PART_SECONDS = Family(
    "offramp_part_seconds",
    "counter",
    "What answered requests took in all, in Triton's parts.",
    ("model", "version", "part"),
)
BATCHES = Family(
    "offramp_batches", "counter", "Batches that were run, of one request or several.", ("model", "version", "size")
)
BATCH_SECONDS = Family(
    "offramp_batch_seconds", "counter", "What these took, in Triton's parts.", ("model", "version", "size", "part")
)
STAGE_SECONDS = Family(
    "offramp_stage_seconds", "histogram", "What a request went through.", ("model", "stage"), SECONDS
)
EXIT_SCORES = Family(
    "offramp_exit_score",
    "histogram",
    "How unsure the last local exit was of a sample, and what was decided.",
    ("version", "exit", "decision"),
    SCORES,
)
BYTES = Family("offramp_bytes", "counter", "Bytes of messages, without their headers.", ("peer", "direction"))
LAST = Family(
    "offramp_last_request_timestamp_seconds", "gauge", "When a model last answered.", ("model", "version"), merge=max
)
QUEUE = Family("offramp_queue_samples", "gauge", "Samples that wait for their turn to be computed.")
WAITING = Family("offramp_waiting_calls", "gauge", "Calls that wait for a thread.", ("front",))
SHUT_OUT = Family("offramp_callers_refused", "counter", "Callers that were not let in, by why.", ("front", "reason"))
UNCOUNTED = Family(LOST[0], "gauge", "Sets of labels that there was no room to count.")
CLIENT_RECEIVED, CLIENT_SENT = ("client", "received"), ("client", "sent")
CLOUD_SENT, CLOUD_RECEIVED = ("cloud", "sent"), ("cloud", "received")
SECONDS_SUM, SCORES_SUM = len(SECONDS) + 1, len(SCORES) + 1
GOOD = ("ok", "degraded")
PARTS = Parts._fields
COUNTED = (
    REQUESTS,
    SAMPLES,
    REQUEST_SECONDS,
    PART_SECONDS,
    BATCHES,
    BATCH_SECONDS,
    STAGE_SECONDS,
    EXIT_SCORES,
    BYTES,
    LAST,
    QUEUE,
    WAITING,
    SHUT_OUT,
    UNCOUNTED,
)
# What is asked for when somebody looks: an edge is one process.
IN_FLIGHT = Family("offramp_cloud_samples", "gauge", "Samples that the cloud has not answered yet.", ("version",))
BREAKER = Family("offramp_breaker", "gauge", "1 of the state in which a cloud's breaker is.", ("cloud", "state"))
COURSE = Family(
    "offramp_course",
    "info",
    "What an edge answers by now.",
    ("version", "network", "exits", "thresholds", "cut", "codec", "drop_threshold", "tier"),
)
# Of an edge that follows its link.
SWITCHES = Family("offramp_course_switches", "counter", "Switches from one plan to another.", ("version",))
LINK_RATE = Family(
    "offramp_link_bits_per_second", "gauge", "What the link to the cloud is taken to pass.", ("version", "direction")
)
LINK_ROUND_TRIP = Family(
    "offramp_link_round_trip_seconds", "gauge", "And to take there and back, for next to no bytes.", ("version",)
)
CLOUD_SLOWER = Family(
    "offramp_cloud_slower", "gauge", "How much slower the cloud is taken to be than was measured.", ("version",)
)
# Of one that looks at its answers.
AUDITED = Family(
    "offramp_audited_samples", "counter", "Samples drawn, by whether the last exit agrees.", ("version", "found")
)
# Of one that joins several views.
GATHERED = Family("offramp_gathered", "counter", "Samples joined, and views that came late or again.", ("told",))
AUDIT_ALARM = Family("offramp_audit_alarm", "gauge", "1 where a promise was found not to hold.", ("version",))
LOOKED = (
    IN_FLIGHT,
    BREAKER,
    COURSE,
    SWITCHES,
    LINK_RATE,
    LINK_ROUND_TRIP,
    CLOUD_SLOWER,
    AUDITED,
    AUDIT_ALARM,
    GATHERED,
)
FAMILIES: Mapping[str, Family] = {family.name: family for family in (*COUNTED, *LOOKED)}

Look = Callable[[], Iterable[tuple[Family, tuple[str, ...], float]]]  # what is so now, by family and labels


def nothing() -> Iterable[tuple[Family, tuple[str, ...], float]]:
    """What there is to see of a node that has no state of its own."""
    return ()


class _Slots(dict[Any, int]):
    """Where a family's numbers stand, by its last labels: looked up without a string or a tuple being made."""

    def __init__(self, counts: Counts, family: Family, *labels: str) -> None:
        self.counts, self.family, self.labels = counts, family, labels

    def __missing__(self, last: Any) -> int:
        key = (self.family.name, *self.labels, *map(str, last if isinstance(last, tuple) else (last,)))
        found = self[last] = self.counts.slot(key, self.family.width)
        return found


class _OfModel:
    """Those of a model's requests."""

    def __init__(self, counts: Counts, model: str, version: str) -> None:
        self.outcomes = _Slots(counts, REQUESTS, model, version)
        self.kinds = _Slots(counts, SAMPLES, model, version)
        self.results = _Slots(counts, REQUEST_SECONDS, model, version)
        self.parts = _Slots(counts, PART_SECONDS, model, version)
        self.batches = _Slots(counts, BATCHES, model, version)
        self.batch_parts = _Slots(counts, BATCH_SECONDS, model, version)
        self.stages = _Slots(counts, STAGE_SECONDS, model)
        self.scores = _Slots(counts, EXIT_SCORES, version)
        self.last = _Slots(counts, LAST, model)


class Metrics:
    """Counts what records say, and gives what was counted."""

    def __init__(self, counts: Counts | None = None, look: Look = nothing) -> None:
        self.counts, self.look = counts or Counts(), look
        self.models: dict[tuple[str, str], _OfModel] = {}
        self.bytes = _Slots(self.counts, BYTES)
        for key, slot in self.counts.slots.items():
            if key[0] in (QUEUE.name, WAITING.name):  # of who was here before, and is no more
                self.counts.values[slot] = 0.0

    def read(self) -> dict[Key, list[float]]:
        """The numbers of each family and labels, of every process of the node."""
        found = self.counts.read({family.name: family.merge for family in COUNTED})
        return found | {(family.name, *labels): [value] for family, labels, value in self.look()}

    def live(self) -> dict[str, Any]:
        """The same for a page that draws them: what it needs to know of histograms, and each key with its numbers."""
        bounds = {family.name: family.bounds for family in COUNTED if family.bounds}
        return {"time": time.time(), "bounds": bounds, "numbers": [[*key, told] for key, told in self.read().items()]}

    def gauge(self, family: Family, *labels: str) -> Callable[[float], None]:
        """What sets a number to what it is now."""
        values, slot = self.counts.values, self.counts.slot((family.name, *labels))

        def put(value: float) -> None:
            values[slot] = value

        return put

    def shut_out(self, front: str, reason: str) -> None:
        """Count a caller that was not let in."""
        slot = self.counts.slot((SHUT_OUT.name, front, reason))
        with self.counts.changing:
            self.counts.values[slot] += 1

    def _spent(self, own: _OfModel, record: Record) -> None:
        """Count what an answer took, and the batch that was run for it; one in another's batch is counted there."""
        values, size = self.counts.values, record.batch
        if size is None:
            size = sum(record.by.values())
        if size:
            values[own.batches[size]] += 1
        for part, took in zip(PARTS, parts_of(record), strict=True):
            values[own.parts[part]] += took
            if size and part != "queue":
                values[own.batch_parts[size, part]] += took

    def ended(self, record: Record) -> None:
        """Count a request: under one lock, and without a list or a name being made for it."""
        own = self.models.get((record.model, record.version))
        if own is None:
            own = self.models[record.model, record.version] = _OfModel(self.counts, record.model, record.version)
        values, sized, outcome, stages = self.counts.values, self.bytes, record.outcome, own.stages
        with self.counts.changing:
            values[own.outcomes[outcome]] += 1
            for stage, start, end in record.stages:
                at, took = stages[stage], end - start
                values[at + bisect_left(SECONDS, took)] += 1
                values[at + SECONDS_SUM] += took
            if record.served and outcome != "gone":
                good = outcome in GOOD
                at = own.results["success" if good else "fail"]
                took = (record.answered or record.ended) - record.served
                values[at + bisect_left(SECONDS, took)] += 1
                values[at + SECONDS_SUM] += took
                values[own.last[record.version]] = time.time()
                if good:
                    for kind, count in record.by.items():
                        values[own.kinds[kind]] += count
                    self._spent(own, record)
            values[sized[CLIENT_RECEIVED]] += record.bytes_in
            values[sized[CLIENT_SENT]] += record.bytes_out
            if record.to_cloud:
                values[sized[CLOUD_SENT]] += record.to_cloud
                values[sized[CLOUD_RECEIVED]] += record.from_cloud
            for exit_, decision, scores in record.judged:
                at = own.scores[exit_, decision]
                for score in scores.tolist():
                    values[at + bisect_left(SCORES, score)] += 1
                    values[at + SCORES_SUM] += score
