"""What a node says of its load: once when it begins, once when it has ended, and slow requests summed up."""

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from offramp.errors import OverloadedError
from offramp.protocol.data_plane import DataPlane
from offramp.protocol.notices import Overload, Slow
from offramp.protocol.served import Call
from until import until

FULL = OverloadedError("the queue is full.")


@pytest.fixture(autouse=True)
def _heard(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "offramp")


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The log's lines."""
    return [record.getMessage() for record in caplog.records]


class Time:
    """Stands still until it is moved; what is due then is called."""

    def __init__(self) -> None:
        self.now = 100.0
        self.due: list[tuple[float, Callable[[], None]]] = []

    def __call__(self) -> float:
        """Be a clock."""
        return self.now

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Be a timer."""
        self.due.append((self.now + seconds, call))

    def move(self, seconds: float) -> None:
        """Go on."""
        self.now += seconds
        calls = [call for when, call in self.due if when <= self.now]
        self.due = [(when, call) for when, call in self.due if when > self.now]
        for call in calls:
            call()


def test_an_overload_begins_and_ends(caplog: pytest.LogCaptureFixture) -> None:
    """A line each, whatever number of requests is refused; it goes on until none was for a while."""
    time = Time()
    overload = Overload(10.0, time, time.later)
    for refused in (3, 1):
        caplog.clear()
        for _ in range(refused):
            overload.refuse(FULL)
            time.move(9.0)
        assert said(caplog) == ["overload begins: the queue is full."]
        time.move(1.0)
        assert said(caplog)[1:] == [f"overload ends: {refused} refused in {9 * (refused - 1):.1f} s"]
        time.move(100.0)
        assert (len(caplog.records), time.due) == (2, [])


def test_slow_requests_are_summed_up(caplog: pytest.LogCaptureFixture) -> None:
    """The first at once; then how many, the longest and its model, at most once in so many seconds."""
    time = Time()
    slow = Slow(1.0, 60.0, time.later)
    slow.note(1.0, "double")
    assert (said(caplog), time.due) == ([], [])
    for seconds, model in ((1.5, "double"), (2.0, "double"), (7.25, "tail-3"), (3.0, "double")):
        slow.note(seconds, model)
    time.move(59.0)
    assert said(caplog) == ["slow: 1 took more than 1 s, the longest 1.5 s (double)"]
    time.move(1.0)
    assert said(caplog)[1:] == ["slow: 3 took more than 1 s, the longest 7.2 s (tail-3)"]
    time.move(60.0)
    assert (len(caplog.records), time.due) == (2, [])
    slow.note(4.0, "double")
    assert said(caplog)[2:] == ["slow: 1 took more than 1 s, the longest 4.0 s (double)"]


def test_a_timer_of_the_node_s_own_says_the_end(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody has to ask for it."""
    Overload(calm=0.01).refuse(FULL)
    until(lambda: len(caplog.records) == 2)


def test_requests_that_are_refused_or_slow_are_noticed(double: Any, caplog: pytest.LogCaptureFixture) -> None:
    """By whatever way they came: answered or not."""
    plane = DataPlane([double], 4)
    plane.statistics.slow = Slow(bound=-1.0)
    plane.infer(double, _call())
    with pytest.raises(OverloadedError):
        plane.infer(double, _call(fail="overloaded"))
    slow, begins = said(caplog)
    assert slow.startswith("slow: 1 took more than -1 s, the longest 0.0 s (double)")
    assert begins == "overload begins: too much to do."
    assert plane.statistics.slow.count == 1


def _call(**parameters: Any) -> Call:
    return Call({"x": np.ones((1, 2), np.float32)}, parameters)
