"""Waiting for what another thread or process is about to do."""

import threading
import time
from collections.abc import Callable


def until(condition: Callable[[], bool], *, within: float = 60.0) -> None:
    """Look again and again until it holds; AssertionError where it does not within so many seconds."""
    pause, end = threading.Event(), time.monotonic() + within
    while not condition():
        assert time.monotonic() < end, f"it did not come within {within:g} s"
        pause.wait(0.005)
