"""Calls at points in time on an asyncio loop: never before them, in their order, and soon after.

The loop's own timers count in milliseconds, and uvloop's round to the nearest: too coarse for a link of 1 ms, and at
times too early. Linux has timers for file descriptors that count in nanoseconds; elsewhere the loop's are used, rounded
up.
"""

import asyncio
import ctypes
import heapq
import math
import os
import time
from collections.abc import Callable
from typing import Any, Protocol

ABSOLUTE, NONBLOCK = 1, os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0)  # of timerfd_settime, timerfd_create


Clock = Callable[[], float]  # seconds


class Timer(Protocol):
    """Wakes somebody once at a time."""

    def arm(self, when: float) -> None:
        """Wake at `when`, a time of `time.monotonic()`, instead of when it was armed for."""

    def close(self) -> None:
        """Wake nobody any more."""


class DescriptorTimer:
    """Linux's `timerfd`, which Python has from 3.13 on."""

    def __init__(self, loop: asyncio.AbstractEventLoop, wake: Callable[[], None]) -> None:
        self.loop, self.wake = loop, wake
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor = self.libc.timerfd_create(time.CLOCK_MONOTONIC, NONBLOCK)
        if self.descriptor < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        loop.add_reader(self.descriptor, self._ring)

    def arm(self, when: float) -> None:
        """Set it."""
        seconds = math.floor(when)
        # An interval of zero, so once; then the time, rounded up so that it is never early.
        value = (ctypes.c_long * 4)(0, 0, seconds, min(math.ceil((when - seconds) * 1e9), 999_999_999))
        if self.libc.timerfd_settime(self.descriptor, ABSOLUTE, value, None) < 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def close(self) -> None:
        """Give the descriptor back."""
        self.loop.remove_reader(self.descriptor)
        os.close(self.descriptor)

    def _ring(self) -> None:
        try:
            os.read(self.descriptor, 8)
        except BlockingIOError:  # armed anew since the loop saw it ring
            return
        self.wake()


class LoopTimer:
    """The loop's own."""

    def __init__(self, loop: asyncio.AbstractEventLoop, wake: Callable[[], None]) -> None:
        self.loop, self.wake = loop, wake
        self.handle: asyncio.TimerHandle | None = None

    def arm(self, when: float) -> None:
        """Set it."""
        self.close()
        milliseconds = math.ceil((when - time.monotonic()) * 1000)
        self.handle = self.loop.call_later(max(milliseconds, 0) / 1000, self.wake)

    def close(self) -> None:
        """Unset it."""
        if self.handle is not None:
            self.handle.cancel()


def best_timer(loop: asyncio.AbstractEventLoop, wake: Callable[[], None]) -> Timer:
    """The finest that this system has."""
    try:
        return DescriptorTimer(loop, wake)
    except (AttributeError, OSError, NotImplementedError):
        return LoopTimer(loop, wake)


class Schedule:
    """What is to be called when, in times of its clock. To be used on the loop's thread."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, timer: Callable[..., Timer] = best_timer, clock: Clock = time.monotonic
    ) -> None:
        self.loop, self.timer, self.clock = loop, timer(loop, self._wake), clock
        self.calls: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self.number = 0  # keeps the order of calls at the same time
        self.armed = math.inf  # the time that is waited for
        self.closed = False

    def at(self, when: float, call: Callable[..., None], *arguments: Any) -> None:
        """Call at `when`, and at once where that has passed, but never before this returns."""
        if self.closed:
            return
        self.number += 1
        heapq.heappush(self.calls, (when, self.number, call, arguments))
        if when < self.armed:
            self._arm(when)

    def close(self) -> None:
        """Forget every call that is left, and what comes."""
        self.closed = True
        self.calls.clear()
        self.timer.close()

    def _arm(self, when: float) -> None:
        self.armed = when
        if when <= self.clock():
            self.loop.call_soon(self._wake)
        else:
            self.timer.arm(when)

    def _wake(self) -> None:
        self.armed = -math.inf  # what is called may schedule more: that is seen to below
        now = self.clock()
        try:
            while self.calls and self.calls[0][0] <= now:
                _, _, call, arguments = heapq.heappop(self.calls)
                call(*arguments)
        finally:
            self.armed = math.inf
            if self.calls:
                self._arm(self.calls[0][0])
