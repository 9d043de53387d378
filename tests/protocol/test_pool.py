"""Threads that never wait: what waits on them is set aside, goes on once it is woken, and is given up at the end."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from offramp.protocol.gone import Gone, GoneError
from offramp.protocol.pool import Pool, wait
from until import until

WAIT = 10.0  # seconds after which a test that hangs fails


@pytest.fixture
def pool() -> Iterator[Pool]:
    """One thread: what held it would keep all others from it."""
    pool = Pool(1, "one")
    yield pool
    pool.shutdown(wait=False)  # a thread that is held after all does not hold the tests


def asked(answer: "Future[Any]", gone: Gone | None = None) -> Any:
    """Wait for an answer, and give it with the thread that had it."""
    wait(answer, gone or Gone())
    return answer.result(0), threading.current_thread().name


def test_work_is_run_on_its_threads(pool: Pool) -> None:
    """In order; what it raises is the future's."""
    names = [pool.submit(lambda: threading.current_thread().name) for _ in range(3)]
    assert [name.result(WAIT) for name in names] == ["one_0"] * 3
    with pytest.raises(ZeroDivisionError):
        pool.submit(lambda: 1 / 0).result(WAIT)


def test_no_more_threads_are_started_than_are_needed(pool: Pool) -> None:
    """A free one is asked first; beyond the size work waits for its turn."""
    wide = Pool(3, "wide")
    for _ in range(5):
        wide.submit(lambda: None).result(WAIT)
        until_idle(wide)
    assert len(wide.workers) == 1
    opened, begun = threading.Event(), threading.Semaphore(0)
    held = [wide.submit(lambda: (begun.release(), opened.wait(WAIT))[1]) for _ in range(5)]
    for _ in range(3):
        assert begun.acquire(timeout=WAIT)
    assert not begun.acquire(blocking=False)
    opened.set()
    assert all(one.result(WAIT) for one in held)
    assert len(wide.workers) == 3
    wide.shutdown()


def test_what_is_put_back_comes_next(pool: Pool) -> None:
    """Before what has waited since, and by a pool that is shut down as well."""
    order: list[str] = []
    begun, opened = threading.Event(), threading.Event()

    def several() -> None:
        begun.set()
        opened.wait(WAIT)
        pool.put_back([lambda: order.append("second"), lambda: order.append("third")])
        order.append("first")

    pool.begin(several)
    assert begun.wait(WAIT)
    last = pool.submit(lambda: order.append("fourth"))
    pool.shutdown(wait=False)
    opened.set()
    last.result(WAIT)
    assert order == ["first", "second", "third", "fourth"]


def until_idle(pool: Pool) -> None:
    """Wait until a thread of it is free."""
    pause = threading.Event()
    for _ in range(int(WAIT * 1000)):
        if pool.idle:
            return
        pause.wait(0.001)
    raise AssertionError("no thread became free")


def test_what_waits_leaves_its_thread_to_others(pool: Pool) -> None:
    """A hundred wait on one thread, others are run meanwhile, and all have their own answer, however it comes."""
    answers = [Future[int]() for _ in range(100)]
    waiting = [pool.submit(asked, answer) for answer in answers]
    assert pool.submit(lambda: "free").result(WAIT) == "free"
    assert not any(one.done() for one in waiting)
    for number in reversed(range(100)):
        answers[number].set_result(number)
    assert [one.result(WAIT) for one in waiting] == [(number, "one_0") for number in range(100)]
    assert pool.parked == {}


def test_what_holds_its_thread_takes_none_that_another_waits_on() -> None:
    """It has one to itself, and the other goes on; once it has, its thread is free."""
    wide, answer, opened = Pool(2, "wide", alone=True), Future[int](), threading.Event()
    try:
        waiting = wide.submit(asked, answer)
        until(lambda: len(wide.parked) == 1)
        held = wide.submit(lambda: (opened.wait(WAIT), threading.current_thread().name)[1])
        answer.set_result(1)
        assert waiting.result(WAIT) == (1, "wide_0")
        until_idle(wide)
        opened.set()
        assert held.result(WAIT) == "wide_1"
    finally:
        opened.set()
        wide.shutdown()


def test_an_answer_that_is_there_is_not_waited_for(pool: Pool) -> None:
    """Nor is an error: what it holds is for who waited to take."""
    there, failed = Future[int](), Future[int]()
    there.set_result(1)
    failed.set_exception(ValueError("no"))
    assert pool.submit(asked, there).result(WAIT) == (1, "one_0")
    with pytest.raises(ValueError, match="no"):
        pool.submit(asked, failed).result(WAIT)


def test_work_may_wait_more_than_once(pool: Pool) -> None:
    """Two at a time, in turns."""
    steps: list[tuple[str, int]] = []
    answers = {(name, turn): Future[int]() for name in "ab" for turn in range(3)}

    def turns(name: str) -> None:
        for turn in range(3):
            wait(answers[name, turn], Gone())
            steps.append((name, turn))

    both = [pool.submit(turns, name) for name in "ab"]
    order = [("b", 0), ("a", 0), ("a", 1), ("b", 1), ("b", 2), ("a", 2)]
    for place in order:
        answers[place].set_result(0)
        pool.submit(lambda: None).result(WAIT)
    for one in both:
        one.result(WAIT)
    assert steps == order


def test_who_waits_is_woken_when_its_caller_goes(pool: Pool) -> None:
    """With an error of its own, and the answer is cancelled; one that had gone before does not wait at all."""
    answer, gone = Future[int](), Gone()
    waiting = pool.submit(asked, answer, gone)
    pool.submit(lambda: None).result(WAIT)
    assert not waiting.done()
    gone.set()
    for one in (waiting, pool.submit(asked, Future[int](), gone)):
        with pytest.raises(GoneError):
            one.result(WAIT)
    assert answer.cancelled()
    assert pool.submit(lambda: "free").result(WAIT) == "free"


def test_a_pool_that_is_shut_down_gives_up_what_waits(pool: Pool) -> None:
    """And what would wait; it finishes the rest, takes nothing more, and its threads end."""
    opened = threading.Event()

    def waits_again() -> None:
        with pytest.raises(GoneError):
            wait(Future(), Gone())
        wait(Future(), Gone())

    waiting = [pool.submit(asked, Future()), pool.submit(waits_again)]
    running = pool.submit(opened.wait, WAIT)
    queued = pool.submit(lambda: "done")
    ending = threading.Thread(target=pool.shutdown, daemon=True)
    ending.start()
    opened.set()
    ending.join(WAIT)
    assert not ending.is_alive()
    for one in waiting:
        with pytest.raises(GoneError):
            one.result(0)
    assert running.result(0)
    assert queued.result(0) == "done"
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(lambda: None)


def test_what_waits_elsewhere_holds_its_thread() -> None:
    """A program of its own, which runs on no pool, may wait all the same."""
    answer: Future[int] = Future()
    threading.Timer(0.05, answer.set_result, [1]).start()
    assert asked(answer)[0] == 1
    gone = Gone()
    threading.Timer(0.05, gone.set).start()
    with pytest.raises(GoneError):
        asked(Future(), gone)


def test_work_whose_caller_went_from_the_queue_is_not_begun(pool: Pool) -> None:
    """It costs nothing."""
    opened, begun = threading.Event(), threading.Event()
    busy = pool.submit(opened.wait, WAIT)
    queued = pool.submit(begun.set)
    assert queued.cancel()
    opened.set()
    assert busy.result(WAIT)
    pool.submit(lambda: None).result(WAIT)
    assert not begun.is_set()


def test_many_answers_from_many_threads(pool: Pool) -> None:
    """Four threads, a thousand waits that others end: each its own, and every thread is free in the end."""
    wide, helpers = Pool(4, "wide"), Pool(4, "helper")

    def work(number: int) -> int:
        answer = helpers.submit(lambda: number)
        wait(answer, Gone())
        return answer.result(0)

    found = [wide.submit(work, number) for number in range(1000)]
    assert [one.result(WAIT) for one in found] == list(range(1000))
    assert wide.parked == {}
    wide.shutdown()
    helpers.shutdown()


def test_a_thread_that_goes_on_is_not_free() -> None:
    """New work gets another, and does not stand behind what was woken."""
    wide = Pool(2, "wide")
    answer, going, opened = Future[int](), threading.Event(), threading.Event()

    def waits_and_works() -> None:
        wait(answer, Gone())
        going.set()
        opened.wait(WAIT)

    first = wide.submit(waits_and_works)
    until_idle(wide)
    answer.set_result(1)
    assert going.wait(WAIT)
    try:
        assert wide.submit(lambda: "free").result(WAIT / 2) == "free"
    finally:
        opened.set()
    first.result(WAIT)
    wide.shutdown()


def test_a_pool_knows_how_long_work_waits(pool: Pool) -> None:
    """It is told apart from what finds a thread at once, and from the pause between two crowds."""
    pause = threading.Event()
    assert pool.crowded(0.0) is None
    for one in [pool.submit(pause.wait, 0.02) for _ in range(20)]:
        one.result(WAIT)
    assert pool.pace > 0.01
    pool.pace, pool.left, opened = 0.0, pool.left - 1e6, threading.Event()
    held = [pool.submit(opened.wait, WAIT), pool.submit(lambda: None)]
    opened.set()
    assert [one.exception(WAIT) for one in held] == [None, None]
    assert 0 < pool.pace < WAIT
    opened.clear()
    held = [pool.submit(opened.wait, WAIT), pool.submit(lambda: None)]
    pool.pace = 3.0
    assert pool.crowded(9.0) is None
    assert str(pool.crowded(7.0)).startswith("overloaded: 1 calls wait for this node, for about 6 s, and this one has")
    opened.set()
    assert [one.exception(WAIT) for one in held] == [None, None]
