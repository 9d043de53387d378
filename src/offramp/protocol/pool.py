"""Threads that compute and never wait: work that waits for an answer is set aside, and its thread takes other work.

A thread's work runs in a greenlet, on a stack of its own: `wait` leaves that there, another takes its place, and the
answer has it go on, on the same thread. Work that waits for nobody costs what it does on any pool; grpc's aio server,
the other way to this, changes threads more often: a seventh of a small call's time. Knows no protocol and no model.
"""

import math
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue
from time import perf_counter
from typing import Any, TypeVar

from greenlet import getcurrent, greenlet

from offramp.errors import OverloadedError
from offramp.protocol.gone import Gone, GoneError

T = TypeVar("T")
WAITING = 64  # calls: some tens of milliseconds of work, where they are small
SMOOTH = 0.1  # share of the newest in the mean of what ten calls or so took
SURE = 0.75  # share of its time that a call may be expected to take: what is expected is not what comes


def wait(answer: Future[Any], gone: Gone) -> None:
    """Return when the answer is there, as a result or an error; on a pool, no thread waits.

    Raises GoneError where whoever asked goes before that, or the pool is shut down; the answer is cancelled then, so
    that whoever works on it can leave it.
    """
    woken = threading.Event()
    wake, sleep = parking() or (woken.set, woken.wait)
    gone.told = wake
    answer.add_done_callback(lambda _: wake())
    if gone.is_set():
        wake()
    sleep()
    gone.told = None
    if not answer.done():
        answer.cancel()
        raise GoneError


def has_waited(seconds: float) -> None:
    """Note how long this work has waited, where several were taken up at once."""
    getcurrent().waited = seconds


def parking() -> tuple[Callable[[], None], Callable[[], object]] | None:
    """How to have this work go on, from any thread and more than once, and to leave it; None where no pool runs it."""
    here = getcurrent()
    return here.parking() if isinstance(here, _Stack) else None


def waited() -> float:
    """Seconds that this work has waited for a thread."""
    return float(getattr(getcurrent(), "waited", 0.0))


class Pool(ThreadPoolExecutor):
    """Up to `size` threads, each started when no other is free.

    A ThreadPoolExecutor by name alone: grpc gives a call threads of its own where they are such a one's. Up to
    `crowd` wait for a thread before `crowded` says so, or fewer where they would wait for too long: `pace` is the
    seconds from one that leaves those who wait to the next. `told` how many wait, whenever that changes. Of work that
    holds its thread until its own client speaks, each has one to itself, by `alone`: on another's, that one's answer
    would have to wait for this one's client.
    """

    told: Callable[[float], object] = staticmethod(lambda waiting: None)

    def __init__(self, size: int, name: str, crowd: int = WAITING, *, alone: bool = False) -> None:
        self.size, self.name, self.crowd, self.alone = size, name, crowd, alone
        self.changing = threading.Lock()  # guards all below
        self.workers: list[_Worker] = []
        self.idle: list[_Worker] = []  # who worked last stands last, and is asked first
        self.backlog: deque[Callable[[], None]] = deque()
        self.parked: dict[_Stack, Callable[[], None]] = {}  # what waits, and how it is woken
        self.full: Callable[[], OverloadedError | None] = lambda: None  # why what it works for takes nothing more
        self.pace, self.left = 0.0, 0.0  # the latter: when one left them last, or the first of them came
        self.closed = False

    def submit(self, function: Callable[..., T], /, *arguments: Any, **named: Any) -> Future[T]:
        """Run a function as soon as a thread is free. RuntimeError after `shutdown`, as with any executor."""
        future: Future[T] = Future()

        def run() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function(*arguments, **named))
                except BaseException as error:
                    future.set_exception(error)

        self.begin(run)
        return future

    def begin(self, function: Callable[[], object]) -> None:
        """The same of what nobody waits for, and what raises nothing."""
        came = perf_counter()

        def work() -> None:
            getcurrent().waited = perf_counter() - came
            function()

        with self.changing:
            self._check_open()
            if self.idle or len(self.workers) < self.size:
                self._hand(work)
            else:
                self._wait(came, work)

    def run_together(self, function: Callable[[list[T]], None], items: Iterable[T], most: int) -> None:
        """Have a function take these, up to `most` at once with what waits for it besides. It raises nothing."""
        came, left = perf_counter(), deque(items)
        with self.changing:
            self._check_open()
            while left and (self.idle or len(self.workers) < self.size):
                self._hand(partial(function, [left.popleft() for _ in range(min(most, len(left)))]))
            if left:
                self._wait(came, *(_Shared(function, item, most) for item in left))

    def put_back(self, work: list[Callable[[], None]]) -> None:
        """Have this done next, by a thread of this pool that took it up and cannot do it at one go.

        Behind what waits it would wait for that a second time. A pool that is shut down does it too.
        """
        with self.changing:
            while work and self.idle:
                self._hand(work.pop(0))
            self.backlog.extendleft(reversed(work))
            self.told(len(self.backlog))

    def _hand(self, work: Callable[[], None]) -> None:
        """Have a thread that is free do it, or a new one. Under `changing`."""
        if self.idle:
            self.idle.pop().inbox.put(work)
        else:
            self.workers.append(_Worker(self, f"{self.name}_{len(self.workers)}", work))

    def _wait(self, came: float, *work: Callable[[], None]) -> None:
        """Put it behind what waits. Under `changing`."""
        if not self.backlog:
            self.left = came
        self.backlog.extend(work)
        self.told(len(self.backlog))

    def _check_open(self) -> None:
        if self.closed:
            raise RuntimeError("cannot schedule new futures after shutdown")

    def first(self) -> tuple[Callable[[], None], int]:
        """Who waits longest, with who is to be taken along, and how many they are. Under `changing`."""
        work, backlog = self.backlog.popleft(), self.backlog
        if not isinstance(work, _Shared):
            return work, 1
        items = [work.item]
        while backlog and len(items) < work.most:
            other = backlog[0]
            if not isinstance(other, _Shared) or other.function != work.function:
                break
            items.append(other.item)
            backlog.popleft()
        return partial(work.function, items), len(items)

    @property
    def busy(self) -> bool:
        """Whether any thread works."""
        return len(self.idle) < len(self.workers)

    @property
    def works(self) -> bool:
        """Whether anything is under way here: on a thread, waiting for one, or for an answer."""
        with self.changing:
            return self.busy or bool(self.backlog or self.parked)

    def crowded(self, seconds: float = math.inf) -> OverloadedError | None:
        """Why to refuse what comes now: as much waits as may, or it has no more than these seconds and needs more.

        At this pace, until those before it and those that run by then are done.
        """
        if (full := self.full()) is not None:
            return full
        waiting = len(self.backlog)
        if waiting >= self.crowd:
            return OverloadedError(
                f"overloaded: {waiting} calls wait for this node, and {self.crowd} may. Send less, or later, or to "
                "another."
            )
        if waiting and (takes := (waiting + self.size) * self.pace) > SURE * seconds:
            return OverloadedError(
                f"overloaded: {waiting} calls wait for this node, for about {takes:.2g} s, and this one has "
                f"{seconds:.2g} s. Give it more time, or send less, or to another."
            )
        return None

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take nothing more, finish what is there, and give up what waits for an answer."""
        with self.changing:
            self.closed = True
            parked = list(self.parked.values())
            while self.idle:
                self.idle.pop().inbox.put(_nothing)
        for wake in parked:
            wake()
        for worker in self.workers if wait else ():
            worker.thread.join()


class _Shared:
    """An item that waits for a function that takes several."""

    def __init__(self, function: Callable[[list[Any]], None], item: Any, most: int) -> None:
        self.function, self.item, self.most = function, item, most

    def __call__(self) -> None:
        self.function([self.item])


class _Stack(greenlet):  # type: ignore[misc]  # untyped base
    """Where a worker's thread runs work, one after another, until one waits."""

    def __init__(self, worker: "_Worker") -> None:
        super().__init__(worker.run)
        self.worker = worker

    def parking(self) -> tuple[Callable[[], None], Callable[[], object]]:
        """How to have its work go on, from any thread and more than once, and how to leave it until then."""
        pool, awake = self.worker.pool, threading.Lock()

        def wake() -> None:
            if awake.acquire(blocking=False):
                self.worker.resume(self)

        with pool.changing:
            pool.parked[self] = wake
        if pool.closed:
            wake()
        return wake, lambda: self.parent.switch(_nothing)


class _Worker:
    """A thread of a pool, and the work that is its own: what waited on it goes on on it."""

    def __init__(self, pool: Pool, name: str, first: Callable[[], None]) -> None:
        self.pool, self.inbox = pool, SimpleQueue[Callable[[], None] | _Stack]()
        self.thread = threading.Thread(target=self._serve, args=(first,), name=name, daemon=True)
        self.thread.start()

    def resume(self, stack: _Stack) -> None:
        """Have what waited go on."""
        with self.pool.changing:
            del self.pool.parked[stack]
            if self in self.pool.idle:
                self.pool.idle.remove(self)
            self.inbox.put(stack)

    def run(self, work: Callable[[], None]) -> _Stack | None:
        """Do this work, and all that comes; give the stack on which something goes on, None where nothing comes."""
        while True:
            work()
            more = self._next()
            if more is None or isinstance(more, _Stack):
                return more
            work = more

    def _serve(self, first: Callable[[], None]) -> None:
        more: Callable[[], None] | _Stack | None = first
        while more is not None:
            more = more.switch() if isinstance(more, _Stack) else _Stack(self).switch(more)
            if more is _nothing:
                more = self._next()

    def _next(self) -> Callable[[], None] | _Stack | None:
        pool = self.pool
        with pool.changing:
            if self.inbox.empty() and not (pool.alone and self._waits()):
                if pool.backlog:
                    work, count = pool.first()
                    pool.told(len(pool.backlog))
                    now = perf_counter()
                    pool.pace += SMOOTH * ((now - pool.left) / count - pool.pace)
                    pool.left = now
                    return work
                if not pool.closed:
                    pool.idle.append(self)
                elif not self._waits():
                    return None
        return self.inbox.get()

    def _waits(self) -> bool:
        """Whether anything here waits for an answer. Under `changing`."""
        return any(stack.worker is self for stack in self.pool.parked)


def _nothing() -> None:
    """Work that only wakes a thread; what a stack gives that was left."""
