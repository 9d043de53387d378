"""Worker processes of one node: started together, watched, started again, drained together.

Takes how a worker is started, which is a child. Knows nothing of what they serve.
"""

import logging
import queue
import signal
import time
from collections.abc import Callable

from offramp.children import Child, at_stop
from offramp.service import say_ready, say_stopping

log = logging.getLogger("offramp")

SHORTEST, LONGEST = 0.1, 10.0  # seconds before a worker that died is started again: doubled each time
STEADY = 30.0  # seconds after which a worker counts as healthy: its next death is a first one
CLOSING = 5.0  # seconds that a worker gets to end in any case

Changed = Callable[[Child], None]
Start = Callable[[str, Changed], Child]  # by the name that messages give it, and whom it tells of changes


class Worker:
    """One of them, and its successors."""

    def __init__(self, name: str, start: Start, events: "queue.SimpleQueue[Worker | None]") -> None:
        self.name, self.make, self.events, self.deaths = name, start, events, 0
        self.start()

    def start(self) -> None:
        """Start it."""
        self.began = time.monotonic()
        self.again: float | None = None  # when it is to be started again; None where it runs
        self.child = self.make(self.name, lambda _: self.events.put(self))

    def lament(self) -> None:
        """It has ended by itself: say so, and when it is started again."""
        now = time.monotonic()
        self.deaths = 1 if now - self.began > STEADY else self.deaths + 1
        delay = min(SHORTEST * 2 ** (self.deaths - 1), LONGEST)
        self.again = now + delay
        self.child.stop(0)
        said = (self.child.name, self.child.process.pid, self.child.why(), delay)
        log.warning("%s (process %d) died (%s): started again in %g s", *said)


def supervise(start: Start, count: int, *, line: str, grace: float) -> None:
    """Run `count` workers until SIGTERM or SIGINT, then let them finish for up to `grace` seconds.

    When all are ready, `line` is printed. Raises LinkError where one ends before that; later, one that ends is started
    again.
    """
    events: queue.SimpleQueue[Worker | None] = queue.SimpleQueue()  # whose state has changed; None: a signal to stop
    workers: list[Worker] = []
    at_stop(lambda: events.put(None))
    try:
        workers.extend(Worker(f"worker {number}", start, events) for number in range(1, count + 1))
        _watch(workers, events, line)
        say_stopping(f"stopping: {count} workers finish the requests in flight")
    finally:
        _drain([worker.child for worker in workers if worker.again is None], grace)


def _watch(workers: list[Worker], events: "queue.SimpleQueue[Worker | None]", line: str) -> None:
    """Until a signal to stop: say when all are ready, and start again what ends."""
    announced = False
    while True:
        times = [worker.again for worker in workers if worker.again is not None]
        try:
            worker = events.get(timeout=max(0.0, min(times) - time.monotonic()) if times else None)
        except queue.Empty:
            for due in workers:
                if due.again is not None and due.again <= time.monotonic():
                    due.start()
            continue
        if worker is None:
            return
        if worker.child.ended and worker.again is None:
            if not announced:
                raise worker.child.failure()
            worker.lament()
        if not announced and all(worker.child.words for worker in workers):
            say_ready(line)
            announced = True


def _drain(children: list[Child], grace: float) -> None:
    end = time.monotonic() + max(grace, CLOSING)
    for child in children:
        child.ask_to_stop()
    for child in children:
        code = child.stop(max(0.0, end - time.monotonic()))
        if code not in (0, -signal.SIGTERM):  # killed by SIGTERM: before it could answer anything
            log.warning("%s ended with exit code %d", child.name, code)
