"""A heartbeat in a measuring process: it marks the times in which the machine, or this process, stood still.

What overlaps one of them is told apart from what a node was late for.
"""

import threading
import time
from bisect import bisect_left

BEAT, STALL = 0.002, 0.010  # seconds


class Heart:
    """Beats every few milliseconds; a beat that comes late marks a stall, from the one before to it.

    Times are the clock's of `time.monotonic`, which on Linux is that of `time.perf_counter`.
    """

    def __init__(self) -> None:
        self.stalls: list[tuple[float, float]] = []  # in order, none overlaps another
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._beat, name="heart", daemon=True)
        self.thread.start()

    def _beat(self) -> None:
        last = time.monotonic()
        while not self.over.wait(BEAT):
            now = time.monotonic()
            if now - last > STALL + BEAT:
                self.stalls.append((last, now))
            last = now

    def stop(self) -> None:
        """Beat no more."""
        self.over.set()
        self.thread.join()

    def stalled(self, began: float, ended: float) -> bool:
        """Whether one overlaps that time."""
        first = bisect_left(self.stalls, began, key=lambda stall: stall[1])
        return first < len(self.stalls) and self.stalls[first][0] < ended
