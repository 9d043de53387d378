"""The next tier as an edge sees it: something that finishes what the edge began."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, Self, TypeVar

from offramp.artifacts.engine import Place
from offramp.errors import OfframpError
from offramp.exits.answers import Answers, Judged, Tier
from offramp.nodes.contract import Reply
from offramp.nodes.flight import Answered, Flight, Rows
from offramp.nodes.route import Course
from offramp.protocol.served import Array, Parameters

E = TypeVar("E", bound=BaseException)


@dataclass(frozen=True)
class Finished:
    """What the next tier gave back for a flight."""

    answers: Answers | None  # a row each, whoever gave them; None where the caller got them directly
    bytes_sent: int = 0  # size of the message that carried the features; 0 where nothing was sent
    bytes_received: int = 0  # and of the answer
    took: float | None = None  # seconds in the next tier, by its own word
    hops: Mapping[str, int] = field(default_factory=dict)  # bytes sent on from there, to each tier behind it
    said: Parameters = field(default_factory=dict)  # what it says of the answers
    requests: int = 1  # that it took, one behind the other

    def answered(self, rows: Rows, *, last: bool) -> Answered:
        """The same as answers to these rows of the caller's batch."""
        sizes = self.bytes_sent, self.bytes_received
        return Answered(rows, self.answers, *sizes, last=last, hops=self.hops, said=self.said)

    @classmethod
    def by_cloud(
        cls,
        flight: Flight,
        logits: Array,
        exit_: int,
        bytes_sent: int = 0,
        bytes_received: int = 0,
        took: float | None = None,
    ) -> Self:
        """Answers from a last exit's logits `(N, classes)`."""
        answers = Judged.of(logits, flight.course.plan.score).answers(exit_, Tier.CLOUD)
        return cls(answers, bytes_sent, bytes_received, took)


def again(error: E) -> E:
    """One of its own for each who is told: an error that is raised again holds the frames of every time before."""
    return type(error)(*error.args)


class Upstream(Protocol):
    """Finishes flights."""

    def check(self, course: Course, timeout: float) -> Place | None:
        """Raise UnreachableError or BundleMismatchError unless it can finish what this course hands on.

        Gives what it computes with, where it says so.
        """

    def finish(
        self, flight: Flight, timeout: float, to: Reply | None = None, version: str | None = None
    ) -> Future[Finished]:
        """Run the rest of the network from the flight's features, and give what will be its answers, or the error.

        No thread waits meanwhile, and `timeout` is in seconds. With `to`, the logits go straight to the client that it
        names. With `version`, the network of that bundle runs in place of the edge's own, on images (cut 0).
        """


class Looked(Upstream, Protocol):
    """One that can be asked whether it is there, and says how it is sent to."""

    def requests(self, rows: int) -> int:
        """How many requests a flight of so many rows takes, one behind the other."""

    def look(self, timeout: float) -> "Future[None]":
        """Ask in next to no bytes, and give what will be the answer; an error of ours after `timeout` seconds."""


class Health(Protocol):
    """What is known of whether a cloud can be asked now: a breaker, or what watches over it as well."""

    def refusal(self) -> OfframpError | None:
        """Why not to ask it now; None: ask, and tell what came of it."""

    def answered(self) -> None:
        """It has answered."""

    def failed(self, error: OfframpError) -> None:
        """It has not, for this reason."""


def then(first: "Future[Any]", finish: Callable[["Future[Any]"], Finished]) -> Future[Finished]:
    """What `finish` makes of an answer once it is there, or raises. Cancelled, it cancels the first."""
    second: Future[Finished] = Future()

    def done(answer: "Future[Any]") -> None:
        if not second.set_running_or_notify_cancel():
            return
        try:
            second.set_result(finish(answer))
        except Exception as error:
            second.set_exception(error)

    second.add_done_callback(lambda second: second.cancelled() and first.cancel())
    first.add_done_callback(done)
    return second


def onward(first: "Future[Any]", go: "Callable[[Future[Any]], Future[Finished]]") -> Future[Finished]:
    """What comes of what `go` asks for, once an answer is there, or raises. Cancelled, it cancels what is under way."""
    second, asked = Future[Finished](), [first]

    def done(came: "Future[Any]", last: bool = False) -> None:
        if second.cancelled():
            return
        try:
            if last:  # an error is not raised on the way: each time would add its frames
                give(second, came.exception() or came.result())
                return
            asked.append(go(came))
            asked[-1].add_done_callback(partial(done, last=True))
            if second.cancelled():  # meanwhile
                asked[-1].cancel()
        except Exception as error:
            give(second, error)

    second.add_done_callback(lambda second: second.cancelled() and [one.cancel() for one in asked])
    first.add_done_callback(done)
    return second


def at_once(work: Callable[[], Finished]) -> Future[Finished]:
    """The same of what is done here and now."""
    now: Future[None] = Future()
    now.set_result(None)
    return then(now, lambda _: work())


def failed(error: Exception) -> Future[Finished]:
    """An answer that there will not be."""
    none: Future[Finished] = Future()
    none.set_exception(error)
    return none


def give(answer: Future[Finished], by: Finished | BaseException) -> None:
    """Give an answer or an error, where anybody waits for it still."""
    if answer.set_running_or_notify_cancel():
        if isinstance(by, Finished):
            answer.set_result(by)
        else:
            answer.set_exception(by)
