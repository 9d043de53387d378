"""Worker processes of one node: started together, watched, started again, drained together.

Takes how a worker is started, which is a child. Knows nothing of what they serve.
"""

import logging
import queue
import signal
import time
from collections.abc import Callable

from offramp.children import LOOK, Child, at_stop
from offramp.service import say_ready, say_stopping

log = logging.getLogger("offramp")

SHORTEST, LONGEST = 0.1, 10.0  # seconds before a worker that died is started again: doubled each time
STEADY = 30.0  # seconds after which a worker counts as healthy: its next death is a first one
CLOSING = 5.0  # seconds that a worker gets to end in any case

Changed = Callable[[Child], None]
Events = queue.SimpleQueue[object]  # a worker whose state has changed; True: reload; False: stop
Start = Callable[[int, Changed], Child]  # by its number, from 1, and whom it tells of changes


class Worker:
    """One of them, and its successors."""

    def __init__(self, number: int, start: Start, events: Events) -> None:
        self.number, self.make, self.events, self.deaths = number, start, events, 0
        self.start()

    def start(self) -> None:
        """Start it."""
        self.began = time.monotonic()
        self.again: float | None = None  # when it is to be started again; None where it runs
        self.stale = False  # to be told to reload, once it can hear that
        self.child = self.make(self.number, lambda _: self.events.put(self))

    def reload(self) -> None:
        """Tell it to reload, now or as soon as it is ready; one that has ended will read everything anew."""
        self.stale = not self.child.words
        if not self.stale and not self.child.ended:
            self.child.process.send_signal(signal.SIGHUP)

    def lament(self) -> None:
        """It has ended by itself: say so, and when it is started again."""
        now = time.monotonic()
        self.deaths = 1 if now - self.began > STEADY else self.deaths + 1
        delay = min(SHORTEST * 2 ** (self.deaths - 1), LONGEST)
        self.again = now + delay
        self.child.stop(0)
        said = (self.child.name, self.child.process.pid, self.child.why(), delay)
        log.warning("%s (process %d) died (%s): started again in %g s", *said)


def supervise(start: Start, count: int, events: Events, *, line: str, grace: float, reload: Callable[[], bool]) -> None:
    """Run `count` workers until SIGTERM or SIGINT, then let them finish for up to `grace` seconds.

    When all are ready, `line` is printed. Raises LinkError where one ends before that; later, one that ends is started
    again. A True among the events is handed on to all of them, where `reload` says so.
    """
    workers: list[Worker] = []
    at_stop(lambda: events.put(False))
    try:
        workers.extend(Worker(number, start, events) for number in range(1, count + 1))
        _watch(workers, events, line, reload)
        say_stopping(f"stopping: {count} workers finish the requests in flight")
    finally:
        _drain([worker.child for worker in workers if worker.again is None], grace)


def _watch(workers: list[Worker], events: Events, line: str, reload: Callable[[], bool]) -> None:
    """Until a signal to stop: say when all are ready, and start again what ends."""
    announced = False
    while True:
        times = [worker.again for worker in workers if worker.again is not None]
        try:
            event = events.get(timeout=max(0.0, min([LOOK, *(again - time.monotonic() for again in times)])))
        except queue.Empty:
            for due in workers:
                if due.again is not None and due.again <= time.monotonic():
                    due.start()
            continue
        if event is False:
            return
        if isinstance(event, Worker):
            if event.child.ended and event.again is None:
                if not announced:
                    raise event.child.failure()
                event.lament()
            elif event.stale:
                event.reload()
        elif reload():
            for worker in workers:
                worker.reload()
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
