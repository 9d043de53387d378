"""What a node says in its log of its work: that it begins to refuse and has stopped, is slow, or answers for another.

Each is said once and then summed up, so that no log grows with the load. Takes errors and times, gives lines.
"""

import logging
import threading
import time
from collections.abc import Callable

from offramp.errors import OverloadedError

Later = Callable[[float, Callable[[], None]], None]  # has something called after so many seconds
CALM = 10.0  # seconds without a refusal after which an overload has ended
SLOW, MINUTE = 1.0, 60.0  # seconds from which a request is slow; between two lines that say so

log = logging.getLogger("offramp")


def _later(seconds: float, call: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, call)
    timer.daemon = True
    timer.start()


class Overload:
    """Says when a node begins to refuse requests for load, and when it has refused none for `calm` seconds."""

    def __init__(self, calm: float = CALM, clock: Callable[[], float] = time.monotonic, later: Later = _later) -> None:
        self.calm, self.clock, self.later, self.changing = calm, clock, later, threading.Lock()
        self.refused = 0  # since it began; 0: there is none
        self.began = self.last = 0.0

    def refuse(self, error: OverloadedError) -> None:
        """A request has been refused."""
        with self.changing:
            self.last = self.clock()
            self.refused += 1
            if self.refused > 1:
                return
            self.began = self.last
        log.warning("overload begins: %s", error)
        self.later(self.calm, self._look)

    def _look(self) -> None:
        with self.changing:
            left = self.last + self.calm - self.clock()
            refused, lasted = self.refused, self.last - self.began
            if left <= 0:
                self.refused = 0
        if left > 0:
            self.later(left, self._look)
        else:
            log.info("overload ends: %d refused in %.1f s", refused, lasted)


class _Summed:
    """Says a thing at once, and then how often it was, every `every` seconds for as long as it is."""

    def __init__(self, every: float = MINUTE, later: Later = _later) -> None:
        self.every, self.later, self.changing = every, later, threading.Lock()
        self.count, self.most, self.what = 0, 0.0, ""  # since the last line
        self.waiting = False  # for the time of the next

    def _add(self, count: int, size: float, what: str) -> None:
        """So many more; of all, what is said is of the one of the largest size, the last where several are."""
        with self.changing:
            self.count += count
            if size >= self.most:
                self.most, self.what = size, what
            first, self.waiting = not self.waiting, True
        if first:
            self._say()

    def _say(self) -> None:
        with self.changing:
            count, most, what = self.count, self.most, self.what
            self.count, self.most, self.waiting = 0, 0.0, count > 0
        if count:
            log.warning(self._line(count, most, what))
            self.later(self.every, self._say)

    def _line(self, count: int, most: float, what: str) -> str:
        raise NotImplementedError


class Slow(_Summed):
    """Says that requests take longer than `bound` seconds."""

    def __init__(self, bound: float = SLOW, every: float = MINUTE, later: Later = _later) -> None:
        super().__init__(every, later)
        self.bound = bound

    def note(self, seconds: float, what: str) -> None:
        """A request of this model took so long: nothing, where that is not slow."""
        if seconds > self.bound:
            self._add(1, seconds, what)

    def _line(self, count: int, most: float, what: str) -> str:
        return f"slow: {count} took more than {self.bound:g} s, the longest {most:.1f} s ({what})"


class Degraded(_Summed):
    """Says that samples are answered degraded, and why the last of them were."""

    def note(self, samples: int, why: object) -> None:
        """So many were, for this reason."""
        self._add(samples, 0.0, str(why))

    def _line(self, count: int, most: float, what: str) -> str:
        return f"degraded: {count} samples answered without the cloud: {what}"


class Refused(_Summed):
    """Says that callers are not let in, for this reason."""

    def __init__(self, why: str, every: float = MINUTE, later: Later = _later) -> None:
        super().__init__(every, later)
        self.why = why

    def note(self) -> None:
        """One was not."""
        self._add(1, 0.0, self.why)

    def _line(self, count: int, most: float, what: str) -> str:
        return f"refused: {count} {what}"
