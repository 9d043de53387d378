"""Calls of a gRPC server that have threads of their own, so that others cannot take them, and what bounds the others.

Knows neither messages nor models.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial, update_wrapper
from time import perf_counter
from typing import Any, TypeVar

import grpc

from offramp.errors import OverloadedError
from offramp.protocol.arrival import set_aside
from offramp.protocol.pool import Pool, has_waited
from offramp.protocol.short import TOGETHER
from offramp.protocol.status import end_by

T = TypeVar("T")


def on(pool: ThreadPoolExecutor, answer: Callable[..., Any]) -> Callable[..., Any]:
    """The same call, on this pool's threads: grpc looks for the name."""
    own = update_wrapper(partial(answer), answer)
    own.experimental_thread_pool = pool  # type: ignore[attr-defined]
    return own


@dataclass(frozen=True)
class Came:
    """A call whose message is there, and how grpc runs an answer: given that one, what gives the message, the rest."""

    request: Any
    event: Any  # grpc's, with its deadline and metadata
    run: Callable[..., object]
    how: tuple[Any, ...]  # its own answer, and the rest
    since: float = field(default_factory=perf_counter)


Answer = Callable[[Any, grpc.ServicerContext], Any]
Together = Callable[[list[Came]], list[Answer] | None]


class Entrance(ThreadPoolExecutor):
    """Takes a unary call to a pool once its message is there, or refuses it, on the thread that reads what comes.

    What is refused has its message neither waited for nor read. Of up to `most` calls a message is asked for before a
    thread is free: each may hold one, or a part. By name alone an executor: grpc asks for one. `refused` is told of
    each that is. Of `short` ones that wait for a thread it takes up several at once: `together` makes their
    answers, or gives None where each is to be answered alone.
    """

    def __init__(self, pool: Pool, refused: Callable[[OverloadedError], object], most: int) -> None:
        self.pool, self.refused, self.room = pool, refused, threading.Semaphore(most)
        self.aside = 0  # calls whose message has been asked for and is not there
        self.short: Callable[[Came], bool] = lambda call: False
        self.together: Together = lambda calls: None

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Any:
        """Of what grpc submits: what runs an answer, the call, its state, the answer, and what gives its message.

        Of a grpc that submits something else, nothing is refused here, and a thread waits for the message.
        """
        try:
            run, event, state, answer, message, *rest = arguments
            deadline, ours = event.call_details.deadline, isinstance(state.condition, threading.Condition)
        except (AttributeError, ValueError):
            return self.pool.submit(function, *arguments, **named)
        run = partial(function, run, event, state)
        if (error := self.pool.crowded(deadline - time.time())) is not None:
            self._refuse(error, run)
            return UNFOLLOWED
        if not ours or not self.room.acquire(blocking=False):
            return self.pool.submit(function, *arguments, **named)

        def take_up(came: Any) -> None:
            self.aside -= 1
            error = None if came is None else self.pool.crowded(deadline - time.time())
            if came is not None and error is None:
                call = Came(came, event, run, (answer, *rest))
                if self.short(call):
                    self.pool.run_together(self._work, [call], TOGETHER)
                else:
                    self.pool.begin(partial(self._alone, call))
                return
            self.room.release()
            if error is not None:
                self._refuse(error, run)

        self.aside += 1
        set_aside(state, message, take_up)
        return UNFOLLOWED

    def _work(self, calls: list[Came]) -> None:
        """On a thread: answer what has waited for it; where not at once, none behind one that waits again."""
        answers = self.together(calls) if len(calls) > 1 else None
        if answers is None:
            self.pool.put_back([partial(self._alone, one) for one in calls[1:]])
            self._alone(calls[0])
            return
        for one, answer in zip(calls, answers, strict=True):
            self._alone(one, answer)

    def _alone(self, call: Came, answer: "Answer | None" = None) -> None:
        self.room.release()
        has_waited(perf_counter() - call.since)
        own, *rest = call.how
        call.run(answer or own, lambda: call.request, *rest)

    def _refuse(self, error: OverloadedError, run: Callable[..., object]) -> None:
        self.refused(error)

        def refuse(unread: object, context: grpc.ServicerContext) -> None:
            end_by(context, error)

        run(refuse, tuple, None, None)


class _Unfollowed:
    """In a future's place, without its locks: grpc counts by futures what runs, and that is bounded elsewhere."""

    def add_done_callback(self, told: Callable[[Any], object]) -> None:
        """It is counted as over at once."""
        told(self)


UNFOLLOWED = _Unfollowed()
