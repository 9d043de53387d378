"""The open spans of a bundle: each opened when it is first asked for, once, and so many kept and no more.

A request may name a plan of its own, and each plan needs spans of its own. They are finitely many, but each holds its
part of the weights and threads: beyond a bound, the span that was asked for longest ago is let go, and opened again
when it is asked for again.
"""

import threading

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.engine import PORTABLE, Engine
from offramp.runtime.open import open_span
from offramp.runtime.span import Span, SpanSpec

KEPT = 32  # of one bundle, beside those of the edge's own plan


class Spans:
    """Spans of one bundle. Safe to use from several threads at once."""

    def __init__(self, bundle: Bundle, engine: Engine = PORTABLE, kept: int = KEPT) -> None:
        self.bundle, self.engine, self.kept = bundle, engine, kept
        self.open: dict[SpanSpec, Span] = {}  # the one asked for longest ago first
        self.own: dict[SpanSpec, Span] = {}  # of the course in force: not let go while it is
        self.opening, self.changing = threading.Lock(), threading.Lock()

    def get(self, spec: SpanSpec) -> Span:
        """The span, open. One that is let go serves those who have it until they are done with it."""
        found = self._found(spec)
        if found is None:
            with self.opening:
                found = self._found(spec)  # by who held the lock before
                if found is None:
                    found = open_span(self.bundle, spec, self.engine)
                    with self.changing:
                        self.open[spec] = found
                        if len(self.open) > self.kept:
                            del self.open[next(iter(self.open))]
        return found

    def keep(self, own: dict[SpanSpec, Span]) -> None:
        """Hold these for good, which an edge runs by its own plan; those held until now become as all others."""
        with self.changing:
            for spec in own:
                self.open.pop(spec, None)
            self.open |= {spec: span for spec, span in self.own.items() if spec not in own}
            self.own = own
            while len(self.open) > self.kept:
                del self.open[next(iter(self.open))]

    def _found(self, spec: SpanSpec) -> Span | None:
        found = self.own.get(spec)
        if found is not None:
            return found
        with self.changing:  # moved to the end: asked for last
            found = self.open.pop(spec, None)
            if found is not None:
                self.open[spec] = found
        return found
