"""Calls of a gRPC server that have threads of their own, so that others cannot take them; streams that are counted,
and calls that are refused where too many wait.

Knows neither messages nor models.
"""

import threading
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


class _AtOnce(ThreadPoolExecutor):
    """The thread that submits. By name alone an executor, as a pool is: for what waits for nothing."""

    def __init__(self) -> None:
        """Start none."""

    def submit(self, function: Callable[..., T], /, *arguments: Any, **named: Any) -> Future[T]:
        """Run it."""
        future: Future[T] = Future()
        try:
            future.set_result(function(*arguments, **named))
        except Exception as error:
            future.set_exception(error)
        return future


class Crowd(grpc.ServerInterceptor):  # type: ignore[misc]  # untyped base
    """Refuses calls of a method as they come while `crowded` says why, on the thread to which they come.

    Their messages are not waited for, nor read. `refused` is told of each.
    """

    def __init__(
        self,
        method: str,
        crowded: Callable[[], OverloadedError | None],
        refused: Callable[[OverloadedError], OverloadedError],
    ) -> None:
        self.method, self.crowded, self.refused, self.here = method, crowded, refused, _AtOnce()

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        """The handler of a call, or one that refuses it."""
        if details.method != self.method or (crowded := self.crowded()) is None:
            return continuation(details)
        error = self.refused(crowded)

        def refuse(unread: Iterator[Any], context: grpc.ServicerContext) -> None:
            context.abort(status_of(error), str(error))

        # As one that takes a stream, which is the same on the wire, it is given no message.
        return grpc.stream_unary_rpc_method_handler(on(self.here, refuse))
