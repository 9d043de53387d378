"""Streaming calls of a gRPC server: on threads of their own, bounded, and ended where nothing is under way on them.

Knows neither messages nor models.
"""

import threading
from collections.abc import Callable, Iterator
from typing import Any, Self

import grpc

from offramp.errors import OverloadedError, UnreachableError
from offramp.protocol.apart import on
from offramp.protocol.pool import Pool
from offramp.protocol.status import end_by, status_of

Stream = Callable[[Any, grpc.ServicerContext], Iterator[Any]]

SPARE = 2  # threads beyond the bound, to refuse on
LAST_LOOK = 0.05  # seconds for a client's own end to be heard, which has come already
STOPPING = "this node is stopping. Ask another, or later."


class Streams:
    """Up to `most` streams open at once, on their own threads: one holds a thread while it waits for its client.

    `refused` is told of each that was one too many.
    """

    def __init__(self, most: int, refused: Callable[[OverloadedError], object]) -> None:
        self.most, self.refused, self.open, self.changing = most, refused, 0, threading.Lock()
        self.ends, self.ending = set[Callable[[], object]](), False
        self.pool = Pool(most + SPARE, "stream", alone=True)

    def counted(self, answer: Stream) -> Callable[..., Any]:
        """A streaming call, within the bound; past it RESOURCE_EXHAUSTED is the answer."""

        def stream(asked: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            with self.changing:
                full = self.open >= self.most
                self.open += not full
            if full:
                error = OverloadedError(
                    f"overloaded: {self.most} streams are open, the most that this node holds. Close one, come back "
                    "later, or serve with more --max-streams."
                )
                self.refused(error)
                end_by(context, error)
            try:
                yield from self._until_ended(answer, asked, context)
            finally:
                with self.changing:
                    self.open -= 1

        return on(self.pool, stream)

    def _until_ended(self, answer: Stream, asked: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        """The answers; where the node ends the stream, its client is told so."""
        requests = Requests(asked) if Requests.are(asked) else None
        answers = answer(asked if requests is None else requests, context)
        # Of one request, as who watches the health sends it, the answers are what is waited for.
        end = answers.close if requests is None else requests.end  # type: ignore[attr-defined]
        with self.changing:
            self.ends.add(end)
            ending = self.ending
        if ending:
            end()
        try:
            yield from answers
        finally:
            with self.changing:
                self.ends.remove(end)
        if self.ending if requests is None else requests.ended:
            context.abort(status_of(UnreachableError()), STOPPING)

    def end(self) -> None:
        """End those on which nothing is under way, and each of the others as soon as that is so."""
        with self.changing:
            self.ending, ends = True, [*self.ends]
        for end in ends:
            end()


class Requests:
    """What a stream is asked, until its client says no more, or the node `end`s it: then nothing new is taken up.

    grpc's iterator knows no end but the client's: it waits for a request on the call's condition, and is woken here.
    """

    def __init__(self, asked: Any) -> None:
        self.asked, self.condition = asked, asked._state.condition
        self.reading = self.over = self.looked = self.ended = False
        self.wait = self.condition.wait
        self.condition.wait = self._wait

    @staticmethod
    def are(asked: Any) -> bool:
        """Whether a call is asked one thing after another, in a way that is known here."""
        return isinstance(getattr(getattr(asked, "_state", None), "condition", None), threading.Condition)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        self.reading, self.looked = True, False
        try:
            request = next(self.asked)
        finally:
            self.reading = False
        if self.over:
            self._stop()
        return request

    def end(self) -> None:
        """Take no other request."""
        with self.condition:
            self.over = True
            self.condition.notify_all()

    def _wait(self, timeout: float | None = None) -> bool:
        """Wait as grpc does, which then looks what there is, and comes back where it is nothing."""
        if not self.reading or not self.over:  # it waits until what it sends is sent, or nothing has ended
            return bool(self.wait(timeout))
        if self.looked:
            self._stop()
        self.looked = True
        return bool(self.wait(LAST_LOOK))

    def _stop(self) -> None:
        self.ended = True
        raise StopIteration
