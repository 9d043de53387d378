"""Batches across callers: what waits for the same function at the same time is run as one batch.

Takes a caller's batch and the function that answers it row by row; gives the caller its own rows. Knows nothing of
networks or of the protocol. Who finds a runner idle and nobody waiting runs at once, on its own thread: a lone caller
pays two locks, and no hand-over from thread to thread.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from offramp.errors import DeadlineError, InputError, OverloadedError, UnreachableError
from offramp.protocol.gone import Gone, GoneError
from offramp.protocol.record import Record
from offramp.protocol.served import Array
from offramp.protocol.streams import STOPPING

# Of one tensor or several (N, ...) to what has a row for each and can be sliced, row by row; its identity says what may
# be run together.
Run = Callable[..., Any]
MOST = 4096
LESS = (
    "Send less or later; to take on more, serve with more --workers, another node beside this one, or a longer --queue."
)


@dataclass(frozen=True)
class Limits:
    """How far a batcher goes. Sizes are in samples."""

    batch: int = 64  # most that is run at once, but for a request that is larger by itself; 1: each request alone
    wait: float = 0.0  # seconds that a request may wait for company while a runner is free; 0: run what is there
    queue: int = 256  # most that wait; a request that finds nobody waiting is let in whatever its size
    runners: int = 1  # batches run at the same time

    def __post_init__(self) -> None:
        for name, value in (("batch size", self.batch), ("queue", self.queue), ("runners", self.runners)):
            if not 1 <= value <= MOST:
                raise InputError(f"{name} {value}: expected 1 to {MOST}. A request that waits or runs holds a thread.")
        if not 0 <= self.wait <= 1:
            raise InputError(
                f"maximum wait {1000 * self.wait:g} ms: expected 0 to 1000. Every sample that waits pays it."
            )

    @property
    def calls(self) -> int:
        """Most requests that can be inside at once, waiting or running."""
        return self.queue + 1 + self.runners * self.batch


@dataclass(eq=False)
class _Request:
    """A batch that waits for its turn."""

    run: Run
    batch: tuple[Array, ...]
    deadline: float
    arrived: float = field(default_factory=time.monotonic)
    answer: "Future[Any]" = field(default_factory=Future)
    began: float | None = None  # by the performance counter, when it was its turn
    ran: int | None = None  # samples of the batch that it was the first of; 0: another was

    @property
    def size(self) -> int:
        """Samples."""
        return len(self.batch[0])


class Batcher:
    """Runs batches for many callers at once, by a bounded number of runners and a bounded queue.

    `told` how many samples wait, whenever that changes.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.told: Callable[[float], object] = lambda waiting: None
        self.limits = limits or Limits()
        self.changed = threading.Condition()  # guards all below
        self.lanes: dict[Run, deque[_Request]] = {}  # what waits, by function, in order of arrival; none is empty
        self.waiting = 0  # samples
        self.running = 0  # batches
        self.closed = False
        self.threads = [
            threading.Thread(target=self._serve, name=f"runner-{number}", daemon=True)
            for number in range(self.limits.runners)
        ]
        for thread in self.threads:
            thread.start()

    def run(
        self,
        function: Run,
        *batch: Array,
        timeout: float | None = None,
        gone: Gone | None = None,
        record: Record | None = None,
    ) -> Any:
        """Give `function(*batch)`, where batches of other callers may be run along with it; `record` has the times.

        Raises OverloadedError at once where the queue is full; DeadlineError where `timeout` seconds have passed before
        the answer was there, and GoneError where the caller has `gone` before its turn: nothing is computed then;
        UnreachableError after `close`; else what `function` raises for this batch.
        """
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        record, came = record or Record(), time.perf_counter()
        with self.changed:
            if self.closed:
                raise UnreachableError(STOPPING)
            at_once = not self.waiting and self.running < self.limits.runners
            if at_once:
                self.running += 1
            else:
                request = self._enqueue(_Request(function, batch, deadline))
        if not at_once:
            try:
                return self._wait(request, gone or Gone())
            finally:
                turn = record.stage("queue", came, request.began)
                if request.began is not None:
                    record.stage("compute", turn)
                record.batch = request.ran
        try:
            if deadline <= time.monotonic():
                raise _late(len(batch[0]))
            return function(*batch)
        finally:
            record.stage("compute", came)
            self._release()

    def full(self) -> OverloadedError | None:
        """Why a request would find no room whatever its size; None where there is some."""
        if self.waiting < self.limits.queue:
            return None
        return OverloadedError(
            f"overloaded: {self.waiting} samples wait, and the queue holds {self.limits.queue}. {LESS}"
        )

    def close(self) -> None:
        """Take nothing more, run what waits, and end."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()
        for thread in self.threads:
            thread.join()

    def _enqueue(self, request: _Request) -> _Request:
        size = request.size
        if self.waiting and self.waiting + size > self.limits.queue:
            raise OverloadedError(
                f"overloaded: {self.waiting} samples wait, this batch would add {size}, and the queue holds "
                f"{self.limits.queue}. {LESS}"
            )
        self.lanes.setdefault(request.run, deque()).append(request)
        self._wait_more(size)
        self.changed.notify()
        return request

    def _wait(self, request: _Request, gone: Gone) -> Any:
        gone.told = request.answer.cancel
        if gone.is_set():
            request.answer.cancel()
        left = request.deadline - time.monotonic()
        try:
            return request.answer.result(None if left > threading.TIMEOUT_MAX else max(left, 0))
        except TimeoutError:
            if request.answer.done():  # just now, or the function's own error
                return request.answer.result()
            with self.changed:
                self._remove(request)
            raise _late(request.size) from None
        except CancelledError:
            with self.changed:
                self._remove(request)
            raise GoneError from None

    def _remove(self, request: _Request) -> None:
        """Take a request out of its lane, if it is still there: its room is free at once."""
        lane = self.lanes.get(request.run, deque())
        if request in lane:
            lane.remove(request)
            self._wait_more(-request.size)
            if not lane:
                del self.lanes[request.run]

    def _wait_more(self, samples: int) -> None:
        self.waiting += samples
        self.told(self.waiting)

    def _serve(self) -> None:
        while taken := self._take():
            try:
                _answer(taken)
            finally:
                self._release()

    def _release(self) -> None:
        with self.changed:
            self.running -= 1
            self.changed.notify(len(self.threads) if self.closed else 1)

    def _take(self) -> list[_Request]:
        """Wait for the next batch to run; an empty one says that there will be none."""
        with self.changed:
            while True:
                if not self.lanes:
                    if self.closed:
                        return []
                    self.changed.wait()
                elif self.running >= self.limits.runners:
                    self.changed.wait()
                else:
                    lane = min(self.lanes.values(), key=lambda lane: lane[0].arrived)
                    if (patience := self._patience(lane)) > 0:
                        self.changed.wait(patience)
                    elif taken := self._pop(lane):
                        self.running += 1
                        return taken

    def _patience(self, lane: deque[_Request]) -> float:
        """Seconds that the first of a lane may still wait for company."""
        full = sum(request.size for request in lane) >= self.limits.batch
        return 0.0 if full or self.closed else lane[0].arrived + self.limits.wait - time.monotonic()

    def _pop(self, lane: deque[_Request]) -> list[_Request]:
        """Take as many as fit from the front of a lane: none that is past its deadline, who is told so, or has gone."""
        taken: list[_Request] = []
        room, now, run = self.limits.batch, time.monotonic(), lane[0].run
        while lane and (not taken or lane[0].size <= room):
            request = lane.popleft()
            self._wait_more(-request.size)
            if not request.answer.set_running_or_notify_cancel():
                continue
            if request.deadline <= now:
                request.answer.set_exception(_late(request.size))
            else:
                taken.append(request)
                room -= request.size
        if not lane:
            del self.lanes[run]
        return taken


def _answer(taken: list[_Request]) -> None:
    """Run requests as one batch and give each its rows; where that fails, each alone, so that none fails another's."""
    try:
        batch, began = taken[0].batch, time.perf_counter()
        for request in taken:
            request.began = began
        if len(taken) > 1:
            batch = tuple(map(np.concatenate, zip(*(request.batch for request in taken), strict=True)))
        rows = taken[0].run(*batch)
        assert len(rows) == len(batch[0]), "one row for each sample"
    except Exception as error:
        if len(taken) == 1:
            taken[0].answer.set_exception(error)
        else:
            for request in taken:
                _answer([request])
        return
    start = 0
    for request in taken:
        end = start + request.size
        request.ran = 0 if start else len(rows)  # before the answer, whose caller reads it
        request.answer.set_result(rows[start:end])
        start = end


def _late(size: int) -> DeadlineError:
    return DeadlineError(
        f"the deadline passed before this batch of {size} was answered. Give it more time, or this node less to do."
    )
