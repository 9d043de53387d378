"""Replicas as one: who is asked, what is asked again of another, and what nobody hears twice."""

from concurrent.futures import Future
from typing import Any

import pytest

from offramp.errors import (
    DeadlineError,
    InputError,
    LinkError,
    OfframpError,
    OverloadedError,
    UnknownModelError,
    UnreachableError,
)
from offramp.nodes.ray.balance import MISSED, Balance, Place
from offramp.protocol.served import Result

WAIT = 30.0  # seconds after which a test that hangs fails
ANSWER = Result({})
GONE = UnreachableError("gone.")


class Peer:
    """A replica that answers when it is told to."""

    def __init__(self) -> None:
        self.sent: list[tuple[Any, float, Future[Result]]] = []
        self.looks: list[Future[None]] = []
        self.closed = False

    def begin(self, request: Any, timeout: float, _trace: str) -> "Future[Result]":
        """Take note."""
        if self.closed:
            raise ValueError("closed")
        self.sent.append((request, timeout, Future()))
        return self.sent[-1][2]

    def look(self, _timeout: float) -> "Future[None]":
        """Take note."""
        self.looks.append(Future())
        return self.looks[-1]

    def close(self) -> None:
        """No more."""
        self.closed = True

    def answer(self, by: Result | OfframpError = ANSWER) -> None:
        """What was asked first."""
        _, _, answer = self.sent.pop(0)
        if answer.set_running_or_notify_cancel():
            if isinstance(by, Result):
                answer.set_result(by)
            else:
                answer.set_exception(by)

    def say(self, error: OfframpError | None = None) -> None:
        """That it is there, or not."""
        look = self.looks.pop()
        if error is None:
            look.set_result(None)
        else:
            look.set_exception(error)


PLACES = [Place("a:1", "one"), Place("a:2", "one"), Place("b:1", "other")]


def over(*places: Place, room: int = 8) -> tuple[Balance, dict[str, Peer]]:
    """Those replicas, and what stands for each."""
    peers: dict[str, Peer] = {}
    balance = Balance(lambda address: peers.setdefault(address, Peer()), room)  # type: ignore[arg-type,return-value]
    balance.update(places)
    return balance, peers


def test_the_one_with_the_fewest_in_flight_is_asked_and_equals_take_turns() -> None:
    """Whoever comes one at a time goes around too."""
    balance, peers = over(*PLACES)
    for _ in range(6):
        balance.begin("asked", WAIT)
    assert [len(peer.sent) for peer in peers.values()] == [2, 2, 2]
    peers["a:2"].answer()
    peers["a:2"].answer()
    for _ in range(2):
        balance.begin("asked", WAIT)
    assert [len(peer.sent) for peer in peers.values()] == [2, 2, 2]
    one = balance.begin("alone", WAIT)
    asked = [peer for peer in peers.values() if len(peer.sent) == 3]
    assert len(asked) == 1
    for _ in range(3):
        asked[0].answer()
    assert one.result(WAIT) is ANSWER


@pytest.mark.parametrize("error", [GONE, OverloadedError("full."), UnknownModelError("it is new.")])
def test_what_another_may_do_better_goes_to_one_of_another_machine_once(error: OfframpError) -> None:
    """A machine that dies takes all of its replicas; what is left of the time is the second's."""
    balance, peers = over(*PLACES)
    answer = balance.begin("asked", WAIT)  # of a:1, the first
    first_timeout = peers["a:1"].sent[0][1]
    peers["a:1"].answer(error)
    assert [len(peer.sent) for peer in peers.values()] == [0, 0, 1]
    assert 0 < peers["b:1"].sent[0][1] <= first_timeout
    peers["b:1"].answer(error)
    assert answer.exception(WAIT) is error
    assert [len(peer.sent) for peer in peers.values()] == [0, 0, 0]
    assert balance.again == 1


@pytest.mark.parametrize("error", [DeadlineError("late."), InputError("bad."), LinkError("nonsense.")])
def test_what_another_would_not_do_better_is_the_answer(error: OfframpError) -> None:
    """The time is over, or the request is at fault."""
    balance, peers = over(*PLACES)
    answer = balance.begin("asked", WAIT)
    peers["a:1"].answer(error)
    assert answer.exception(WAIT) is error
    assert balance.again == 0


def test_one_that_is_gone_is_asked_nothing_until_it_says_that_it_is_there() -> None:
    """And who waits for readiness hears of the last and of the first."""
    balance, peers = over(*PLACES[1:])
    told: list[str | None] = []
    balance.told = lambda: told.append(balance.why_not())
    for name in ("a:2", "b:1"):
        answer = balance.begin("asked", WAIT)
        peers[name].answer(GONE)
        if name == "a:2":
            peers["b:1"].answer()
            assert answer.result(WAIT) is ANSWER
        else:
            assert answer.exception(WAIT) is GONE
    assert [len(told), len(balance)] == [1, 0]
    assert "no replica" in str(told[0])
    assert isinstance(balance.begin("asked", WAIT).exception(WAIT), UnreachableError)
    balance.look()
    peers["a:2"].say()
    peers["b:1"].say(GONE)
    assert [place.address for place in balance.places] == ["a:2"]
    assert told[1:] == [None]
    balance.begin("asked", WAIT)
    assert len(peers["a:2"].sent) == 1


def test_a_silent_one_is_given_up_and_what_it_answers_later_is_heard_by_nobody() -> None:
    """As one whose network has died without a word."""
    balance, peers = over(*PLACES[1:])
    answer = balance.begin("asked", WAIT)
    for _ in range(MISSED):
        assert not peers["b:1"].sent
        balance.look()
        peers["a:2"].say(DeadlineError("nothing came."))
        peers["b:1"].say()
    assert len(peers["b:1"].sent) == 1
    late, right = Result({}), Result({})
    assert peers["a:2"].sent[0][2].cancelled()  # it is told, should it hear
    peers["a:2"].answer(late)
    peers["b:1"].answer(right)
    assert answer.result(WAIT) is right


def test_one_that_is_taken_away_ends_what_it_has_and_is_asked_nothing_more() -> None:
    """As where it is scaled down: its calls are finished there."""
    balance, peers = over(*PLACES[1:])
    answer = balance.begin("asked", WAIT)
    balance.update(PLACES[2:])
    balance.begin("asked", WAIT)
    assert [len(peers["a:2"].sent), len(peers["b:1"].sent), peers["a:2"].closed] == [1, 1, False]
    peers["a:2"].answer()
    assert answer.result(WAIT) is ANSWER
    balance.update([])
    assert isinstance(balance.begin("asked", WAIT).exception(WAIT), UnreachableError)


def test_who_goes_has_its_replica_told() -> None:
    """And it counts no more as in flight."""
    balance, peers = over(PLACES[0], room=1)
    answer = balance.begin("asked", WAIT)
    assert "1 requests are with 1 replicas" in str(balance.full())
    answer.cancel()
    assert peers["a:1"].sent[0][2].cancelled()
    assert balance.full() is None


def test_no_other_is_asked_when_the_time_is_over() -> None:
    """It would have none to answer in; what went wrong first is said."""
    balance, peers = over(*PLACES)
    answer = balance.begin("asked", 0.0)
    assert isinstance(answer.exception(WAIT), DeadlineError)
    assert not any(peer.sent for peer in peers.values())
    peers["a:1"].close()  # its connection, just now
    second = balance.begin("asked", WAIT)
    assert len(peers["b:1"].sent) == 1
    peers["b:1"].answer()
    assert second.result(WAIT) is ANSWER
