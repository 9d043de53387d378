"""The work of a call: its steps on a pool, what it waits for off it, and its end when nobody wants the rest."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from offramp.protocol.work import Steps, Work

WAIT = 30.0  # seconds after which a test that hangs fails


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """One thread: what waits on it keeps all others from it."""
    with ThreadPoolExecutor(1, thread_name_prefix="call") as pool:
        yield pool


def results(pool: ThreadPoolExecutor, steps: Any) -> list[Any]:
    """All of them."""

    async def collect() -> list[Any]:
        work = Work(pool, steps)
        found = []
        while (result := await work.result()) is not None:
            found.append(result)
        return found

    return asyncio.run(asyncio.wait_for(collect(), WAIT))


def test_results_come_in_order_from_the_pool(pool: ThreadPoolExecutor) -> None:
    """Each step on a thread of it, and None after the last."""

    def steps(_: threading.Event) -> Steps[tuple[int, str]]:
        for number in range(3):
            yield number, threading.current_thread().name

    assert results(pool, steps) == [(0, "call_0"), (1, "call_0"), (2, "call_0")]


def test_a_future_is_done_when_the_steps_go_on(pool: ThreadPoolExecutor) -> None:
    """Whether it was before, is meanwhile, or fails: what it holds is for the steps to take."""
    before, meanwhile, failed = Future[int](), Future[int](), Future[int]()
    before.set_result(1)

    def steps(_: threading.Event) -> Steps[Any]:
        yield before
        threading.Timer(0.05, meanwhile.set_result, [2]).start()
        yield meanwhile
        failed.set_exception(ValueError("no"))
        yield failed
        yield before.done(), meanwhile.result(0), str(failed.exception(0))

    assert results(pool, steps) == [(True, 2, "no")]


def test_who_waits_leaves_the_pool_to_others(pool: ThreadPoolExecutor) -> None:
    """Twenty wait on one thread; all have their own once it comes."""
    answers, asked = [Future[int]() for _ in range(20)], list[int]()

    def steps(number: int, _: threading.Event) -> Steps[int]:
        asked.append(number)
        yield answers[number]
        yield answers[number].result(0)

    async def all_of_them() -> list[int | None]:
        works = [asyncio.create_task(Work(pool, steps, number).result()) for number in range(20)]
        while len(asked) < 20:
            await asyncio.sleep(0.001)
        for _ in range(2):  # the first is in the queue before the loop has heard of all steps
            assert await asyncio.wrap_future(pool.submit(lambda: "free")) == "free"
        for number in reversed(range(20)):
            answers[number].set_result(number)
        return list(await asyncio.gather(*works))

    try:
        assert asyncio.run(asyncio.wait_for(all_of_them(), WAIT)) == list(range(20))
    finally:  # a pool whose thread waits would never end
        for answer in answers:
            answer.cancel()


def test_an_error_of_the_steps_is_raised(pool: ThreadPoolExecutor) -> None:
    """As it is."""

    def steps(_: threading.Event) -> Steps[int]:
        yield 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        results(pool, steps)


def test_steps_are_closed_when_nobody_wants_the_rest(pool: ThreadPoolExecutor) -> None:
    """After the step that runs, which is told, and not in the middle of it."""
    entered, closed = threading.Event(), threading.Event()
    seen: list[str] = []

    def steps(gone: threading.Event) -> Steps[int]:
        try:
            entered.set()
            assert gone.wait(WAIT)
            seen.append("told")
            yield 1
            seen.append("went on")
        finally:
            seen.append("closed")
            closed.set()

    async def leave() -> Work[int]:
        work = Work(pool, steps)
        asking = asyncio.create_task(work.result())
        await asyncio.to_thread(entered.wait, WAIT)
        asking.cancel()
        work.close()
        return work

    kept = asyncio.run(asyncio.wait_for(leave(), WAIT))  # closed, not forgotten
    assert closed.wait(WAIT)
    assert kept.gone.is_set()
    assert seen == ["told", "closed"]


def test_steps_that_wait_for_an_answer_are_closed_before_it_comes(pool: ThreadPoolExecutor) -> None:
    """Nobody has to be there to take it."""
    answer, closed = Future[int](), threading.Event()

    def steps(_: threading.Event) -> Steps[int]:
        try:
            yield answer
        finally:
            closed.set()

    async def leave() -> Work[int]:
        work = Work(pool, steps)
        asking = asyncio.create_task(work.result())
        while work.step is None or not work.step.done():
            await asyncio.sleep(0.001)
        asking.cancel()
        work.close()
        return work

    kept = asyncio.run(asyncio.wait_for(leave(), WAIT))  # closed, not forgotten
    assert closed.wait(WAIT)
    assert kept.gone.is_set()
    answer.set_result(1)  # after the loop has ended


def test_a_step_that_nobody_has_begun_is_not(pool: ThreadPoolExecutor) -> None:
    """Who has gone from the queue costs nothing."""
    opened, begun = threading.Event(), threading.Event()
    busy = pool.submit(opened.wait, WAIT)

    def steps(_: threading.Event) -> Steps[int]:
        begun.set()
        yield 1

    async def leave() -> None:
        work = Work(pool, steps)
        asking = asyncio.create_task(work.result())
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        work.close()

    asyncio.run(asyncio.wait_for(leave(), WAIT))
    opened.set()
    assert busy.result(WAIT)
    pool.submit(lambda: None).result(WAIT)
    assert not begun.is_set()
