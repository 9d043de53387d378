"""Batches of sizes that a span has not met, run before a request brings them: behind the answers, while nobody asks.

For runtimes that compile a network anew for each size, which costs the first request of each 2 to 7 ms. Knows no
runtime, and no span that is no longer used.
"""

import atexit
import threading
import time
import weakref
from collections.abc import Callable
from queue import SimpleQueue

from offramp.runtime.span import Array

LARGEST = 32  # samples: a paper's batch, of which any number may be left behind an exit
QUIET = 0.05  # seconds in which nothing was run, after which the next size is
CLOSE = 10.0  # seconds to wait at the end for the size that is being run


class BySize:
    """A span that is made ready for each size apart, and tells of what it has run by `ran`."""

    def __init__(self) -> None:
        self.met: set[int] = set()

    def ran(self, size: int) -> None:
        """A batch of a size was run."""
        self.met.add(size)
        WARMING.asked = time.monotonic()

    def run(self, *tensors: Array) -> object:
        """Run a batch: `Span.run`."""
        raise NotImplementedError


Job = tuple["weakref.ref[BySize]", Callable[[int], tuple[Array, ...]]]  # what to run, and what on, by size


class Warming:
    """Runs the sizes that are missing, those of one span after another, on a thread that is there while there are any.

    A request that comes waits for one batch at most: the next size is run when nothing was for `quiet` seconds.
    """

    def __init__(self, largest: int = LARGEST, quiet: float = QUIET) -> None:
        self.largest, self.quiet = largest, quiet
        self.jobs: SimpleQueue[Job] = SimpleQueue()
        self.starting = threading.Lock()  # guards the thread
        self.thread: threading.Thread | None = None
        self.closed = threading.Event()
        self.asked = 0.0  # when a batch was last run, by the monotonic clock

    def add(self, span: BySize, noise: Callable[[int], tuple[Array, ...]]) -> None:
        """Have the sizes of a span run that it has not met by then; `noise` gives a batch of a size."""
        self.jobs.put((weakref.ref(span), noise))
        with self.starting:
            if self.thread is None:
                self.thread = threading.Thread(target=self._work, name="warming", daemon=True)
                self.thread.start()
                atexit.register(self.close)  # a runtime is not torn down under a batch

    def close(self) -> None:
        """Run no further size."""
        self.closed.set()
        if self.thread is not None:
            self.thread.join(CLOSE)

    def _work(self) -> None:
        while not self.closed.is_set():
            with self.starting:
                if self.jobs.empty():
                    self.thread = None
                    atexit.unregister(self.close)
                    return
            span, noise = self.jobs.get()
            for size in range(1, self.largest + 1):
                self._run(span, noise, size)

    def _run(self, known: "weakref.ref[BySize]", noise: Callable[[int], tuple[Array, ...]], size: int) -> None:
        """Run one size, once nobody asks; none that has been met meanwhile, and none of a span that is gone."""
        while (left := self.asked + self.quiet - time.monotonic()) > 0 and not self.closed.wait(left):
            pass
        span = known()
        if span is None or size in span.met or self.closed.is_set():
            return
        span.run(*noise(size))


WARMING = Warming()  # of this process: its spans share the cores
