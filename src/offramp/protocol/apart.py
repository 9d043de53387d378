"""Calls of a gRPC server that have threads of their own, so that others cannot take them, and what bounds the others.

Knows neither messages nor models.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial, update_wrapper
from typing import Any, TypeVar

import grpc

from offramp.errors import OverloadedError
from offramp.protocol.pool import Pool
from offramp.protocol.status import status_of

T = TypeVar("T")
Stream = Callable[[Iterator[Any], grpc.ServicerContext], Iterator[Any]]

SPARE = 2  # threads beyond the bound, to refuse on


def on(pool: ThreadPoolExecutor, answer: Callable[..., Any]) -> Callable[..., Any]:
    """The same call, on this pool's threads: grpc looks for the name."""
    own = update_wrapper(partial(answer), answer)
    own.experimental_thread_pool = pool  # type: ignore[attr-defined]
    return own


class Streams:
    """Up to `most` streams open at once, on their own threads: one holds a thread while it waits for its client.

    `refused` is told of each that was one too many.
    """

    def __init__(self, most: int, refused: Callable[[OverloadedError], object]) -> None:
        self.most, self.refused, self.open, self.changing = most, refused, 0, threading.Lock()
        self.pool = Pool(most + SPARE, "stream")

    def counted(self, answer: Stream) -> Callable[..., Any]:
        """A streaming call, within the bound; past it RESOURCE_EXHAUSTED is the answer."""

        def stream(requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
            with self.changing:
                full = self.open >= self.most
                self.open += not full
            if full:
                error = OverloadedError(
                    f"overloaded: {self.most} streams are open, the most that this node holds. Close one, come back "
                    "later, or serve with more --max-streams."
                )
                self.refused(error)
                context.abort(status_of(error), str(error))
            try:
                yield from answer(requests, context)
            finally:
                with self.changing:
                    self.open -= 1

        return on(self.pool, stream)


class Entrance(ThreadPoolExecutor):
    """Takes a unary call to a pool, or refuses it as it comes, on the thread to which it comes.

    What is refused has its message neither waited for nor read. By name alone an executor: grpc asks for one.
    `refused` is told of each.
    """

    def __init__(self, pool: Pool, refused: Callable[[OverloadedError], object]) -> None:
        self.pool, self.refused = pool, refused

    def submit(self, function: Callable[..., T], /, *arguments: Any, **named: Any) -> Future[T]:
        """Of what grpc submits: what runs an answer, the call, its state, the answer, and what gives its message.

        Of a grpc that submits something else, nothing is refused here.
        """
        try:
            run, event, state, *_ = arguments
            error = self.pool.crowded(event.call_details.deadline - time.time())
        except (AttributeError, ValueError):
            error = None
        if error is None:
            return self.pool.submit(function, *arguments, **named)
        self.refused(error)

        def refuse(unread: object, context: grpc.ServicerContext) -> None:
            context.abort(status_of(error), str(error))

        done: Future[T] = Future()
        done.set_result(function(run, event, state, refuse, tuple, None, None))
        return done
