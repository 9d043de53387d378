"""Waiting for what another thread or process is about to do."""

import threading
import time
from collections.abc import Callable


def until(condition: Callable[[], bool], *, within: float = 60.0) -> None:
    """Look again and again until it holds; AssertionError where it does not within so many seconds.

    The longer it takes, the less often: whoever is waited for needs the processor too.
    """
    pause, begun = threading.Event(), time.monotonic()
    while not condition():
        waited = time.monotonic() - begun
        assert waited < within, f"it did not come within {within:g} s"
        pause.wait(min(0.005 + waited / 50, 0.05))
