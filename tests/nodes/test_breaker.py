"""A circuit breaker by a clock that tests move."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.errors import (
    BundleMismatchError,
    DeadlineError,
    LinkError,
    OfframpError,
    OverloadedError,
    UnreachableError,
)
from offramp.nodes.breaker import COOL, FAILURES, Breaker
from standing_clock import Clock

GONE, LATE, NONSENSE = UnreachableError("gone."), DeadlineError("late."), LinkError("nonsense.")


@pytest.fixture
def clock() -> Clock:
    """One at 100 s."""
    return Clock(100.0)


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    """One by it."""
    return Breaker(clock=clock)


def test_nobody_there_opens_it_at_once(breaker: Breaker, clock: Clock) -> None:
    """And it stays open for a while, then one may ask, and whoever comes behind waits for what comes of it."""
    assert (breaker.state, breaker.refusal()) == ("closed", None)
    breaker.failed(GONE)
    assert (breaker.state, breaker.refusal()) == ("open", GONE)
    clock.now += COOL - 0.01
    assert (breaker.state, breaker.refusal()) == ("open", GONE)
    clock.now += 0.01
    assert breaker.state == "half-open"
    assert breaker.refusal() is None
    assert breaker.refusal() is GONE


def test_half_open_is_closed_by_an_answer_and_opened_by_a_failure(breaker: Breaker, clock: Clock) -> None:
    """For a whole while again."""
    breaker.failed(GONE)
    clock.now += COOL
    assert breaker.refusal() is None
    breaker.failed(LATE)  # one is enough now
    clock.now += COOL - 0.01
    assert breaker.refusal() is GONE
    clock.now += 0.01
    assert breaker.refusal() is None
    breaker.answered()
    assert (breaker.state, breaker.refusal()) == ("closed", None)


def test_one_who_asked_and_was_not_heard_of_keeps_nobody_out_for_good(breaker: Breaker, clock: Clock) -> None:
    """Its caller may have gone."""
    breaker.failed(GONE)
    clock.now += COOL
    assert breaker.refusal() is None
    clock.now += COOL
    assert breaker.refusal() is None


@pytest.mark.parametrize("error", [LATE, NONSENSE])
def test_late_and_nonsense_open_it_after_some_in_a_row(breaker: Breaker, error: OfframpError) -> None:
    """A row that an answer ends."""
    for _ in range(FAILURES - 1):
        breaker.failed(error)
    assert breaker.state == "closed"
    breaker.answered()
    for _ in range(FAILURES - 1):
        breaker.failed(error)
    assert breaker.state == "closed"
    breaker.failed(error)
    assert (breaker.state, breaker.refusal()) == ("open", error)


@pytest.mark.parametrize("error", [OverloadedError("full."), BundleMismatchError("another.")])
def test_a_node_that_is_there_and_refuses_does_not_open_it(breaker: Breaker, error: OfframpError) -> None:
    """It has more to do than it takes on, or the request was for what it does not have."""
    for _ in range(10 * FAILURES):
        breaker.failed(error)
    assert breaker.state == "closed"


def test_who_knows_better_opens_it(breaker: Breaker) -> None:
    """As what asks about the bundle does."""
    other = BundleMismatchError("another.")
    breaker.open(other)
    assert breaker.refusal() is other


EVENTS = st.sampled_from(("gone", "late", "answered", "ask", "wait"))


@given(st.lists(EVENTS, max_size=40))
def test_it_never_lets_two_ask_within_a_while_when_it_is_not_closed(events: list[str]) -> None:
    """Whatever happens in whatever order; and from any state, a while and an answer close it."""
    clock = Clock(100.0)
    breaker, asked = Breaker(clock=clock), -1e9
    for event in events:
        if event == "gone":
            breaker.failed(GONE)
        elif event == "late":
            breaker.failed(LATE)
        elif event == "answered":
            breaker.answered()
            asked = -1e9
        elif event == "wait":
            clock.now += COOL / 3
        elif breaker.state != "closed" and breaker.refusal() is None:
            assert clock.now - asked >= COOL
            asked = clock.now
    clock.now += COOL
    assert breaker.refusal() is None
    breaker.answered()
    assert breaker.state == "closed"
