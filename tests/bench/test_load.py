"""Load against a server in memory, on a clock that moves only when somebody waits: no test here sleeps."""

import heapq
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from itertools import repeat
from typing import Any

import numpy as np
import pytest

from offramp.bench.load import Calls, Completed, load
from offramp.bench.scenario import Query, Rows, queries, scenario
from offramp.errors import DeadlineError, LinkError

ONE = np.arange(1)


class Simulated:
    """A server that takes one query after another, `service` seconds each; nobody is served while it stalls."""

    def __init__(self, service: float, stall: tuple[float, float] = (0.0, 0.0), sending: float = 0.0) -> None:
        self.service, self.stall, self.sending = service, stall, sending
        self.waiting: dict[int, int] = {}  # query: its client
        self.now = self.free = 0.0
        self.done: list[tuple[float, int]] = []
        self.clients: list[int] = []
        self.under_way = self.most = 0
        self.one_each = False

    def clock(self) -> float:
        """The time."""
        return self.now

    def send(self, client: int, query: int, rows: Rows) -> None:
        """Take a query on, which may take its sender a while."""
        assert not self.one_each or client not in self.waiting.values(), "a client waits, and sends all the same"
        self.waiting[query] = client
        self.now += self.sending
        begin = max(self.now, self.free)
        if self.stall[0] <= begin < self.stall[1]:
            begin = self.stall[1]
        self.free = begin + self.service
        heapq.heappush(self.done, (self.free, query))
        self.clients.append(client)
        self.under_way += 1
        self.most = max(self.most, self.under_way)

    def wait(self, seconds: float) -> tuple[int, float, int] | None:
        """Let time pass until something is done."""
        end = self.now + seconds
        if not self.done or self.done[0][0] > end:
            self.now = end
            return None
        self.now, query = heapq.heappop(self.done)
        self.under_way -= 1
        del self.waiting[query]
        return query, self.now, query


def uniform(rate: float) -> Iterator[Query]:
    """A query every so often."""
    return (Query(ONE, number / rate) for number in iter(range(10**9)))


def latencies(answered: list[Completed[Any]]) -> Any:
    """Seconds of each query."""
    return np.array([one.end - one.start for one in answered])


def run(server: Simulated, schedule: Iterator[Query], **options: Any) -> list[Completed[int]]:
    """Load it."""
    return load(schedule, server, clock=server.clock, **({"clients": 0} | options))


def test_a_stall_shows_in_every_query_that_was_due_meanwhile() -> None:
    """100 a second, and a stall of 1 s: about 100 latencies tell of it, each by how much of it was left."""
    server = Simulated(0.001, stall=(2.0, 3.0))
    slow = latencies(run(server, uniform(100), count=500))
    touched = slow[slow > 0.002]
    assert 99 <= len(touched) <= 112  # those due in the stall, and those behind them in the queue
    assert touched.max() == pytest.approx(1.0, abs=0.01)
    assert np.median(touched) == pytest.approx(0.5, abs=0.06)


def test_a_closed_loop_hides_the_same_stall() -> None:
    """A client that waits sends nothing meanwhile: one latency tells of it. This is why there are schedules."""
    server = Simulated(0.001, stall=(2.0, 3.0))
    slow = latencies(run(server, repeat(Query(ONE, None)), clients=1, duration=4.0))
    assert (slow > 0.002).sum() == 1


def test_latency_counts_from_when_a_query_was_due() -> None:
    """A server that is asked for more than it can do falls ever further behind."""
    late = latencies(run(Simulated(0.02), uniform(100), count=100))
    assert late == pytest.approx(0.02 + 0.01 * np.arange(100))


def test_a_sender_that_is_late_hides_nothing() -> None:
    """Sending takes 20 ms and a query is due every 10 ms: each counts from when it was due, not from when it left."""
    late = latencies(run(Simulated(0.0, sending=0.02), uniform(100), count=50))
    assert (late >= 0.02 + 0.01 * np.arange(50) - 1e-9).all()


def test_an_open_load_waits_for_nobody() -> None:
    """Every query is sent when it is due, however many are under way."""
    server = Simulated(10.0)
    run(server, uniform(100), count=50)
    assert server.most == 50


@pytest.mark.parametrize("clients", [1, 3])
def test_so_many_clients_wait_each_for_its_own_answer(clients: int) -> None:
    """Never more queries under way than clients, and everybody has a part in it."""
    server = Simulated(0.01)
    server.one_each = True
    answered = run(server, repeat(Query(ONE, None)), clients=clients, count=12)
    assert server.most == clients
    assert sorted(set(server.clients)) == list(range(clients))
    assert latencies(answered)[clients:] == pytest.approx(0.01 * clients)


@pytest.mark.parametrize(("duration", "count", "sent"), [(0.0, 5, 5), (1.0, 5, 101), (0.1, 50, 50)])
def test_it_goes_on_until_both_duration_and_count_are_met(duration: float, count: int, sent: int) -> None:
    """By the time that queries are due; then every answer is waited for."""
    answered = run(Simulated(0.001), uniform(100), duration=duration, count=count)
    assert len(answered) == sent
    assert [one.answer for one in answered] == list(range(sent))


def test_a_closed_loop_goes_on_as_long_by_its_own_clock() -> None:
    """The last query is the first that is sent when the time is over."""
    assert len(run(Simulated(0.1), repeat(Query(ONE, None)), clients=1, duration=0.95)) == 11


def test_offline_sends_all_before_the_first_answer() -> None:
    """And ends with the last."""
    server = Simulated(0.01)
    answered = run(server, queries(scenario("offline", 10, batch_size=1), 10), count=10)
    assert server.most == 10
    assert max(one.end for one in answered) == pytest.approx(0.1)


def test_queries_are_numbered_from_the_first() -> None:
    """What warms up has numbers of its own."""
    assert [one.answer for one in run(Simulated(0.01), uniform(100), count=3, first=-3)] == [-3, -2, -1]


def test_a_schedule_that_ends_is_enough() -> None:
    """Nothing more can be sent."""
    assert len(run(Simulated(0.01), iter([Query(ONE, None)] * 3), clients=1, count=10)) == 3


def test_a_server_that_answers_nothing_is_given_up() -> None:
    """Where whoever is asked does not give up by itself."""
    server = Simulated(1e9)
    with pytest.raises(DeadlineError) as caught:
        run(server, repeat(Query(ONE, None)), clients=2, count=2)
    assert str(caught.value) == "no answer for 90 s; queries under way: 2. See the node's log."
    assert server.now == 90.0


def test_a_slow_schedule_is_no_silence() -> None:
    """With nothing under way there is nothing to wait for."""
    assert len(run(Simulated(0.01), uniform(0.001), count=2)) == 2


def future(outcome: Callable[[], Any]) -> Future[Any]:
    """One that has ended."""
    ended: Future[Any] = Future()
    try:
        ended.set_result(outcome())
    except LinkError as error:
        ended.set_exception(error)
    return ended


def test_calls_are_futures_and_no_thread_waits_for_them() -> None:
    """Each is given its client, its number and its rows; what it gives comes back with the rows."""
    asked: list[tuple[int, int, list[int]]] = []

    def begin(client: int, query: int, rows: Rows) -> Future[Any]:
        asked.append((client, query, rows.tolist()))
        return future(lambda: f"query {query}")

    answered = load(queries(scenario("clients", 3, batch_size=2), 3), Calls(begin), clients=1, count=2)
    assert asked == [(0, 0, [0, 1]), (0, 1, [2])]
    assert [(one.rows.tolist(), one.answer) for one in answered] == [([0, 1], "query 0"), ([2], "query 1")]
    assert all(one.start <= one.end for one in answered)


def test_a_call_that_fails_ends_the_load() -> None:
    """By its own error."""

    def begin(_client: int, _query: int, _rows: Rows) -> Future[Any]:
        return future(_gone)

    with pytest.raises(LinkError, match="gone"):
        load(uniform(100), Calls(begin), clients=0)


def _gone() -> None:
    raise LinkError("the node is gone.")


def test_whoever_looks_on_is_told_how_many_it_will_be() -> None:
    """By the count, or by the pace where a time is to be filled."""
    told: list[tuple[str, int, int]] = []
    one = repeat(Query(ONE, None))
    run(Simulated(0.5), one, clients=1, count=4, watch=lambda *news: told.append(news))
    assert told == [("queries", done, 4) for done in (1, 2, 3, 4)]
    told.clear()
    run(Simulated(0.5), one, clients=1, duration=3.0, watch=lambda *news: told.append(news))
    assert told == [*(("queries", done, 6) for done in range(1, 7)), ("queries", 7, 7)]
