"""Worker processes of one node: started together, watched, started again, drained together.

Takes the command of a worker, which says on its output when it is ready and stops on SIGTERM, or when its input ends:
so none outlives the node. Knows nothing of what they serve.
"""

import logging
import os
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from offramp.errors import LinkError

log = logging.getLogger("offramp")

SHORTEST, LONGEST = 0.1, 10.0  # seconds before a worker that died is started again: doubled each time
STEADY = 30.0  # seconds after which a worker counts as healthy: its next death is a first one
STOP = (signal.SIGTERM, signal.SIGINT)
CLOSING = 5.0  # seconds between a worker's last output and its end


class Worker:
    """One of them, and its successors."""

    def __init__(self, number: int, command: Sequence[str], word: str) -> None:
        self.number, self.command, self.word = number, command, word
        self.deaths = 0
        self.start()

    def start(self) -> None:
        """Start it, in a group of its own: what the terminal sends goes to the node, which passes it on."""
        self.began = time.monotonic()
        self.again: float | None = None  # when it is to be started again; None where it runs
        self.said, self.ready = b"", False
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0, bufsize=0
        )

    def fileno(self) -> int:
        """Where it says that it is ready; at its end when it dies."""
        assert self.process.stdout is not None
        return self.process.stdout.fileno()

    def listen(self) -> bool:
        """Read what it says; False when it has ended."""
        said = os.read(self.fileno(), 4096)
        self.said = (self.said + said)[-4096:]
        self.ready = self.ready or self.said.startswith(f"{self.word} ".encode())
        return bool(said)

    def bury(self, wait: float) -> int:
        """Wait for its end, force it where it takes longer, and give its exit code."""
        try:
            self.process.wait(wait)
        except subprocess.TimeoutExpired:
            log.warning("worker %d (process %d) did not end in time: killed", self.number, self.process.pid)
            self.process.kill()
        code = self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        return code

    def delay(self) -> float:
        """Seconds until it is started again."""
        now = time.monotonic()
        self.deaths = 1 if now - self.began > STEADY else self.deaths + 1
        seconds: float = min(SHORTEST * 2 ** (self.deaths - 1), LONGEST)
        self.again = now + seconds
        return seconds


def supervise(command: Sequence[str], count: int, *, word: str, line: str, grace: float) -> None:
    """Run `count` workers until SIGTERM or SIGINT, then let them finish for up to `grace` seconds.

    A worker is ready when its first line starts with `word`. When all are, `line` is printed. Raises LinkError where
    one ends before that; later, one that ends is started again.
    """
    workers: list[Worker] = []
    with _signals() as (stopping, woken), selectors.DefaultSelector() as selector:
        selector.register(woken, selectors.EVENT_READ)
        try:
            for number in range(1, count + 1):
                workers.append(Worker(number, command, word))
                selector.register(workers[-1], selectors.EVENT_READ, workers[-1])
            announced = False
            while not stopping:
                for key, _ in selector.select(_revive(workers, selector)):
                    worker = key.data
                    if worker is None:
                        woken.recv(64)
                    elif not worker.listen():
                        selector.unregister(worker)
                        if not stopping:
                            _lament(worker, announced)
                if not announced and all(worker.ready for worker in workers):
                    print(line, flush=True)
                    announced = True
            print(f"stopping: {count} workers finish the requests in flight", flush=True)
        finally:
            _drain([worker for worker in workers if worker.again is None], grace)


@contextmanager
def _signals() -> Iterator[tuple[list[int], socket.socket]]:
    """The signals to stop that have come, and a socket that can be read when one has."""
    stopping: list[int] = []
    woken, waker = socket.socketpair()
    with woken, waker:
        waker.setblocking(False)
        handlers = {number: signal.signal(number, lambda n, _: stopping.append(n)) for number in STOP}
        before = signal.set_wakeup_fd(waker.fileno())
        try:
            yield stopping, woken
        finally:
            signal.set_wakeup_fd(before)
            for number, handler in handlers.items():
                signal.signal(number, handler)


def _revive(workers: list[Worker], selector: selectors.BaseSelector) -> float | None:
    """Start again whose time has come; give the seconds until the next one's, None where all run."""
    for worker in workers:
        if worker.again is not None and worker.again <= time.monotonic():
            worker.start()
            selector.register(worker, selectors.EVENT_READ, worker)
    times = [worker.again for worker in workers if worker.again is not None]
    return max(0.0, min(times) - time.monotonic()) if times else None


def _lament(worker: Worker, announced: bool) -> None:
    """A worker has ended by itself: say so, and when it is started again."""
    pid, code = worker.process.pid, worker.bury(CLOSING)
    why = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    delay = worker.delay()
    if not announced:
        raise LinkError(f"worker {worker.number} ended before it was ready ({why}). What it said stands above.")
    log.warning("worker %d (process %d) died (%s): started again in %g s", worker.number, pid, why, delay)


def _drain(workers: list[Worker], grace: float) -> None:
    end = time.monotonic() + grace
    for worker in workers:
        worker.process.terminate()
    for worker in workers:
        code = worker.bury(max(CLOSING, end - time.monotonic()))
        if code not in (0, -signal.SIGTERM):  # killed by SIGTERM: before it could answer anything
            log.warning("worker %d ended with exit code %d", worker.number, code)
