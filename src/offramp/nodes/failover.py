"""Several clouds as one: what the first does not take goes to the next, once.

A tail gives the same answer however often it is asked, so asking another is safe; not so of a direct reply, which the
client would get twice.
"""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.engine import Place
from offramp.errors import (
    BundleMismatchError,
    DeadlineError,
    LinkError,
    OverloadedError,
    RefusedError,
    UnreachableError,
)
from offramp.nodes.contract import Reply
from offramp.nodes.flight import Flight, Rows
from offramp.nodes.remote_cloud import RemoteCloud
from offramp.nodes.route import Course
from offramp.nodes.upstream import Finished, Upstream, give
from offramp.protocol.credentials import Credentials
from offramp.protocol.gone import Gone
from offramp.sockets import check_addresses

# What another cloud may do better, in the time that is left.
ELSEWHERE = (UnreachableError, OverloadedError, BundleMismatchError, RefusedError)
TRIES = 2  # at most one retry; a cloud that its breaker keeps from being asked was not tried


class Failover:
    """The clouds of one network, in the order in which they are asked."""

    def __init__(self, clouds: Sequence[RemoteCloud]) -> None:
        self.clouds = tuple(clouds)

    def check(self, course: Course, timeout: float) -> Place | None:
        """Raise what the last of them raises where none can finish what this course hands on."""
        error: LinkError | None = None
        for cloud in self.clouds:
            try:
                return cloud.check(course, timeout)
            except LinkError as failed:
                error = failed
        assert error is not None  # there are some
        raise error

    def finish(
        self, flight: Flight, timeout: float, to: Reply | None = None, version: str | None = None
    ) -> Future[Finished]:
        """Ask one, and where that fails, another in what is left of the time. Direct replies are the first's alone."""
        if to is not None:
            return self.clouds[0].finish(flight, timeout, to, version)
        answer: Future[Finished] = Future()
        self._ask(0, TRIES, flight, time.monotonic() + timeout, version, answer)
        return answer

    def parts(self, flight: Flight, timeout: float, gone: Gone) -> Iterator[tuple[Rows, Finished]]:
        """Ask the one that would be asked first now, and no other: what came of a stream must not come twice."""
        yield from self._first().parts(flight, timeout, gone)

    def requests(self, rows: int) -> int:
        """How many it takes at most, whoever is asked."""
        return max(cloud.requests(rows) for cloud in self.clouds)

    def look(self, timeout: float) -> "Future[None]":
        """Ask the one that would be asked first now."""
        return self._first().look(timeout)

    def _first(self) -> RemoteCloud:
        there = [cloud for cloud in self.clouds if cloud.health.refusal() is None]
        return (there or self.clouds)[0]

    def _ask(
        self, at: int, tries: int, flight: Flight, end: float, version: str | None, answer: Future[Finished]
    ) -> None:
        left = end - time.monotonic()
        if left <= 0:
            give(answer, DeadlineError("the deadline passed before another cloud was asked."))
            return
        sent = self.clouds[at].finish(flight, left, None, version)
        tries -= not sent.done()  # done at once: it was not asked

        def done(sent: Future[Finished]) -> None:
            if answer.cancelled():
                return
            error = sent.exception()
            if error is None:
                give(answer, sent.result())
            elif isinstance(error, ELSEWHERE) and tries and at + 1 < len(self.clouds):
                try:
                    self._ask(at + 1, tries, flight, end, version, answer)
                except Exception as failed:  # of a connection that is closed
                    give(answer, failed)
            else:
                give(answer, error)

        answer.add_done_callback(lambda answer: answer.cancelled() and sent.cancel())
        sent.add_done_callback(done)


def clouds_at(bundle: Bundle, addresses: str, credentials: Credentials | None = None) -> Upstream:
    """The cloud at HOST:PORT, or those at several with commas between them, each by the same credentials."""
    clouds = [RemoteCloud(bundle, address, credentials=credentials) for address in check_addresses(addresses)]
    return clouds[0] if len(clouds) == 1 else Failover(clouds)
