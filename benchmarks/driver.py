"""A load on a node from a process of its own: closed loops to find its best, a Poisson process to go past it.

The schedule and the clock are `offramp.bench`'s: a request counts from the time it was due, sent late or not. What the
driver itself took, and how late it sent, comes with what it saw.
"""

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import repeat
from multiprocessing import get_context
from typing import Self

import numpy as np
import numpy.typing as npt

from asks import WORDS, Grpc, Http, Question, Way
from heart import Heart
from offramp.bench.load import Calls, load
from offramp.bench.scenario import Query, Rows, queries, scenario

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Order:
    """What a driver is to send, where, for how long: at a rate, or by clients that wait."""

    address: str
    http: bool
    questions: tuple[Question, ...]
    deadline: float  # seconds of each request
    seconds: float
    rate: float | None = None
    clients: int = 0
    seed: int = 0

    def schedule(self) -> Iterator[Query]:
        """The queries, each a number of a question."""
        if self.rate is None:
            return repeat(Query(np.arange(1), None))
        by = scenario("server", len(self.questions), rate=self.rate, schedule_seed=self.seed, sample_seed=self.seed)
        return queries(by, len(self.questions))

    def shared(self, by: int) -> "list[Order]":
        """The same load by so many drivers."""
        rate = None if self.rate is None else self.rate / by
        return [replace(self, rate=rate, clients=self.clients // by, seed=self.seed + k) for k in range(by)]


@dataclass(frozen=True)
class Seen:
    """What came of a load, a row a request; times are of the machine's monotonic clock, in seconds."""

    word: npt.NDArray[np.str_]
    start: Floats  # when it was due
    sent: Floats
    end: Floats
    stalled: npt.NDArray[np.bool_]  # overlaps one of the machine's own stalls
    cores: float  # that the drivers used, of one each

    @classmethod
    def of(cls, parts: "Sequence[Seen]") -> Self:
        """What several drivers saw."""
        columns = ("word", "start", "sent", "end", "stalled")
        joined = [np.concatenate([getattr(part, name) for part in parts]) for name in columns]
        return cls(*joined, cores=max(part.cores for part in parts))

    @property
    def seconds(self) -> float:
        """From the first that was due to the last that ended."""
        return float(self.end.max() - self.start.min())


def _drive(order: Order) -> Seen:
    way: Way
    way = Http(order.address, order.questions, order.deadline) if order.http else Grpc(order.address, order.questions)
    sent: dict[int, float] = {}

    def begin(_client: int, number: int, rows: Rows) -> object:
        sent[number] = time.perf_counter()
        return way.begin(number if order.rate is None else int(rows[0]), order.deadline)

    heart, used, began = Heart(), time.process_time(), time.perf_counter()
    try:
        came = load(order.schedule(), Calls(begin), clients=order.clients, duration=order.seconds)
    finally:
        way.close()
        heart.stop()
    cores = (time.process_time() - used) / (time.perf_counter() - began)
    start, end = (np.array([getattr(one, name) for one in came]) for name in ("start", "end"))
    stalled = np.array([heart.stalled(*times) for times in zip(start, end, strict=True)])
    assert {one.answer for one in came} <= set(WORDS)
    return Seen(np.array([one.answer for one in came]), start, np.array(list(sent.values())), end, stalled, cores)


class Drivers:
    """Processes that send, on cores of their own where there are some for them. A context manager."""

    def __init__(self, count: int, cores: set[int]) -> None:
        self.count = count
        self.pool = ProcessPoolExecutor(
            count, get_context("spawn"), initializer=os.sched_setaffinity, initargs=(0, cores)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.shutdown()

    def send(self, order: Order) -> Seen:
        """Have them all send, and wait."""
        return Seen.of(list(self.pool.map(_drive, order.shared(self.count))))
