"""What an edge does where its cloud cannot: it runs on by itself, exit by exit, as far as the time goes.

An edge holds the whole bundle. Takes a flight and a time, gives answers marked degraded. Knows no cloud.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.codec import Codec
from offramp.exits.answers import Answers, Judged
from offramp.nodes.flight import Flight
from offramp.nodes.route import Step
from offramp.runtime.open import SIZES, warm_up
from offramp.runtime.span import Span, SpanSpec, Tensors

WEIGHT = 0.2  # of the last run in how much slower than that it goes now


@dataclass(eq=False)
class TimedStep:
    """A step that knows how long it takes: two sizes are timed, and what lies beside them is taken to lie on a line."""

    step: Step
    seconds_at: tuple[float, float]  # of batches of SIZES
    slower: float = field(default=1.0)  # than when it was timed; a guess need not be guarded against a race

    @classmethod
    def of(cls, step: Step, bundle: Bundle) -> Self:
        """Warm it up and time it, on noise."""
        warm_up(step.span, bundle, step.spec)
        seconds = []
        for size in SIZES:
            noise = step.spec.noise(bundle, size)
            began = time.perf_counter()
            step.span.run(*noise)
            seconds.append(time.perf_counter() - began)
        return cls(step, (seconds[0], max(seconds)))

    def seconds(self, rows: int) -> float:
        """What it is going to take for so many rows."""
        return self.slower * self._timed(rows)

    def _timed(self, rows: int) -> float:
        one, many = self.seconds_at
        return one + (many - one) * (rows - SIZES[0]) / (SIZES[1] - SIZES[0])

    def run(self, features: Tensors) -> Tensors:
        """Run it, and learn from how long that took."""
        rows, began = len(next(iter(features.values()))), time.perf_counter()
        outputs = self.step.span.run(*features.values())
        took = (time.perf_counter() - began) / self._timed(rows)
        self.slower += WEIGHT * (max(took, 1.0) - self.slower)
        return outputs


@dataclass(frozen=True, eq=False)
class Fallback:
    """The rest of a network from a cut on, a step to each exit behind it; the last is the network's end."""

    steps: tuple[TimedStep, ...]

    @classmethod
    def of(cls, bundle: Bundle, cut: int, codec: Codec, opened: Callable[[SpanSpec], Span]) -> Self:
        """Open what follows a cut where features cross in this codec, warm and timed."""
        manifest = bundle.manifest
        steps: list[TimedStep] = []
        at, takes = cut, codec
        for exit_ in (exit_ for exit_ in manifest.exits if exit_ > cut):
            spec = SpanSpec(at, exit_, (exit_,), None if exit_ == manifest.last else "fp32", takes)
            steps.append(TimedStep.of(Step.of(spec, manifest, opened), bundle))
            at, takes = exit_, "fp32"
        return cls(tuple(steps))

    def seconds(self, rows: int) -> float:
        """What all of it is going to take."""
        return sum(step.seconds(rows) for step in self.steps)

    def answers(self, flight: Flight, end: float, clock: Callable[[], float] = time.monotonic) -> Answers | None:
        """Answer at the deepest exit that can be reached before `end` of the clock.

        That is the one where the flight last was judged where no step is short enough; None where there was none.
        """
        features, logits, reached = flight.features, None, flight.exit or 0
        for timed in self.steps:
            if clock() + timed.seconds(len(flight.rows)) > end:
                break
            outputs = timed.run(features)
            if timed.step.exit > reached:  # a cut before the exits has its steps through them again
                logits, reached = outputs[timed.step.logits], timed.step.exit
            features = timed.step.given(outputs)
        judged = flight.judged if logits is None else Judged.of(logits, flight.course.plan.score, flight.judged)
        return None if judged is None else judged.answers(reached, flight.course.tier, degraded=True)
