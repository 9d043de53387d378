"""A circuit breaker: after failures, whoever is on the other side is left in peace, and tried again after a while.

Pure but for its lock: the clock is handed in. Knows neither what is asked nor who asks (Nygard, "Release It!", 2007).
"""

import threading
import time
from collections.abc import Callable
from typing import Literal

from offramp.errors import (
    BundleMismatchError,
    DeadlineError,
    OfframpError,
    OverloadedError,
    RefusedError,
    UnreachableError,
)

State = Literal["closed", "open", "half-open"]

FAILURES = 3  # in a row that open it, of the kind that may be one request's own
COOL = 1.0  # seconds from its opening to the next try


class Breaker:
    """Closed: ask. Open: do not, for `cool` seconds. Half-open: one may ask, and the others wait for what comes of it.

    Where nothing answers at all it opens at once; where an answer is late or no answer, after `failures` in a row, for
    a deadline may have been short and an input the first of its kind. A node that refuses for load is there, and a
    bundle that is missing may be one request's: neither opens it.
    """

    def __init__(
        self, failures: int = FAILURES, cool: float = COOL, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.failures, self.cool, self.clock = failures, cool, clock
        self.changing = threading.Lock()
        self.reason: OfframpError | None = None  # why it is not closed
        self.row = 0  # failures since the last answer
        self.next = 0.0  # when one may ask again

    @property
    def state(self) -> State:
        """What it is now."""
        return "closed" if self.reason is None else "open" if self.clock() < self.next else "half-open"

    def refusal(self) -> OfframpError | None:
        """Why not to ask now; None: ask, and say what came of it, for others may be waiting for that."""
        if self.reason is None:  # the usual case takes no lock
            return None
        with self.changing:
            if self.reason is not None and self.clock() >= self.next:
                self.next = self.clock() + self.cool  # the others wait; should nothing be heard of this one, so long
                return None
            return self.reason

    def answered(self) -> None:
        """What was asked has been answered."""
        if self.row or self.reason is not None:
            with self.changing:
                self.row, self.reason = 0, None

    def failed(self, error: OfframpError) -> None:
        """It has not, for this reason."""
        if isinstance(error, OverloadedError | BundleMismatchError | RefusedError):
            return
        with self.changing:
            self.row += 1
            gone = isinstance(error, UnreachableError)
            if gone or self.row >= self.failures or self.reason is not None:
                self._open(error)

    def open(self, error: OfframpError) -> None:
        """Leave it in peace, whatever was heard of it until now."""
        with self.changing:
            self._open(error)

    def _open(self, error: OfframpError) -> None:
        if self.reason is None or not isinstance(error, DeadlineError):
            self.reason = error  # that it is late says less than what was known
        self.next = self.clock() + self.cool
