"""What is known of one request while it is answered; whole, it is handed to a hook, for counts, log and traces.

The one place where anything of a request is noted for an operator. Knows nothing of who reads it.
"""

from collections.abc import Mapping, Sequence
from time import perf_counter
from types import TracebackType
from typing import Any, Literal, NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt

from offramp.errors import DeadlineError, InputError, LinkError, OverloadedError
from offramp.protocol.gone import GoneError
from offramp.protocol.trace_context import trace_id

ABOUT = "offramp_request"  # of an error that is a defect: what its request said
Stage = Literal["wait", "decode", "local", "encode", "upstream", "fallback", "queue", "compute", "respond"]
Outcome = Literal["ok", "degraded", "invalid", "refused", "late", "unavailable", "gone", "error"]
OUTCOMES: tuple[tuple[type[BaseException], Outcome], ...] = (  # the first that fits
    (GeneratorExit, "gone"),  # of a stream that its client has closed
    (GoneError, "gone"),
    (OverloadedError, "refused"),
    (DeadlineError, "late"),
    (InputError, "invalid"),
    (LinkError, "unavailable"),
)

Decided = Literal["exit", "drop", "forward"]


class Kind(NamedTuple):
    """What answered a sample."""

    tier: str = ""
    exit: int | str = ""
    outcome: Literal["ok", "degraded", "dropped", "direct"] = "ok"

    def __str__(self) -> str:
        if self.outcome == "direct":
            return self.outcome
        return f"{self.tier}: exit {self.exit}{'' if self.outcome == 'ok' else f', {self.outcome}'}"


class Judgement(NamedTuple):
    """What an exit said of some samples, and what was decided."""

    exit: int
    decision: Decided
    scores: npt.NDArray[np.floating[Any]]


class Record:
    """Times are of the performance counter. A context: at the end of the outermost, the hook is called.

    An error that leaves the context is what the request failed of.
    """

    __slots__ = (
        "answered", "batch", "began", "by", "bytes_in", "bytes_out", "ended", "error", "from_cloud", "front", "hook",
        "id", "judged", "model", "open", "outcome", "served", "span", "stages", "to_cloud", "trace", "tracing",
        "upstream", "version",
    )  # fmt: skip

    def __init__(self, hook: "Hook | None" = None, front: str = "", request_id: str = "", trace: str = "") -> None:
        self.hook, self.front, self.id = hook, front, request_id
        self.trace = trace  # the traceparent that came, or that of the span of this request
        self.tracing: Tracing | None = None  # who takes part in that trace, with these spans
        self.span: Any = None
        self.upstream: Any = None
        self.model = self.version = ""
        self.open = 0
        self.by: dict[Kind, int] = {}
        self.batch: int | None = None  # samples that were run with it at once; 0: in another's batch; None: its own
        self.judged: list[Judgement] = []
        self.stages: list[tuple[Stage, float, float]] = []  # from when to when
        self.bytes_in = self.bytes_out = self.to_cloud = self.from_cloud = 0
        self.error: BaseException | None = None
        self.outcome: Outcome = "ok"
        self.served = 0.0  # when the decoded request was handed to its model; 0: it was not
        self.answered = self.ended = 0.0  # when its last result was there, and when all was said
        self.began = perf_counter()

    def __enter__(self) -> Self:
        self.open += 1
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        self.open -= 1
        if not self.open:
            self.error, self.ended = error, perf_counter()
            self.outcome = outcome_of(self)
            if error is not None and self.outcome == "error":  # a defect: who writes it down has no record
                vars(error)[ABOUT] = self.said()
            if self.hook is not None:
                self.hook.ended(self)
            self.error = None  # it holds the frames, and those this

    def stage(self, stage: Stage, start: float, end: float | None = None) -> float:
        """It went through a stage, until now where no end is given; give the end."""
        end = perf_counter() if end is None else end
        self.stages.append((stage, start, end))
        return end

    def said(self) -> dict[str, str]:
        """Whose request it is and what it asks, in the words of a log; nothing of what is not known."""
        said = {"request": self.id, "trace": trace_id(self.trace), "model": self.model, "front": self.front}
        return {name: value for name, value in said.items() if value}

    def onward(self) -> str:
        """The context of its trace for what is asked of the cloud."""
        return self.trace if self.tracing is None else self.tracing.onward(self)

    def count(self, by: Mapping[Kind, int]) -> None:
        """So many samples more were answered by these."""
        if not self.by:  # as of the usual request
            self.by = dict(by)
            return
        for kind, count in by.items():
            self.by[kind] = self.by.get(kind, 0) + count


def outcome_of(record: Record) -> Outcome:
    """What became of it."""
    if record.error is not None:
        return next((outcome for kind, outcome in OUTCOMES if isinstance(record.error, kind)), "error")
    for kind in record.by:
        if kind.outcome == "degraded":
            return "degraded"
    return "ok"


class Tracing(Protocol):
    """Who takes part in traces."""

    def begin(self, record: Record) -> None:
        """A request has come, with its context in `trace`."""

    def onward(self, record: Record) -> str:
        """The context for what is asked of somebody else for it."""


class Hook(Protocol):
    """Who is told of requests."""

    def ended(self, record: Record) -> None:
        """One is over."""


class All:
    """Several, as one."""

    def __init__(self, hooks: Sequence[Hook]) -> None:
        self.hooks = hooks

    def ended(self, record: Record) -> None:
        """Tell each, in their order."""
        for hook in self.hooks:
            hook.ended(record)
