"""Scenarios: what each fills in and refuses, and the schedules that they stand for."""

from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.artifacts.scenario import Scenario
from offramp.bench.scenario import percentile_ms, queries, scenario
from offramp.errors import InputError

SERVER = {"rate": 200.0}


def drawn(by: Scenario, samples: int, count: int) -> list[tuple[list[int], float | None]]:
    """The first queries of a schedule."""
    return [(query.rows.tolist(), query.due) for query in islice(queries(by, samples), count)]


def test_clients_send_the_set_once_in_its_order() -> None:
    """The default, and the paper's test node: a batch after another, the last one smaller, each when one is idle."""
    by = scenario("clients", 7, batch_size=3)
    assert (by.clients, by.count, by.duration, by.sample_seed) == (1, 3, 0.0, None)
    assert drawn(by, 7, 4) == [([0, 1, 2], None), ([3, 4, 5], None), ([6], None), ([0, 1, 2], None)]


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("clients", {}, (32, 1, 0.0, 4)),
        ("single-stream", {}, (1, 1, 2.0, 100)),
        ("multi-stream", {}, (8, 1, 2.0, 100)),
        ("server", SERVER, (1, 0, 2.0, 100)),
        ("offline", {}, (32, 0, 0.0, 4)),
    ],
)
def test_each_scenario_has_its_own_size_and_length(name: str, options: dict[str, Any], expected: Any) -> None:
    """Samples a query, clients that wait, seconds and queries at least, of a set of 100."""
    by = scenario(name, 100, **options)
    assert (by.batch_size, by.clients, by.duration, by.count) == expected


def test_server_arrivals_are_a_poisson_process() -> None:
    """Gaps have the mean 1 / rate and as much spread, and no gap says anything of the next."""
    dues = np.array([due for _, due in drawn(scenario("server", 9, **SERVER), 9, 20_000)], float)  # type: ignore[arg-type]
    gaps = np.diff(dues, prepend=0.0)
    assert gaps.min() > 0
    assert gaps.mean() == pytest.approx(1 / 200, rel=0.03)
    assert gaps.std() == pytest.approx(1 / 200, rel=0.05)
    assert abs(np.corrcoef(gaps[1:], gaps[:-1])[0, 1]) < 0.03


def test_the_two_seeds_are_apart() -> None:
    """One moves the times, the other the samples; the same seeds give the same schedule."""
    first, again, later, other = (
        drawn(scenario("server", 50, **SERVER, schedule_seed=schedule, sample_seed=sample), 50, 50)  # type: ignore[arg-type]
        for schedule, sample in ((1, 1), (1, 1), (2, 1), (1, 2))
    )
    assert first == again
    assert [rows for rows, _ in later] == [rows for rows, _ in first]
    assert [due for _, due in later] != [due for _, due in first]
    assert [due for _, due in other] == [due for _, due in first]
    assert [rows for rows, _ in other] != [rows for rows, _ in first]


@given(samples=st.integers(1, 40), size=st.integers(1, 50), seed=st.none() | st.integers(0, 9))
def test_every_sample_comes_once_before_any_comes_twice(samples: int, size: int, seed: int | None) -> None:
    """So a run as long as the set has the set's accuracy."""
    by = scenario("clients", samples, batch_size=size, sample_seed=seed)
    for turn in (drawn(by, samples, 2 * by.count)[: by.count], drawn(by, samples, 2 * by.count)[by.count :]):
        assert sorted(row for rows, _ in turn for row in rows) == list(range(samples))


def test_offline_sends_everything_at_once() -> None:
    """The whole set is due at the start."""
    assert drawn(scenario("offline", 5, batch_size=2), 5, 3) == [([0, 1], 0.0), ([2, 3], 0.0), ([4], 0.0)]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "burst",
            {},
            "scenario 'burst': unknown. Choose one of clients, single-stream, multi-stream, server, offline.",
        ),
        ("server", {}, "scenario server: queries arrive at a rate. Say how many a second with --rate."),
        ("clients", SERVER, "rate 200: of scenario server, and this is clients. Say --scenario server."),
        ("server", {"rate": 0.0}, "rate 0: expected queries a second, above 0."),
        ("server", {"rate": float("nan")}, "rate nan: expected queries a second, above 0."),
        (
            "server",
            {**SERVER, "clients": 2},
            "clients 2: of scenario clients, and this is server. Leave one of the two out.",
        ),
        ("clients", {"clients": 0}, "clients 0: expected at least 1."),
        (
            "server",
            {**SERVER, "batch_size": 2},
            "batch size 2: a query of scenario server is one sample. Leave it out.",
        ),
        ("clients", {"batch_size": 0}, "batch size 0: expected at least 1."),
        (
            "clients",
            {"bound_ms": 50.0},
            "bound 50 ms: of which percentile of the latencies? Say it with --percentile.",
        ),
        ("clients", {"bound_ms": 0.0, "percentile": 99.0}, "bound 0: expected a time above 0."),
        ("clients", {"percentile": 101.0}, "percentile 101: expected a number above 0, at most 100."),
        ("clients", {"count": 0}, "count 0: expected at least 1 query."),
        ("clients", {"duration": -1.0}, "duration -1: expected seconds, at least 0."),
        (
            "offline",
            {"duration": 1.0},
            "scenario offline: everything is sent at once. Say how much with --count, not --duration.",
        ),
        (
            "server",
            {**SERVER, "direct": True},
            "scenario server: its queries overlap, and direct replies come one query after another.",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(name: str, options: dict[str, Any], message: str) -> None:
    """Before anything is sent."""
    with pytest.raises(InputError) as caught:
        scenario(name, 10, **options)
    assert str(caught.value) == message


@pytest.mark.parametrize(("percentile", "expected"), [(99, 99), (99.9, 100), (50, 50), (100, 100), (0.5, 1)])
def test_a_percentile_is_the_smallest_that_so_many_are_not_above(percentile: float, expected: float) -> None:
    """The nearest rank: of 1 to 100 ms, a latency that was measured, and never one between two."""
    assert percentile_ms(np.arange(100.0, 0.0, -1.0), percentile) == expected
