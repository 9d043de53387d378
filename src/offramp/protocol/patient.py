"""Threads for a gRPC server's calls, of which none waits for long for a client that sends its message slowly.

grpc has a thread wait for each call's message on a condition. Here the thread waits a moment, as long as a message
takes that is on its way, and is then left to others until the message is there. Knows no protocol and no model.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from offramp.protocol.pool import Pool, parking

T = TypeVar("T")

MOMENT = 0.005  # seconds


class PatientPool(Pool):
    """Sets up to `most` calls aside whose clients are slow: each may hold a part of a message. Others hold a thread."""

    def __init__(self, size: int, name: str, most: int) -> None:
        super().__init__(size, name)
        self.slow = threading.Semaphore(most)

    def submit(self, function: Callable[..., T], /, *arguments: Any, **named: Any) -> Future[T]:
        """Run a function as soon as a thread is free; a call of grpc's waits on a condition of ours."""
        for state in arguments[2:3]:  # beside the event, where grpc's threads are told of a call
            if isinstance(getattr(state, "condition", None), threading.Condition):
                state.condition = _Patient(self.slow)
        return super().submit(function, *arguments, **named)


class _Patient(threading.Condition):
    """Who waits here for long leaves its thread. It may be woken for nothing: grpc looks, and waits again."""

    def __init__(self, slow: threading.Semaphore) -> None:
        super().__init__()
        self.slow, self.long, self.wake = slow, False, _nobody

    def wait(self, timeout: float | None = None) -> bool:
        if not self.long:
            self.long = not super().wait(MOMENT)
            return True
        self.long = False
        if (found := parking()) is None or not self.slow.acquire(blocking=False):
            return super().wait(timeout)
        self.wake, sleep = found
        self.release()
        sleep()
        self.acquire()
        self.slow.release()
        return True

    def notify_all(self) -> None:
        super().notify_all()
        self.wake()
        self.wake = _nobody


def _nobody() -> None:
    """Nobody waits whose thread does not."""
