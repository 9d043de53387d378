"""Calls at points in time, by each timer and on each loop."""

import asyncio
import ctypes
import math
import time
from collections.abc import Callable
from typing import Any

import pytest
import uvloop

from manual_time import ManualTime
from offramp.link.schedule import DescriptorTimer, LoopTimer, Schedule

WAIT = 30.0


def remaining(timer: Any) -> float:
    """Seconds until it rings."""
    if isinstance(timer, DescriptorTimer):
        value = (ctypes.c_long * 4)()
        assert timer.libc.timerfd_gettime(timer.descriptor, value) == 0
        return float(value[2] + value[3] / 1e9)
    assert timer.handle is not None
    return float(timer.handle.when() - timer.loop.time())


def run(loop: str, main: Any) -> Any:
    """Run a coroutine on a kind of loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if loop == "uvloop" else None) as runner:
        return runner.run(asyncio.wait_for(main, WAIT))


@pytest.fixture(params=[DescriptorTimer, LoopTimer])
def timer(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Each timer."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(params=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> str:
    """Each loop."""
    return str(request.param)


def test_nothing_is_called_before_its_time_and_all_in_their_order(timer: Callable[..., Any], loop: str) -> None:
    """At times that lie closer together than a millisecond, and out of order as they are handed in."""

    async def main() -> list[tuple[float, float, int]]:
        called: list[tuple[float, float, int]] = []
        schedule, done = Schedule(asyncio.get_running_loop(), timer), asyncio.Event()
        start = time.monotonic()
        for number in range(200):
            when = start + (number * 37 % 200) * 0.0003
            schedule.at(when, lambda when, number: called.append((time.monotonic(), when, number)), when, number)
        schedule.at(start + 0.061, done.set)
        await done.wait()
        schedule.close()
        return called

    called = run(loop, main())
    assert len(called) == 200
    assert all(at >= when for at, when, _ in called)
    assert [when for _, when, _ in called] == sorted(when for _, when, _ in called)


def test_the_same_time_keeps_the_order_and_the_past_is_called_soon(timer: Callable[..., Any], loop: str) -> None:
    """But not before the call that schedules it returns, and not at the cost of others."""

    async def main() -> list[str]:
        called: list[str] = []
        schedule, done = Schedule(asyncio.get_running_loop(), timer), asyncio.Event()

        def again(left: int) -> None:
            called.append(f"again {left}")
            if left:
                schedule.at(0.0, again, left - 1)
                called.append("returned")
            else:
                done.set()

        schedule.at(0.0, called.append, "first")
        schedule.at(0.0, called.append, "second")
        schedule.at(0.0, again, 1)
        assert called == []
        await done.wait()
        schedule.close()
        return called

    assert run(loop, main()) == ["first", "second", "again 1", "returned", "again 0"]


def test_an_earlier_call_is_not_held_up_by_a_later_one(timer: Callable[..., Any], loop: str) -> None:
    """The timer is set anew."""

    async def main() -> None:
        called: list[str] = []
        schedule, done = Schedule(asyncio.get_running_loop(), timer), asyncio.Event()
        schedule.at(time.monotonic() + 1000, called.append, "later")
        when = time.monotonic() + 0.01
        schedule.at(when, lambda: (called.append("earlier"), done.set()))
        await done.wait()
        assert time.monotonic() >= when
        await asyncio.sleep(0.01)
        schedule.close()
        assert called == ["earlier"]

    run(loop, main())


def test_a_timer_is_set_for_its_time_and_not_for_later(timer: Callable[..., Any], loop: str) -> None:
    """What is left until it rings: to the nanosecond by the descriptor, to the loop's millisecond by the loop."""

    async def main() -> None:
        one = timer(asyncio.get_running_loop(), lambda: None)
        for seconds in (0.0015, 3.25, 1000.0):
            before = time.monotonic()
            one.arm(before + seconds)
            left = remaining(one)
            passed = time.monotonic() - before
            assert seconds - passed - 0.001 <= left <= seconds + 0.0011
        one.close()

    run(loop, main())


def test_calls_are_made_at_their_times_by_the_clock_it_is_given() -> None:
    """Woken once for each time, and for no other."""
    time_, called = ManualTime(now=5.0), list[tuple[float, str]]()
    schedule = time_.schedule()
    for when, name in ((8.0, "third"), (6.5, "second"), (5.25, "first"), (8.0, "with it")):
        schedule.at(when, lambda name: called.append((time_.now, name)), name)
    assert [time_.move() for _ in range(3)] == [5.25, 6.5, 8.0]
    assert called == [(5.25, "first"), (6.5, "second"), (8.0, "third"), (8.0, "with it")]
    assert time_.armed == math.inf


def test_a_call_whose_time_has_come_waits_for_the_loop_only() -> None:
    """Not for a timer."""
    time_, called = ManualTime(now=5.0), list[str]()
    time_.schedule().at(5.0, called.append, "now")
    assert (len(time_.soon), time_.armed, called) == (1, math.inf, [])
    time_.move()
    assert called == ["now"]


def test_a_call_that_fails_does_not_stop_the_others(timer: Callable[..., Any]) -> None:
    """The loop is told of it, as of any callback's failure."""

    async def main() -> list[str]:
        failed: list[str] = []
        running = asyncio.get_running_loop()
        running.set_exception_handler(lambda _, context: failed.append(repr(context["exception"])))
        schedule, done = Schedule(running, timer), asyncio.Event()
        schedule.at(0.0, lambda: 1 // 0)
        schedule.at(0.0, done.set)
        await done.wait()
        schedule.close()
        return failed

    assert run("asyncio", main()) == ["ZeroDivisionError('integer division or modulo by zero')"]


def test_closed_it_calls_nothing(timer: Callable[..., Any], loop: str) -> None:
    """Neither what was left nor what comes."""

    async def main() -> list[str]:
        called: list[str] = []
        schedule = Schedule(asyncio.get_running_loop(), timer)
        schedule.at(time.monotonic() + 0.005, called.append, "left")
        schedule.close()
        schedule.at(0.0, called.append, "comes")
        await asyncio.sleep(0.02)
        return called

    assert run(loop, main()) == []
