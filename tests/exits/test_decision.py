"""The decision at an active exit."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.artifacts.plan import Plan
from offramp.exits.decision import Decision

UNIT = st.floats(0, 1)


def decided(scores: list[float], plan: Plan, position: int = 0) -> tuple[list[int], list[int], list[int]]:
    """Rows that leave, are dropped, go on."""
    decision = Decision.at(np.array(scores), plan, position)
    return decision.exit.tolist(), decision.drop.tolist(), decision.forward.tolist()


def two_exits(drop_threshold: float) -> Plan:
    """Exits 1 and 2, both at 0.5."""
    active = tuple({"exit": exit_, "threshold": 0.5} for exit_ in (1, 2))
    return Plan.checked(active=active, cut=2, drop_threshold=drop_threshold)


def test_a_score_below_the_threshold_leaves() -> None:
    """Rows are named by their place in the batch."""
    assert decided([0.9, 0.1, 0.6, 0.4], Plan.of(1, 0.5)) == ([1, 3], [], [0, 2])


def test_a_score_equal_to_the_threshold_goes_on() -> None:
    """The next number below it leaves."""
    assert decided([0.5, math.nextafter(0.5, 0)], Plan.of(1, 0.5)) == ([1], [], [0])


def test_at_threshold_0_nobody_leaves() -> None:
    """Not even an answer that is certain."""
    assert decided([0.0, 0.0], Plan.of(1, 0)) == ([], [], [0, 1])


def test_at_threshold_1_only_the_wholly_unsure_go_on() -> None:
    """A uniform answer scores 1, which is not below 1."""
    assert decided([0.0, 0.999, 1.0], Plan.of(1, 1)) == ([0, 1], [], [2])


def test_a_score_above_the_drop_threshold_is_dropped() -> None:
    """One equal to it goes on, as does one between the two thresholds."""
    plan = Plan.of(1, 0.3, drop_threshold=0.7)
    assert decided([0.2, 0.3, 0.5, 0.7, math.nextafter(0.7, 1), 1.0], plan) == ([0], [4, 5], [1, 2, 3])


def test_only_the_last_active_exit_drops() -> None:
    """At the first of two exits a hopeless sample goes on: the second may be sure of it."""
    assert decided([0.1, 0.9], two_exits(0.6), 0) == ([0], [], [1])
    assert decided([0.1, 0.9], two_exits(0.6), 1) == ([0], [1], [])


def test_each_exit_has_its_own_threshold() -> None:
    """The position chooses which."""
    active = ({"exit": 1, "threshold": 0.2}, {"exit": 2, "threshold": 0.6})
    plan = Plan.checked(active=active, cut=2)
    assert decided([0.4], plan, 0) == ([], [], [0])
    assert decided([0.4], plan, 1) == ([0], [], [])


def test_a_score_that_is_no_number_goes_on() -> None:
    """An exit that computed NaN is not sure, and its sample is not given up either."""
    assert decided([math.nan], Plan.of(1, 1, drop_threshold=1)) == ([], [], [0])


@pytest.mark.parametrize("position", [0, 1])
def test_no_sample_needs_no_decision(position: int) -> None:
    """An empty batch is decided upon like any other."""
    assert decided([], two_exits(0.6), position) == ([], [], [])


@given(scores=st.lists(UNIT, max_size=20), threshold=UNIT, data=st.data())
def test_every_row_has_one_fate(scores: list[float], threshold: float, data: st.DataObject) -> None:
    """Together the three are every row once, and each row's own score says which it is in."""
    drop = data.draw(st.none() | st.floats(threshold, 1))
    exits, drops, forwards = decided(scores, Plan.of(1, threshold, drop_threshold=drop))
    assert sorted(exits + drops + forwards) == list(range(len(scores)))
    assert exits == [row for row, score in enumerate(scores) if score < threshold]
    assert drops == [row for row, score in enumerate(scores) if drop is not None and score > drop]


@given(scores=st.lists(UNIT | st.just(math.nan), min_size=2, max_size=9), data=st.data())
def test_a_sample_alone_has_the_fate_it_has_in_a_batch(scores: list[float], data: st.DataObject) -> None:
    """Of thresholds that are scores of the batch too: one equal to its threshold, or to the drop threshold, goes on."""
    among = UNIT | st.sampled_from([score for score in scores if not math.isnan(score)] or [0.5])
    threshold, drop = sorted(data.draw(st.tuples(among, among)))
    plan = Plan.of(1, threshold, drop_threshold=data.draw(st.sampled_from([None, drop])))
    alone = [decided([score], plan) for score in scores]
    for fate, rows in enumerate(decided(scores, plan)):
        assert rows == [row for row, found in enumerate(alone) if found[fate]]


@given(scores=st.lists(UNIT, max_size=20), thresholds=st.tuples(UNIT, UNIT))
def test_a_higher_threshold_never_keeps_a_sample_back(scores: list[float], thresholds: tuple[float, float]) -> None:
    """Whoever leaves at a threshold leaves at every higher one."""
    low, high = sorted(thresholds)
    assert set(decided(scores, Plan.of(1, low))[0]) <= set(decided(scores, Plan.of(1, high))[0])
