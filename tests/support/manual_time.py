"""Time that a test moves: a clock, a timer and the little of a loop that a schedule asks for."""

import asyncio
import math
from collections.abc import Callable
from typing import cast

from offramp.link.schedule import Schedule


class ManualTime:
    """Stands still until it is moved, and then is exactly where a schedule's next call is due."""

    def __init__(self, now: float = 0.0) -> None:
        self.now, self.armed = now, math.inf
        self.soon: list[Callable[[], None]] = []

    def schedule(self) -> Schedule:
        """A schedule that keeps to this time."""
        return Schedule(cast("asyncio.AbstractEventLoop", self), self._timer, lambda: self.now)

    def _timer(self, loop: object, wake: Callable[[], None]) -> "ManualTime":
        self.wake = wake
        return self

    def arm(self, when: float) -> None:
        """Be a timer."""
        self.armed = when

    def close(self) -> None:
        """Be a timer that wakes nobody any more."""
        self.armed = math.inf

    def call_soon(self, call: Callable[[], None]) -> None:
        """Be a loop."""
        self.soon.append(call)

    def move(self) -> float:
        """Go to where the schedule wants to be woken, wake it, and give the time; AssertionError where it does not."""
        if self.soon:
            self.soon.pop(0)()
        else:
            assert self.armed < math.inf, "nothing is waited for"
            self.now, self.armed = self.armed, math.inf
            self.wake()
        return self.now
