"""A budget of time: how it is written, and an observer that ends a training within it, after a whole epoch."""

import re
import time
from collections.abc import Callable

from offramp.errors import InputError
from offramp.train.observe import EpochRecord

UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}
PATTERN = re.compile(r"(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m)?(?:(?P<s>\d+(?:\.\d+)?)s)?")
MARGIN = 1.1  # epochs of one training differ by less, validation included


def parse_budget(text: str) -> float:
    """Read hours, minutes and seconds; give seconds.

    >>> parse_budget("9m"), parse_budget("1h30m"), parse_budget("1.5h")
    (540.0, 5400.0, 5400.0)
    """
    match = PATTERN.fullmatch(text)
    seconds = sum(UNITS[unit] * float(value) for unit, value in (match.groupdict() if match else {}).items() if value)
    if not seconds:
        raise InputError(f"budget {text!r}: expected a time above 0 like 9m, 90s or 1h30m.")
    return seconds


class OutOfTimeError(Exception):
    """Caught by the suite: what is trained can be resumed from its last epoch."""


class Clock:
    """Stops a training after an epoch when another one, and `reserve` seconds for what follows it, would not fit."""

    def __init__(self, budget: float | None, reserve: float = 0.0, now: Callable[[], float] = time.monotonic) -> None:
        self.now, self.reserve = now, reserve
        self.deadline = float("inf") if budget is None else now() + budget
        self.began: float | None = None
        self.epochs: list[float] = []  # seconds of each in this training, validation and writing included

    @property
    def left(self) -> float:
        """Seconds until the budget is spent."""
        return self.deadline - self.now()

    def start(self) -> None:
        """Begin another training; raise OutOfTimeError where not even the reserve is left."""
        if self.left <= self.reserve:
            raise OutOfTimeError
        self.began, self.epochs = self.now(), []

    def step(self, done: int, total: int, loss: float) -> None:
        """Single steps are not stopped: what is not a whole epoch would be lost."""

    def epoch(self, record: EpochRecord) -> None:
        """Look at the time; the epoch that is over has been kept already."""
        assert self.began is not None
        now = self.now()
        self.epochs.append(now - self.began)
        self.began = now
        # The first may have compiled, or looked for the fastest kernels: it says little of the others.
        longest = max(self.epochs[1:] or self.epochs)
        if record.epoch < record.of and self.left < MARGIN * longest + self.reserve:
            raise OutOfTimeError
