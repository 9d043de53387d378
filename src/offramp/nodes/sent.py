"""A flight that a cloud was asked to finish, and how many samples may be out at once."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass

from offramp.errors import InputError, LinkError, OfframpError, OverloadedError
from offramp.nodes.fallback import Fallback
from offramp.nodes.flight import Answered, Flight
from offramp.nodes.upstream import Finished, failed


@dataclass(frozen=True)
class Sent:
    """A flight on its way. Called once `answer` is done, it gives the last part of the batch."""

    flight: Flight
    answer: Future[Finished]
    end: float  # of the monotonic clock, for it to be answered
    fallback: Fallback | None  # who answers where the cloud does not
    told: Callable[[int, OfframpError], object]  # of how many samples it did not, and why
    direct: bool = False  # the cloud answers the client itself
    due: float = math.inf  # when the caller waits no longer: an answer would come too late then

    def __call__(self) -> Answered:
        """Wait for the answer; raises what went wrong, with how many it concerns, where nobody stands in."""
        flight = self.flight
        try:
            finished = self.answer.result()
        except InputError as error:
            # Only whom the cloud shall answer is the caller's own word there, and that stream ends with the cloud.
            if not self.direct or (stood_in := self._stand_in(error)) is None:
                raise
            return stood_in
        except LinkError as error:
            if (stood_in := self._stand_in(error)) is not None:
                return stood_in
            where = "" if flight.exit is None else f"at exit {flight.exit} "
            raise type(error)(
                f"{error} {len(flight.rows)} of {flight.of} samples are not sure enough {where}to be answered without "
                "it."
            ) from error
        return finished.answered(flight.rows, last=True)

    def _stand_in(self, error: OfframpError) -> Answered | None:
        flight = self.flight
        if self.fallback is None or time.monotonic() > self.due:
            return None
        answers = self.fallback.answers(flight, self.end)
        if answers is None:
            return None
        self.told(len(flight.rows), error)
        return Answered(flight.rows, answers, last=True)


@dataclass(frozen=True)
class Sending:
    """How a flight is sent: times are of the monotonic clock, in seconds."""

    flight: Flight
    now: float
    wait: float  # for the next tier; what is left until `end` is for answering here
    end: float
    fallback: Fallback | None
    due: float

    def sent(
        self, answer: Future[Finished], told: Callable[[int, OfframpError], object], *, direct: bool = False
    ) -> Sent:
        """The flight on its way."""
        return Sent(self.flight, answer, self.end, self.fallback, told, direct, self.due)


class Room:
    """For so many samples out at once, and each of them holds its features here until it is answered."""

    def __init__(self, most: int) -> None:
        if most < 1:
            raise InputError(f"in flight {most}: expected at least 1 sample that a cloud may be working on.")
        self.most, self.out, self.changing = most, 0, threading.Lock()

    def take(self, rows: int, begin: Callable[[], Future[Finished]]) -> Future[Finished]:
        """Begin, where there is room until the answer is there; a batch that finds nobody out has it whatever its size.

        OverloadedError is the answer where there is none.
        """
        with self.changing:
            if self.out and self.out + rows > self.most:
                return failed(
                    OverloadedError(
                        f"overloaded: the cloud has not answered {self.out} samples yet, {rows} would come on top, and "
                        f"{self.most} may be in flight."
                    )
                )
            self.out += rows
        try:
            answer = begin()
        except BaseException:
            self._give(rows)
            raise
        answer.add_done_callback(lambda _: self._give(rows))
        return answer

    @contextmanager
    def held(self, rows: int) -> Iterator[None]:
        """The same for as long as the context lasts; raises OverloadedError where there is no room."""
        until: Future[Finished] = Future()
        begun = self.take(rows, lambda: until)
        if begun is not until:
            begun.result()
        try:
            yield
        finally:
            until.cancel()

    def _give(self, rows: int) -> None:
        with self.changing:
            self.out -= rows
