"""A link whose shape changes with time as is known beforehand: the same for whoever is measured over it.

Takes shapes and when each begins, gives when bytes have passed. Pure: its time is what it is told. What the shapes say
of jitter and loss is left out: a trace says itself how it varies.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from offramp.errors import InputError
from offramp.link.lane import FAST, Lane
from offramp.link.shape import LinkShape


@dataclass(frozen=True)
class Trace:
    """Shapes one after another, each from so many seconds after `began` on; None: nothing passes. The last one stays.

    What waits when nothing passes goes on when something does.
    """

    began: float  # of the clock by which bytes pass
    shapes: tuple[tuple[float, LinkShape | None], ...]
    starts: tuple[float, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        starts = tuple(seconds for seconds, _ in self.shapes)
        if not starts or starts[0] != 0 or list(starts) != sorted(set(starts)):
            raise InputError(f"link trace: expected shapes whose times rise from 0, got {list(starts[:5])}.")
        if self.shapes[-1][1] is None:
            raise InputError("link trace: at its end nothing passes, and so nothing ever would. End with a shape.")
        object.__setattr__(self, "starts", starts)

    def at(self, now: float) -> LinkShape | None:
        """The shape at a time of the clock."""
        return self.shapes[self._place(now)][1]

    def delay(self, now: float) -> float:
        """Seconds one way; while nothing passes, those of the shape that comes."""
        shape = next(shape for _, shape in self.shapes[self._place(now) :] if shape is not None)
        return shape.delay

    def passed(self, size: int, since: float, *, up: bool) -> float:
        """When so many bytes have passed that began to at `since`."""
        place, bits, now = self._place(since), 8.0 * size, since
        while True:
            shape = self.shapes[place][1]
            last = place + 1 == len(self.shapes)
            end = math.inf if last else self.began + self.starts[place + 1]
            if shape is not None:
                rate = (shape.up if up else shape.down) or 8 * FAST
                if now + bits / rate <= end:
                    return now + bits / rate
                bits -= rate * (end - now)
            place, now = place + 1, end

    def _place(self, now: float) -> int:
        return max(bisect_right(self.starts, now - self.began) - 1, 0)

    def said(self) -> list[object]:
        """As JSON has it."""
        return [self.began, [[seconds, None if shape is None else str(shape)] for seconds, shape in self.shapes]]

    @classmethod
    def read(cls, began: float, shapes: Sequence[tuple[float, str | None]]) -> Self:
        """What `said` gave."""
        return cls(began, tuple((seconds, None if text is None else LinkShape.parse(text)) for seconds, text in shapes))

    def __str__(self) -> str:
        return f"{len(self.shapes)} shapes in {self.starts[-1]:g} s"


class TracedLane(Lane):
    """One direction of a traced link."""

    def __init__(self, trace: Trace, *, up: bool) -> None:
        rates = [(shape.up if up else shape.down) for _, shape in trace.shapes if shape is not None]
        super().__init__(None if None in rates else max(rate for rate in rates if rate is not None))
        self.trace, self.up = trace, up

    def passed(self, size: int, since: float) -> float:
        """When so many bytes have."""
        return self.trace.passed(size, since, up=self.up)

    def behind(self, now: float) -> float:
        """The delay of the moment."""
        return self.trace.delay(now)
