"""Sends queries by a schedule and takes the time of what comes back: in one thread, however many are under way.

A query that is due at a time counts from that time, sent late or not: a server that stalls delays all that were to come
meanwhile, and a load that waited for it would count one (coordinated omission). Knows neither nodes nor answers.
"""

import queue
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from offramp.bench.scenario import Query, Rows
from offramp.errors import DeadlineError
from offramp.progress import Watch, unwatched

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
PATIENCE = 90.0  # seconds without any answer: whoever is asked gives up before, and names the node


@dataclass(frozen=True)
class Completed(Generic[T]):
    """A query, and what came of it. Times are the clock's."""

    rows: Rows
    start: float  # when it was due, or, of a client that waits, when it was sent
    end: float
    answer: T


class Ask(Protocol[T_co]):
    """Who is asked."""

    def send(self, client: int, query: int, rows: Rows) -> None:
        """Send a query, and wait for nothing."""

    def wait(self, seconds: float) -> tuple[int, float, T_co] | None:
        """The next query that is answered, when, and what; None: there was none for so long. Raises what went wrong."""


class Calls(Generic[T]):
    """Asks by calls under way, each a future that `begin` makes of a client, a query and its rows."""

    def __init__(self, begin: Callable[[int, int, Rows], Future[T]]) -> None:
        self.begin = begin
        self.ended: queue.SimpleQueue[tuple[int, float, Future[T]]] = queue.SimpleQueue()

    def send(self, client: int, query: int, rows: Rows) -> None:
        """Begin a call."""
        call = self.begin(client, query, rows)
        call.add_done_callback(lambda call: self.ended.put((query, time.perf_counter(), call)))

    def wait(self, seconds: float) -> tuple[int, float, T] | None:
        """The next call that ends."""
        try:
            query, at, call = self.ended.get(timeout=seconds)
        except queue.Empty:
            return None
        return query, at, call.result()


def load(
    schedule: Iterator[Query],
    ask: Ask[T],
    *,
    clients: int,
    duration: float = 0.0,
    count: int = 1,
    first: int = 0,
    clock: Callable[[], float] = time.perf_counter,
    watch: Watch = unwatched,
) -> list[Completed[T]]:
    """Send until both `duration`, in seconds, and `count` are met; give every query answered, in the order of sending.

    Queries without a time go as one of the `clients` is idle. They are numbered from `first`. `watch` is told how many
    are answered, of how many at this pace. Raises what `ask` raises, and DeadlineError where nothing comes any more.
    """
    begun, idle = clock(), deque(range(clients))
    sent: dict[int, tuple[int, Rows, float]] = {}  # by number: client, rows, start
    answered: dict[int, Completed[T]] = {}
    query = next(schedule, None)
    while query is not None or len(answered) < len(sent):
        now = clock()
        left = PATIENCE if query is None or query.due is None else begun + query.due - now
        if query is not None and (idle if query.due is None else left <= 0):
            client, number = idle.popleft() if query.due is None else 0, first + len(sent)
            start = now if query.due is None else begun + query.due
            sent[number] = client, query.rows, start
            ask.send(client, number, query.rows)
            enough = len(sent) >= count and start - begun >= duration
            query = None if enough else next(schedule, None)
        elif came := ask.wait(min(left, PATIENCE)):
            number, end, answer = came
            client, rows, start = sent[number]
            answered[number] = Completed(rows, start, end, answer)
            idle.append(client)
            done, passed = len(answered), clock() - begun
            watch("queries", done, max(count, len(sent), round(done * duration / passed) if passed > 0 else 0))
        elif left >= PATIENCE and len(answered) < len(sent):
            waiting = len(sent) - len(answered)
            raise DeadlineError(f"no answer for {PATIENCE:g} s; queries under way: {waiting}. See the node's log.")
    return [answered[number] for number in sent]
