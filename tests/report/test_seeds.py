"""Means and spreads over seeds, and MEM minus SEM."""

from collections.abc import Callable

import pytest

from offramp.artifacts.suite import Suite
from offramp.report.seeds import (
    Spread,
    curves,
    differences,
    many,
    mem_edge,
    overall,
    ranked,
    regimes,
    sem_cloud,
    sem_edge,
    shown,
)


def test_a_spread_is_mean_lowest_and_highest() -> None:
    """Of nothing there is none."""
    assert Spread.of([1.0, 4.0, 1.0]) == Spread(2.0, 1.0, 4.0, 3)
    assert Spread.of([]) is None


def test_sems_are_taken_at_their_own_exit_and_at_their_last(suite: Suite) -> None:
    """Of two seeds half a point apart."""
    edge, cloud = sem_edge(suite, "joint"), sem_cloud(suite, "joint")
    assert sorted(edge) == sorted(cloud) == [2, 3, 6, 8]
    assert edge[2] == pytest.approx((74.25, 74.0, 74.5, 2))
    assert cloud[2] == pytest.approx((88.25, 88.0, 88.5, 2))


def test_mem_is_taken_at_every_exit(suite: Suite) -> None:
    """Under each of its regimes."""
    assert regimes(suite) == ("joint", "distill")
    assert sorted(mem_edge(suite, "distill")) == list(range(1, 10))
    assert mem_edge(suite, "distill")[5].mean == pytest.approx(80.75)


def test_differences_are_taken_seed_by_seed(suite: Suite) -> None:
    """So that what a seed moves in both does not count."""
    assert differences(suite, "joint", "joint") == {k: pytest.approx((-3.0, -3.0, -3.0, 2)) for k in (2, 3, 6, 8)}
    assert differences(suite, "distill", "joint")[8].mean == pytest.approx(0.5)


def test_a_seed_that_one_of_both_lacks_does_not_count(make_suite: Callable[..., Suite]) -> None:
    """An unfinished suite compares what is there."""
    whole = make_suite()
    runs = tuple(run for run in whole.runs if (run.key.model, run.key.seed) != ("sem-3", 1))
    found = differences(whole.model_copy(update={"runs": runs}), "joint", "joint")
    assert (found[2].n, found[3].n) == (2, 1)


def test_the_model_with_the_most_exits_stands_for_mem(make_suite: Callable[..., Suite]) -> None:
    """None where there is none."""
    assert many(make_suite(models=("sem-2", "mem"))) == "mem"
    assert many(make_suite(models=("sem-2",))) is None


def test_a_figure_shows_the_first_regime_and_those_that_cost_least(make_suite: Callable[..., Suite]) -> None:
    """In the suite's order; all of them where there are few."""
    points = {"joint": -3.0, "mixed": -5.0, "distill": 0.5, "early": -1.0, "ramp": -2.0, "late": -4.0}
    assert shown(make_suite(regimes=tuple(points), points=points)) == ("joint", "distill", "early", "ramp")
    assert shown(make_suite()) == ("joint", "distill")
    assert len(shown(make_suite(models=("mem",), regimes=tuple(points)))) == 4


def test_overall_accuracy_is_taken_by_seed_and_curves_are_means(suite: Suite) -> None:
    """The one at an exit and threshold, the others by epoch."""
    assert overall(suite, "sem-8", "joint", 8, 0.3) == pytest.approx({0: 87.0, 1: 87.5})
    assert overall(suite, "sem-8", "joint", 8, 0.7) == {}
    assert curves(suite, "mem", "joint", 2) == pytest.approx({1: 71.25 / 3, 2: 142.5 / 3, 3: 71.25})


def test_regimes_are_ranked_without_the_test_samples(suite: Suite) -> None:
    """A regime that shines on those alone stays behind."""
    runs = tuple(
        run.model_copy(update={"test_accuracy": dict.fromkeys(run.exits, 1.0)}) if run.key.regime == "joint" else run
        for run in suite.runs
    )
    assert ranked(suite.model_copy(update={"runs": runs})) == ranked(suite) == ("distill", "joint")
