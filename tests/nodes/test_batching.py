"""Batches across callers: who is run with whom, who gets what, and who is turned away."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.errors import DeadlineError, InputError, OverloadedError, UnreachableError
from offramp.nodes.batching import Batcher, Limits
from offramp.protocol.gone import Gone, GoneError
from offramp.protocol.record import Record
from offramp.protocol.served import Array
from until import until

WAIT = 30.0  # seconds after which a test that hangs fails


class Gate:
    """A function that answers when it is let to, and remembers what it was given."""

    def __init__(self) -> None:
        self.entered, self.opened = threading.Semaphore(0), threading.Event()
        self.batches: list[Array] = []

    def __call__(self, batch: Array) -> Array:
        self.batches.append(batch)
        self.entered.release()
        assert self.opened.wait(WAIT)
        return double(batch)

    @property
    def sizes(self) -> list[int]:
        """Samples of each batch, in order."""
        return [len(batch) for batch in self.batches]


def double(batch: Array) -> Array:
    """A network."""
    return batch * 2


def rows(count: int, first: int = 0) -> Array:
    """A batch whose rows differ from each other and from other batches'."""
    return np.arange(first, first + count, dtype=np.float64)[:, None]


@contextmanager
def batching(**limits: float) -> Iterator[Batcher]:
    """A batcher, closed at the end."""
    batcher = Batcher(Limits(**limits))  # type: ignore[arg-type]
    try:
        yield batcher
    finally:
        batcher.close()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Callers."""
    with ThreadPoolExecutor(64) as callers:
        yield callers


@contextmanager
def busy(batcher: Batcher, pool: ThreadPoolExecutor, gate: Gate) -> Iterator["Future[Array]"]:
    """Keep the one runner busy until the end of the block: what is asked meanwhile waits."""
    first = pool.submit(batcher.run, gate, rows(1))
    assert gate.entered.acquire(timeout=WAIT)
    try:
        yield first
    finally:
        gate.opened.set()


def ask(batcher: Batcher, pool: ThreadPoolExecutor, function: Callable[..., Array], *batch: Array) -> "Future[Array]":
    """Ask from another thread, and wait until the batch waits for its turn."""
    expected = batcher.waiting + len(batch[0])
    asked = pool.submit(batcher.run, function, *batch)
    until(lambda: batcher.waiting == expected)
    return asked


def test_a_lone_caller_is_answered_on_its_own_thread() -> None:
    """Nothing is handed over, so nothing is waited for, however long the wait for company may be."""
    threads = []

    def where(batch: Array) -> Array:
        threads.append(threading.current_thread())
        return batch

    with batching(wait=1.0) as batcher:
        batcher.run(where, rows(1))
        batcher.run(where, rows(3))
    assert threads == [threading.current_thread()] * 2


def test_what_waits_together_is_run_together_and_each_gets_its_own_rows(pool: ThreadPoolExecutor) -> None:
    """Six requests, two runs: the one that came first, and all that waited for it."""
    gate = Gate()
    with batching() as batcher:
        with busy(batcher, pool, gate) as first:
            asked = [ask(batcher, pool, gate, rows(size, 100 * size)) for size in (1, 2, 3, 4, 5)]
        for size, answer in enumerate(asked, 1):
            np.testing.assert_array_equal(answer.result(WAIT), double(rows(size, 100 * size)))
        np.testing.assert_array_equal(first.result(WAIT), double(rows(1)))
    assert gate.sizes == [1, 15]


def test_a_batch_is_noted_with_the_first_of_its_requests(pool: ThreadPoolExecutor) -> None:
    """Of how many samples it was. One that is run at once says nothing; one whose batch failed ran alone after all."""
    gate, records = Gate(), [Record() for _ in range(5)]

    def fails_together(batch: Array) -> Array:
        if len(batch) > 1:
            raise ZeroDivisionError
        return batch

    with batching() as batcher, pool:
        with busy(batcher, pool, gate):
            for function, record in zip([gate, gate, gate, fails_together, fails_together], records, strict=True):
                expected = batcher.waiting + 1
                pool.submit(batcher.run, function, rows(1), record=record)
                until(lambda expected=expected: batcher.waiting == expected)
        pool.shutdown()
    assert [record.batch for record in records] == [3, 0, 0, 1, 1]
    alone = Record()
    with batching() as batcher:
        batcher.run(double, rows(4), record=alone)
    assert alone.batch is None


def test_of_several_tensors_each_is_run_together_with_its_like(pool: ThreadPoolExecutor) -> None:
    """A row's answer is of its own rows in both."""
    sizes: list[tuple[int, ...]] = []

    def both(one: Array, other: Array) -> Array:
        sizes.append((len(one), len(other)))
        return 1000 * one + other

    with batching() as batcher:
        with busy(batcher, pool, Gate()):
            asked = [ask(batcher, pool, both, rows(size, 10 * size), rows(size, 7 * size)) for size in (1, 2, 3)]
        for size, answer in enumerate(asked, 1):
            expected = 1000 * rows(size, 10 * size) + rows(size, 7 * size)
            np.testing.assert_array_equal(answer.result(WAIT), expected)
    assert sizes == [(6, 6)]


def test_a_batch_holds_no_more_than_the_maximum_and_keeps_the_order(pool: ThreadPoolExecutor) -> None:
    """Who does not fit comes first in the next one."""
    gate = Gate()
    with batching(batch=4) as batcher:
        with busy(batcher, pool, gate):
            asked = [ask(batcher, pool, gate, rows(size)) for size in (2, 2, 3, 2, 1, 1)]
        for answer in asked:
            answer.result(WAIT)
    assert gate.sizes == [1, 4, 3, 4]


def test_a_request_larger_than_the_maximum_is_run_alone(pool: ThreadPoolExecutor) -> None:
    """It is neither cut nor refused."""
    gate = Gate()
    with batching(batch=4) as batcher:
        with busy(batcher, pool, gate):
            asked = [ask(batcher, pool, gate, rows(size)) for size in (1, 9, 1)]
        assert [len(answer.result(WAIT)) for answer in asked] == [1, 9, 1]
    assert gate.sizes == [1, 1, 9, 1]


def test_a_batch_size_of_one_runs_each_request_alone(pool: ThreadPoolExecutor) -> None:
    """Batching can be turned off."""
    gate = Gate()
    with batching(batch=1) as batcher:
        with busy(batcher, pool, gate):
            asked = [ask(batcher, pool, gate, rows(1)) for _ in range(3)]
        for answer in asked:
            answer.result(WAIT)
    assert gate.sizes == [1, 1, 1, 1]


def test_requests_of_different_functions_are_not_mixed_and_the_oldest_is_first(pool: ThreadPoolExecutor) -> None:
    """Tails share the runners, not the batches."""
    gate, other = Gate(), Gate()
    other.opened.set()
    with batching() as batcher:
        with busy(batcher, pool, gate):
            asked = [ask(batcher, pool, function, rows(1)) for function in (other, gate, other, gate)]
            assert other.sizes == []
        for answer in asked:
            answer.result(WAIT)
    assert (gate.sizes, other.sizes) == ([1, 2], [2])


def test_a_free_runner_waits_for_company_until_the_batch_is_full(pool: ThreadPoolExecutor) -> None:
    """With a maximum wait, what came while the runner was busy is joined by what comes after."""
    gate = Gate()
    with batching(batch=3, wait=1.0) as batcher:
        with busy(batcher, pool, gate):
            asked = [ask(batcher, pool, gate, rows(1, 1))]
        asked += [pool.submit(batcher.run, gate, rows(1, first)) for first in (2, 3)]
        for first, answer in enumerate(asked, 1):
            np.testing.assert_array_equal(answer.result(WAIT), double(rows(1, first)))
    assert sum(gate.sizes) == 4


def test_the_wait_for_company_ends(pool: ThreadPoolExecutor) -> None:
    """A request that nobody joins is run all the same."""
    gate = Gate()
    with batching(batch=8, wait=0.05) as batcher:
        with busy(batcher, pool, gate):
            answer = ask(batcher, pool, gate, rows(2))
        np.testing.assert_array_equal(answer.result(WAIT), double(rows(2)))


def test_several_runners_run_at_once(pool: ThreadPoolExecutor) -> None:
    """And no more than there are."""
    gate = Gate()
    with batching(runners=2) as batcher:
        asked = [pool.submit(batcher.run, gate, rows(1)) for _ in range(2)]
        for _ in asked:
            assert gate.entered.acquire(timeout=WAIT)
        asked.append(ask(batcher, pool, gate, rows(1)))
        assert gate.sizes == [1, 1]
        gate.opened.set()
        for answer in asked:
            answer.result(WAIT)


def test_a_full_queue_sheds_load_at_once_and_recovers(pool: ThreadPoolExecutor) -> None:
    """The message says how full it is and what helps; what waits is answered, and so is what comes later."""
    gate = Gate()
    with batching(queue=4) as batcher:
        with busy(batcher, pool, gate):
            asked = [ask(batcher, pool, gate, rows(3))]
            with pytest.raises(OverloadedError) as caught:
                batcher.run(gate, rows(2))
            assert batcher.full() is None  # another might be smaller
            asked.append(ask(batcher, pool, gate, rows(1)))
            full = str(batcher.full())
        assert str(caught.value) == (
            "overloaded: 3 samples wait, this batch would add 2, and the queue holds 4. Send less or later; to take on "
            "more, serve with more --workers, another node beside this one, or a longer --queue."
        )
        assert full == (
            "overloaded: 4 samples wait, and the queue holds 4. Send less or later; to take on more, serve with more "
            "--workers, another node beside this one, or a longer --queue."
        )
        assert [len(answer.result(WAIT)) for answer in asked] == [3, 1]
        assert len(batcher.run(gate, rows(2))) == 2


def test_a_request_larger_than_the_queue_is_let_in_where_nobody_waits(pool: ThreadPoolExecutor) -> None:
    """A batch that the message's bound allows is not refused for ever."""
    gate = Gate()
    with batching(queue=4) as batcher:
        with busy(batcher, pool, gate):
            asked = ask(batcher, pool, gate, rows(9))
            with pytest.raises(OverloadedError):
                batcher.run(gate, rows(1))
        assert len(asked.result(WAIT)) == 9


def test_what_is_past_its_deadline_is_not_computed_and_its_room_is_free(pool: ThreadPoolExecutor) -> None:
    """Its caller hears at the deadline, not when its turn would have come; the others go on."""
    gate = Gate()
    with batching(queue=4) as batcher:
        with busy(batcher, pool, gate):
            with pytest.raises(DeadlineError) as caught:
                batcher.run(gate, rows(4, 700), timeout=0.01)
            asked = ask(batcher, pool, gate, rows(4, 100))
        np.testing.assert_array_equal(asked.result(WAIT), double(rows(4, 100)))
    assert str(caught.value) == (
        "the deadline passed before this batch of 4 was answered. Give it more time, or this node less to do."
    )
    assert gate.sizes == [1, 4]


@pytest.mark.parametrize("when", ["waiting", "before"])
def test_what_nobody_waits_for_any_more_is_not_computed_and_its_room_is_free(
    pool: ThreadPoolExecutor, when: str
) -> None:
    """Its thread too, at once. Who goes when it is answered changes nothing."""
    gate, gone, late = Gate(), Gone(), Gone()
    with batching() as batcher:
        with busy(batcher, pool, gate):
            if when == "before":
                gone.set()
            asked = pool.submit(batcher.run, gate, rows(3), gone=gone)
            if when == "waiting":
                until(lambda: batcher.waiting == 3)
                gone.set()
            with pytest.raises(GoneError):
                asked.result(WAIT)
            assert (batcher.waiting, batcher.lanes) == (0, {})
            other = pool.submit(batcher.run, gate, rows(2), gone=late)
            until(lambda: batcher.waiting == 2)
        np.testing.assert_array_equal(other.result(WAIT), double(rows(2)))
        late.set()
    assert gate.sizes == [1, 2]


def test_what_comes_past_its_deadline_is_not_computed() -> None:
    """Not by a lone caller either."""
    gate = Gate()
    with batching() as batcher, pytest.raises(DeadlineError):
        batcher.run(gate, rows(1), timeout=0)
    assert gate.sizes == []


def test_a_caller_does_not_wait_beyond_its_deadline_for_a_run_that_has_begun(pool: ThreadPoolExecutor) -> None:
    """What is being computed for it is thrown away."""
    gate, slow = Gate(), Gate()
    with batching() as batcher:
        with busy(batcher, pool, gate):
            asked = pool.submit(batcher.run, slow, rows(1), timeout=0.2)
            until(lambda: batcher.waiting == 1)
        with pytest.raises(DeadlineError):
            asked.result(WAIT)
        slow.opened.set()


@pytest.mark.parametrize("timeout", [1e19, float("inf")])
def test_a_deadline_beyond_what_threads_can_wait_for_is_none(pool: ThreadPoolExecutor, timeout: float) -> None:
    """A call without a deadline arrives from grpc as one that is hundreds of years away."""
    gate = Gate()
    with batching() as batcher:
        with busy(batcher, pool, gate):
            asked = pool.submit(batcher.run, gate, rows(1), timeout=timeout)
            until(lambda: batcher.waiting == 1)
        assert len(asked.result(WAIT)) == 1


def test_an_error_of_one_request_does_not_fail_the_others(pool: ThreadPoolExecutor) -> None:
    """A batch that fails is run again, each request alone."""
    gate = Gate()

    def picky(batch: Array) -> Array:
        gate(batch)
        if (batch == 666).any():
            raise InputError("not this one")
        return double(batch)

    with batching() as batcher:
        with busy(batcher, pool, gate):
            good, bad, fine = (ask(batcher, pool, picky, rows(1, first)) for first in (1, 666, 2))
        np.testing.assert_array_equal(good.result(WAIT), double(rows(1, 1)))
        np.testing.assert_array_equal(fine.result(WAIT), double(rows(1, 2)))
        with pytest.raises(InputError, match="not this one"):
            bad.result(WAIT)
    assert gate.sizes == [1, 3, 1, 1, 1]


def test_a_runner_survives_an_error(pool: ThreadPoolExecutor) -> None:
    """Also one that is called like its caller's own time-out."""
    gate = Gate()

    def fails(batch: Array) -> Array:
        raise TimeoutError("of the function")

    with batching() as batcher:
        with pytest.raises(TimeoutError, match="of the function"):
            batcher.run(fails, rows(1))
        with busy(batcher, pool, gate):
            asked = ask(batcher, pool, fails, rows(1))
        with pytest.raises(TimeoutError, match="of the function"):
            asked.result(WAIT)
        assert len(batcher.run(gate, rows(1))) == 1


def test_closing_runs_what_waits_and_refuses_what_comes(pool: ThreadPoolExecutor) -> None:
    """A node that is told to stop answers what it has taken on, by however many runners."""
    for runners in (1, 3):
        gate = Gate()
        batcher = Batcher(Limits(wait=1.0, batch=2, runners=runners))
        running = [pool.submit(batcher.run, gate, rows(1)) for _ in range(runners)]
        for _ in running:
            assert gate.entered.acquire(timeout=WAIT)
        asked = [ask(batcher, pool, gate, rows(1)) for _ in range(3)]
        closing = pool.submit(batcher.close)
        until(lambda batcher=batcher: batcher.closed)  # type: ignore[misc]
        gate.opened.set()
        closing.result(WAIT)
        assert [len(answer.result(WAIT)) for answer in (*running, *asked)] == [1] * (runners + 3)
        assert not any(thread.is_alive() for thread in batcher.threads)
        with pytest.raises(UnreachableError, match=r"this node is stopping\. Ask another, or later\."):
            batcher.run(gate, rows(1))


@settings(max_examples=60)
@given(
    requests=st.lists(st.tuples(st.integers(1, 9), st.integers(0, 2)), min_size=1, max_size=40),
    batch=st.integers(1, 12),
    wait=st.sampled_from([0.0, 0.001]),
    runners=st.integers(1, 3),
)
def test_everybody_gets_its_own_rows_in_its_order(
    requests: list[tuple[int, int]], batch: int, wait: float, runners: int
) -> None:
    """Whatever the sizes, the functions and the limits, an answer is what the function gives for that batch alone."""
    sizes: list[int] = []

    def function(factor: int) -> Callable[[Array], Array]:
        def run(given: Array) -> Array:
            sizes.append(len(given))
            return given * factor

        return run

    functions = [function(factor) for factor in (2, 3, 5)]
    batches = [rows(size, 1000 * position) for position, (size, _) in enumerate(requests)]
    together = threading.Barrier(min(len(requests), 8))
    with (
        batching(batch=batch, wait=wait, runners=runners, queue=1000) as batcher,
        ThreadPoolExecutor(together.parties, initializer=together.wait) as callers,
    ):
        asked = [
            callers.submit(batcher.run, functions[which], given)
            for given, (_, which) in zip(batches, requests, strict=True)
        ]
        for given, (_, which), answer in zip(batches, requests, asked, strict=True):
            np.testing.assert_array_equal(answer.result(WAIT), given * (2, 3, 5)[which])
    assert sum(sizes) == sum(size for size, _ in requests)
    assert max(sizes) <= max(batch, *(size for size, _ in requests))
    assert (batcher.waiting, batcher.running, batcher.lanes) == (0, 0, {})


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"batch": 0}, "batch size 0: expected 1 to 4096. A request that waits or runs holds a thread."),
        ({"queue": 0}, "queue 0: expected 1 to 4096. A request that waits or runs holds a thread."),
        ({"queue": 5000}, "queue 5000: expected 1 to 4096. A request that waits or runs holds a thread."),
        ({"wait": -0.001}, "maximum wait -1 ms: expected 0 to 1000. Every sample that waits pays it."),
        ({"wait": float("nan")}, "maximum wait nan ms: expected 0 to 1000. Every sample that waits pays it."),
    ],
)
def test_limits_that_make_no_sense_are_refused(limits: dict[str, float], message: str) -> None:
    """By name, with the range that there is."""
    with pytest.raises(InputError) as caught:
        Limits(**limits)  # type: ignore[arg-type]
    assert str(caught.value) == message
