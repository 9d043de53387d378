"""Several clouds as one: who is asked, in which order, how often."""

import time
import traceback
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.plan import Plan
from offramp.errors import (
    BundleMismatchError,
    DeadlineError,
    InputError,
    LinkError,
    OfframpError,
    OverloadedError,
    UnreachableError,
)
from offramp.nodes.contract import Reply
from offramp.nodes.edge import Edge
from offramp.nodes.failover import Failover
from offramp.nodes.flight import Flight
from offramp.nodes.remote_cloud import RemoteCloud
from offramp.nodes.route import Course
from offramp.nodes.upstream import Finished
from ports import HERE, held_port

WAIT = 30.0  # seconds after which a test that hangs fails
GONE = UnreachableError("gone.")


class Cloud:
    """Answers, or fails, when it is told to; or is kept from being asked by its breaker, which is at once."""

    def __init__(self, error: OfframpError | None = None, *, refused: bool = False) -> None:
        self.error, self.refused = error, refused
        self.asked: list[tuple[float, Reply | None, str | None]] = []
        self.answer: Future[Finished] = Future()

    def check(self, course: Course, timeout: float) -> None:
        """Be there or not."""
        if self.error is not None:
            raise self.error

    def finish(self, flight: Flight, timeout: float, to: Any = None, version: Any = None) -> Future[Finished]:
        """Take note."""
        if self.refused:
            assert self.error is not None
            self.answer.set_exception(self.error)
        else:
            self.asked.append((timeout, to, version))
        return self.answer

    def tell(self) -> None:
        """Answer, or fail."""
        if self.error is None:
            self.answer.set_result(Finished(None, 7))
        else:
            self.answer.set_exception(self.error)


def flight() -> Flight:
    """Of one sample; what it holds concerns nobody here."""
    return Flight(Course(Plan.of(3, 0.0)), np.arange(1), {}, 1)


def asked(*clouds: Cloud, timeout: float = WAIT, to: Reply | None = None) -> Future[Finished]:
    """Ask them, and have each that is asked tell."""
    answer = Failover(clouds).finish(flight(), timeout, to, "v")  # type: ignore[arg-type]
    told: list[Cloud] = []
    for _ in clouds:
        for cloud in clouds:
            if cloud.asked and cloud not in told:
                told.append(cloud)
                cloud.tell()
    return answer


def test_the_first_is_asked_and_no_other() -> None:
    """As long as it answers."""
    first, second = Cloud(), Cloud()
    assert asked(first, second).result(WAIT).bytes_sent == 7
    assert ([version for _, _, version in first.asked], second.asked) == (["v"], [])


@pytest.mark.parametrize("error", [GONE, OverloadedError("full."), BundleMismatchError("another.")])
def test_what_another_may_do_better_goes_to_it_in_what_is_left_of_the_time(error: LinkError) -> None:
    """Once."""
    first, second = Cloud(error), Cloud()
    assert asked(first, second).result(WAIT).bytes_sent == 7
    assert 0 < second.asked[0][0] <= first.asked[0][0] <= WAIT


@pytest.mark.parametrize("error", [DeadlineError("late."), InputError("bad."), LinkError("nonsense.")])
def test_what_another_would_not_do_better_is_the_answer(error: OfframpError) -> None:
    """The time is over, or the request is at fault."""
    first, second = Cloud(error), Cloud()
    assert asked(first, second).exception(WAIT) is error
    assert second.asked == []


def test_a_request_is_sent_twice_at_most(bundle: Bundle) -> None:
    """Those that a breaker keeps from being asked do not count."""
    clouds = [Cloud(GONE), Cloud(GONE, refused=True), Cloud(GONE), Cloud()]
    assert asked(*clouds).exception(WAIT) is GONE
    assert [len(cloud.asked) for cloud in clouds] == [1, 0, 1, 0]
    clouds = [Cloud(GONE, refused=True), Cloud(GONE, refused=True), Cloud()]
    assert asked(*clouds).result(WAIT).bytes_sent == 7


def test_no_other_is_asked_when_the_time_is_over() -> None:
    """It would have none to answer in."""
    first, second = Cloud(GONE), Cloud()
    answer = Failover((first, second)).finish(flight(), 0.01)  # type: ignore[arg-type]
    time.sleep(0.02)
    first.tell()
    assert isinstance(answer.exception(WAIT), DeadlineError)
    assert second.asked == []


@pytest.mark.parametrize("error", [None, GONE])
def test_a_caller_that_goes_cancels_what_was_asked_last(error: LinkError | None) -> None:
    """And no other cloud is asked for it."""
    first, second, third = Cloud(error), Cloud(), Cloud()
    answer = Failover([first, second, third]).finish(flight(), WAIT)  # type: ignore[list-item]
    if error is not None:
        first.tell()
    assert answer.cancel()
    asked = first if error is None else second
    assert asked.answer.cancelled()
    assert [len(cloud.asked) for cloud in (first, second, third)] == [1, int(error is not None), 0]


def test_a_direct_reply_is_asked_of_the_first_alone() -> None:
    """The client's stream is there, and it would have two answers."""
    first, second = Cloud(GONE), Cloud()
    assert asked(first, second, to=Reply("t" * 16, "1")).exception(WAIT) is GONE
    assert second.asked == []


def test_one_that_is_there_is_enough_to_start() -> None:
    """And where none is, the error is the last one's."""
    course = Course(Plan.of(3, 0.0))
    Failover((Cloud(GONE), Cloud())).check(course, WAIT)  # type: ignore[arg-type]
    other = BundleMismatchError("another.")
    with pytest.raises(BundleMismatchError):
        Failover((Cloud(GONE), Cloud(other))).check(course, WAIT)  # type: ignore[arg-type]


def test_a_library_s_edge_takes_several_addresses(bundle: Bundle) -> None:
    """As one, with commas."""
    with held_port() as one, held_port() as other:
        edge = Edge(bundle, Plan.of(3, 0.0), f"{HERE}:{one},{HERE}:{other}", threads=1)
        assert isinstance(edge.cloud, Failover)
        image = np.zeros((2, *bundle.manifest.preprocessing.shape), np.float32)
        assert edge.infer(image).degraded.all()
        asked_of = [cloud for cloud in edge.cloud.clouds if isinstance(cloud, RemoteCloud)]
        assert [cloud.health.refusal() is None for cloud in asked_of] == [False, False]
        for _ in range(20):
            edge.infer(image)
        reason = asked_of[-1].health.refusal()
        assert reason is not None
        assert (
            len(traceback.extract_tb(reason.__traceback__)) < 10
        )  # each raising would add its frames, and what they hold
        for cloud in asked_of:
            cloud.close()
