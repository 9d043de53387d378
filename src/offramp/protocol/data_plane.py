"""What all ways into a node share: its models, the bounds of a request, the counts, and how an answer is put together.

Takes decoded requests from a front (gRPC, HTTP), gives results. Knows neither messages nor sockets.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from time import perf_counter
from typing import Any

from offramp.errors import DeadlineError, InputError
from offramp.protocol.catalog import Catalog, server_metadata
from offramp.protocol.classification import has_classes, top_classes
from offramp.protocol.metrics import Metrics
from offramp.protocol.pool import Pool, wait
from offramp.protocol.record import All, Hook, Kind, Record, Tracing
from offramp.protocol.request_bounds import RequestBounds
from offramp.protocol.served import AtOnce, Call, Parameters, Pending, Result, Served
from offramp.protocol.shared_memory import OFFERED, Regions
from offramp.protocol.statistics import Statistics
from offramp.protocol.trace_context import TRACEPARENT

FOREVER = 1e8  # seconds, three years: grpc gives the end of its calendar to who sets no deadline
TIMEOUT = "timeout"  # Triton's name of the parameter by which a request states its deadline, in microseconds
# What the protocol consumes, as its models may; every other parameter of a request comes back with its answer.
CONSUMED = frozenset(
    {
        TIMEOUT,
        "priority",
        "sequence_id",
        "sequence_start",
        "sequence_end",
        "triton_enable_empty_final_response",
        "binary_data_output",
        TRACEPARENT,
    }
)
Asked = Mapping[str, int]  # the outputs asked for by name, each with how many of its classes; 0: as it is
NOBODY = Kind()  # who answered, of a model that does not say
ALL: Asked = {}  # none is asked for by name


class DataPlane:
    """Models behind one set of bounds and one set of counts: MLServer's and KServe's name for it.

    `unready` says why nobody should send anything now; None: it is ready. What is sent is answered all the same.
    """

    def __init__(
        self,
        models: Iterable[Served],
        max_batch: int,
        consumed: Iterable[str] = (),
        unready: Callable[[], str | None] = lambda: None,
        metrics: Metrics | None = None,
        hooks: Sequence[Hook] = (),
        tracing: Tracing | None = None,
    ) -> None:
        self.catalog, self.consumed, self.unready = Catalog(models), CONSUMED.union(consumed), unready
        self.bounds = RequestBounds.of(self.catalog, max_batch)
        self.statistics = Statistics(metrics)
        self.hook: Hook = All((self.statistics, *hooks)) if hooks else self.statistics
        self.tracing = tracing
        self.regions: Regions | None = None  # of shared memory, where it is offered

    def serve(self, models: Iterable[Served]) -> None:
        """Serve these from now on; what has begun ends by those of before, and counts go on.

        Raises InputError where they would take larger requests than those that the node was started with.
        """
        catalog = Catalog(models)
        largest = RequestBounds.of(catalog, self.bounds.batch).message
        if largest > self.bounds.message:
            raise InputError(
                f"a batch of {self.bounds.batch} would be up to {largest} bytes, and this node was started for "
                f"{self.bounds.message}. Start it anew for networks of larger inputs."
            )
        self.catalog = catalog

    def check_crowd(self, pool: Pool, seconds: float = math.inf) -> None:
        """Raise OverloadedError where a call with these seconds finds too many that wait for a pool."""
        if (crowded := pool.crowded(seconds)) is not None:
            raise crowded

    def infer(self, model: Served, call: Call, asked: Asked = ALL) -> Result:
        """Answer a request whole; of the outputs, those asked for by name, or all.

        With a number above 0 an output is given as so many of its classes, the largest first.

        Raises InputError and its kin for what does not fit, whatever the model raises, and GoneError where the caller
        goes while the model waits for somebody else.
        """
        with self._begun(model, call) as record:
            call = self._admitted(model, call, asked)
            result = _finished(call, model.infer(call))
            record.count(result.by or {NOBODY: samples_of(call)})
            chosen = self._chosen(model, call, result, asked)
            record.answered = perf_counter()
            return chosen

    def at_once(self, model: Served, asked: Sequence[tuple[Call, Asked]]) -> list[Result] | None:
        """Answer requests together that wait for nobody, each as `infer` would, or one; their records are open.

        None where each is to be asked for alone: the model does not answer so, or something is wrong with one of them.
        """
        answer: AtOnce | None = getattr(model, "at_once", None)
        if answer is None:
            return None
        try:
            calls = [self._admitted(model, call, outputs) for call, outputs in asked]
            for call in calls:
                self._begun(model, call)
            results = answer(calls)
        except Exception:  # whose it is comes out when each is asked for alone
            return None
        if results is None:
            return None
        now = perf_counter()
        for call, result in zip(calls, results, strict=True):
            call.record.count(result.by or {NOBODY: samples_of(call)})
            call.record.answered = now
        return [
            self._chosen(model, call, result, outputs)
            for call, result, (_, outputs) in zip(calls, results, asked, strict=True)
        ]

    def stream(self, model: Served, call: Call, asked: Asked = ALL) -> Iterator[Result]:
        """Answer a request in parts, as `infer` does."""
        with self._begun(model, call) as record:
            call = self._admitted(model, call, asked)
            for part in model.stream(call):
                result = _finished(call, part)
                record.count(result.by)
                yield self._chosen(model, call, result, asked)
            if not record.by:
                record.count({NOBODY: samples_of(call)})
            record.answered = perf_counter()

    def record(self, front: str, request_id: str = "", trace: str = "") -> Record:
        """Begin to note what becomes of a request that has come."""
        record = Record(self.hook, front, request_id, trace)
        if self.tracing is not None:
            record.tracing = self.tracing
            self.tracing.begin(record)
        return record

    def _begun(self, model: Served, call: Call) -> Record:
        record = call.record
        record.hook = record.hook or self.hook
        record.model, record.version, record.served = model.name, model.version, perf_counter()
        return record

    def metadata(self) -> dict[str, Any]:
        """What the node is, and which of the protocol's extensions it has."""
        return server_metadata() if self.regions is None else server_metadata(OFFERED)

    def told(self, name: str, version: str) -> dict[str, Any]:
        """Triton's statistics of every model, of one of them, or of one version, in their JSON form."""
        return {"model_stats": [self.statistics.of(model) for model in self.catalog.matching(name, version)]}

    def _admitted(self, model: Served, call: Call, asked: Asked) -> Call:
        known = {spec.name: spec for spec in model.outputs} if asked else {}
        for name, count in asked.items():
            if name not in known:
                raise InputError(f"output {name!r}: {model.name} gives {', '.join(known)}.")
            if count and not has_classes(known[name]):
                kin = ", ".join(spec.name for spec in model.outputs if has_classes(spec)) or "none here"
                raise InputError(f"output {name!r}: has no classes to choose from. Outputs that have some: {kin}.")
        timeout = _timeout(call)
        if timeout is not None and timeout <= 0:
            raise DeadlineError("the deadline passed before this node came to the request.")
        self.bounds.check(model, call.inputs)
        # Not by `replace`, which takes longer than all else here.
        return Call(call.inputs, call.parameters, timeout, call.waited, call.cancelled, asked, call.record)

    def _chosen(self, model: Served, call: Call, result: Result, asked: Asked) -> Result:
        """The outputs asked for, and the request's own parameters beside the answer's."""
        outputs = {name: result.outputs[name] for name in asked if name in result.outputs} if asked else result.outputs
        if asked and any(asked.values()):
            labels = {spec.name: spec.labels for spec in model.outputs}
            outputs = {
                name: top_classes(array, asked[name], labels[name]) if asked[name] else array
                for name, array in outputs.items()
            }
        if not call.parameters:
            return Result(outputs, result.parameters, result.last)
        echoed: Parameters = {name: value for name, value in call.parameters.items() if name not in self.consumed}
        return Result(outputs, {**echoed, **result.parameters}, result.last)


def samples_of(call: Call) -> int:
    """Rows of the first input."""
    first = next(iter(call.inputs.values()), None)
    return 0 if first is None else len(first) if first.ndim else 1


def _timeout(call: Call) -> float | None:
    """Seconds the caller still waits, by its connection or its request, whichever ends first; None: for ever."""
    microseconds = call.number(TIMEOUT, int)
    if microseconds is not None and microseconds <= 0:
        raise InputError(f"parameter {TIMEOUT!r}: expected microseconds above 0, got {microseconds}.")
    asked = FOREVER if microseconds is None else microseconds / 1e6 - call.waited
    seconds = min(asked, FOREVER if call.timeout is None else call.timeout)
    return seconds if seconds < FOREVER else None


def _finished(call: Call, found: Result | Pending) -> Result:
    """A result, waited for where somebody else has been asked for it."""
    if isinstance(found, Result):
        return found
    wait(found.answer, call.cancelled)
    return found.finish()
