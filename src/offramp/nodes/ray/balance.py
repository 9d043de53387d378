"""Replicas as one: each request goes to the one that has the fewest in flight, and once more elsewhere where that dies.

Knows nothing of Ray: it is told which replicas there are. A tail gives the same answer however often it is asked, so
asking another is safe.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from offramp.errors import (
    DeadlineError,
    OfframpError,
    OverloadedError,
    RefusedError,
    UnknownModelError,
    UnreachableError,
)
from offramp.protocol.credentials import Credentials, Shown
from offramp.protocol.peer import Peer
from offramp.protocol.served import Result

# What another replica may do better: one that is new, or stops, may not serve what the others do.
ELSEWHERE = (UnreachableError, OverloadedError, RefusedError, UnknownModelError)
LOOK = 2.0  # seconds that a replica has to say that it is there
MISSED = 3  # looks in a row without a word, after which it is given up, and what it was asked is asked of another
log = logging.getLogger("offramp")
NONE = "no replica is there now. Look at the cluster (ray status, serve status), and at this node's log."


@dataclass(frozen=True)
class Place:
    """Where a replica listens, HOST:PORT, and on which machine that is."""

    address: str
    machine: str


@dataclass(frozen=True, kw_only=True)
class Known(Credentials):
    """A token that the replicas know, shown over the cluster's own network, where Ray shows its own in plain text."""

    token: str = field(repr=False)

    def read(self, address: str) -> Shown:
        """Show it."""
        return Shown(metadata=(("authorization", f"Bearer {self.token}"),))


@dataclass(eq=False)
class _Asked:
    """A request on its way."""

    request: Any
    end: float
    trace: str
    answer: "Future[Result]" = field(default_factory=Future)
    tried: "_Replica | None" = None  # the first that was asked, where that could not


@dataclass(eq=False)
class _Replica:
    place: Place
    peer: Peer
    calls: "dict[_Asked, Future[Result]]" = field(default_factory=dict)  # in flight
    down: OfframpError | None = None  # why it is not asked
    missed: int = 0


class Balance:
    """The replicas that there are, and what each is asked now. Safe to use from several threads at once."""

    def __init__(self, connect: Callable[[str], Peer], room: int) -> None:
        self.connect, self.room = connect, room  # by a replica's address; requests that each may have in flight
        self.changing = threading.Lock()  # guards all below
        self.replicas: dict[Place, _Replica] = {}
        self.again = 0  # requests that were asked of a second replica
        self.could = 0  # replicas that could be asked, when it was said last
        self.told: Callable[[], object] = lambda: None  # is called when there is one, or none any more

    def update(self, places: Collection[Place]) -> None:
        """These are there now; what others were asked may end, and they are asked nothing more."""
        with self.changing:
            for place in places:
                if place not in self.replicas:
                    log.info("replica %s: there", place.address)
                    self.replicas[place] = _Replica(place, self.connect(place.address))
            gone = [self.replicas.pop(place) for place in list(self.replicas) if place not in places]
        for replica in gone:
            log.info("replica %s: taken away", replica.place.address)
            if not replica.calls:  # else the connection closes with its last call, when nothing holds it any more
                replica.peer.close()
        self._say()

    def __len__(self) -> int:
        return sum(one.down is None for one in list(self.replicas.values()))

    @property
    def places(self) -> list[Place]:
        """Where the replicas are that can be asked."""
        return [one.place for one in list(self.replicas.values()) if one.down is None]

    def full(self) -> OverloadedError | None:
        """Why a request finds no room; None where there is some."""
        there = list(self.replicas.values())
        flying = sum(len(one.calls) for one in there)
        if not there or flying < self.room * len(there):
            return None
        return OverloadedError(
            f"overloaded: {flying} requests are with {len(there)} replicas, and each takes {self.room}. Send less or "
            "later; to take on more, serve with more --replicas."
        )

    def why_not(self) -> str | None:
        """Why nothing can be answered now; None where it can."""
        return None if len(self) else NONE

    def begin(self, request: Any, timeout: float, trace: str = "") -> "Future[Result]":
        """Send a request to a replica, to a second where that cannot, and give what will be the answer or the error.

        No thread waits for it; cancelled, the replica is told. `timeout` is in seconds, for both together.
        """
        asked = _Asked(request, time.monotonic() + timeout, trace)
        self._ask(asked)
        return asked.answer

    def look(self) -> None:
        """Ask each whether it is there: one that was given up is asked again where it is; a silent one is given up."""
        for replica in list(self.replicas.values()):
            replica.peer.look(LOOK).add_done_callback(partial(self._looked, replica))

    def _looked(self, replica: _Replica, answer: "Future[None]") -> None:
        error = None if answer.cancelled() else answer.exception()
        if error is None:
            if replica.down is not None:
                log.info("replica %s: there", replica.place.address)
            replica.missed, replica.down = 0, None
            self._say()
        elif isinstance(error, UnreachableError):
            self._lose(replica, error)
        elif isinstance(error, OfframpError):
            replica.missed += 1
            if replica.missed >= MISSED:
                self._lose(replica, UnreachableError(f"{replica.place.address} is silent: {error}"))

    def _lose(self, replica: _Replica, error: OfframpError) -> None:
        """It is not there: what it was asked is asked of another."""
        with self.changing:
            if replica.down is None:
                log.warning("replica %s: lost (%s)", replica.place.address, error)
            replica.down = error
            calls = list(replica.calls.items())
        for asked, sent in calls:
            self._over(replica, asked, error)
            sent.cancel()
        self._say()

    def _say(self) -> None:
        """Tell who wants to know, where it can answer now and could not, or the reverse."""
        now = len(self)
        with self.changing:
            before, self.could = self.could, now
        if bool(before) != bool(now):
            self.told()

    def _choose(self, asked: _Asked) -> _Replica | None:
        """The one with the fewest in flight, of another machine where one can: a machine that dies takes all of its."""
        with self.changing:
            there = [one for one in self.replicas.values() if one.down is None and one is not asked.tried]
            if asked.tried is not None:
                machine = asked.tried.place.machine
                there = [one for one in there if one.place.machine != machine] or there
            if not there:
                return None
            least = min(there, key=lambda one: len(one.calls))
            # The next of equals is another: what is asked one at a time goes around too.
            self.replicas[least.place] = self.replicas.pop(least.place)
            least.calls[asked] = Future()  # until the call has begun
            return least

    def _ask(self, asked: _Asked, before: BaseException | None = None) -> None:
        left = asked.end - time.monotonic()
        if left <= 0:
            _give(asked, before or DeadlineError("the deadline passed before a replica was asked."))
            return
        replica = self._choose(asked)
        if replica is None:
            _give(asked, before or UnreachableError(NONE))
            return
        try:
            sent = replica.peer.begin(asked.request, left, asked.trace)
        except ValueError as error:  # grpc's, of a connection that has been closed meanwhile
            self._over(replica, asked, UnreachableError(f"{replica.place.address}: {error}"))
            return
        with self.changing:
            if asked in replica.calls:  # else it was given up meanwhile
                replica.calls[asked] = sent
        asked.answer.add_done_callback(lambda answer: answer.cancelled() and sent.cancel())
        sent.add_done_callback(partial(self._heard, replica, asked))

    def _heard(self, replica: _Replica, asked: _Asked, sent: "Future[Result]") -> None:
        if sent.cancelled():
            with self.changing:
                replica.calls.pop(asked, None)
            return
        error = sent.exception()
        self._over(replica, asked, sent.result() if error is None else error)

    def _over(self, replica: _Replica, asked: _Asked, by: Result | BaseException) -> None:
        """A replica has answered, or not; only the first word of it counts."""
        with self.changing:
            if replica.calls.pop(asked, None) is None:
                return
            if isinstance(by, UnreachableError) and replica.down is None:
                replica.down = by
                log.warning("replica %s: lost (%s)", replica.place.address, by)
            second = isinstance(by, ELSEWHERE) and asked.tried is None and not asked.answer.cancelled()
            if second:
                asked.tried, self.again = replica, self.again + 1
        self._say()
        if second:
            self._ask(asked, by if isinstance(by, BaseException) else None)
        else:
            _give(asked, by)

    def close(self) -> None:
        """Close the connections."""
        for replica in list(self.replicas.values()):
            replica.peer.close()


def shown(token: str) -> Callable[[str], Peer]:
    """How a replica that asks for this token is called, each on a connection of its own."""
    return lambda address: Peer(address, alone=True, credentials=Known(token=token))


def _give(asked: _Asked, by: Result | BaseException) -> None:
    if asked.answer.set_running_or_notify_cancel():
        if isinstance(by, BaseException):
            asked.answer.set_exception(by)
        else:
            asked.answer.set_result(by)


def machines(places: Iterable[Place]) -> int:
    """On how many machines they are."""
    return len({place.machine for place in places})
