"""A span whose batches are run along with those of other callers.

Takes a span and a batcher; gives a span. Who waits for it, until when, and where that is noted, is said for a thread.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import NamedTuple, Self

from offramp.nodes.batching import Batcher
from offramp.protocol.gone import Gone
from offramp.protocol.record import Record
from offramp.runtime.span import Array, Span, Tensors


class Caller(NamedTuple):
    """Who waits for what is run now on this thread."""

    timeout: float | None = None  # seconds; None: for ever
    gone: Gone | None = None
    record: Record | None = None


NOBODY = Caller()
_caller: ContextVar[Caller] = ContextVar("caller", default=NOBODY)  # frozen


@contextmanager
def called_by(caller: Caller) -> Iterator[None]:
    """Spans that are run meanwhile on this thread are run for this caller."""
    before = _caller.set(caller)
    try:
        yield
    finally:
        _caller.reset(before)


@dataclass(frozen=True)
class Rows:
    """Tensors of a batch, of which some rows can be taken."""

    tensors: Tensors

    def __len__(self) -> int:
        return len(next(iter(self.tensors.values())))

    def __getitem__(self, some: slice) -> Self:
        return type(self)({name: tensor[some] for name, tensor in self.tensors.items()})


class Batched:
    """Runs a span in batches across callers."""

    def __init__(self, span: Span, batcher: Batcher) -> None:
        self.span, self.batcher = span, batcher

    def run(self, *tensors: Array) -> Tensors:
        """Run it as the span itself does; raises what `Batcher.run` does besides."""
        rows: Rows = self.batcher.run(self._run, *tensors, **_caller.get()._asdict())
        return rows.tensors

    def _run(self, *tensors: Array) -> Rows:
        return Rows(self.span.run(*tensors))


def batched(span: Span, batcher: Batcher | None) -> Span:
    """The span, run by a batcher where there is one."""
    return span if batcher is None else Batched(span, batcher)
