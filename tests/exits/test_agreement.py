"""Holding two sets of answers against each other."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.exits.agreement import SCORE_TOLERANCE, TIE, TOLERANCES, Agreement, Tolerance, compare, ties
from offramp.exits.answers import Answers, Judged, Tier

Table = Callable[..., Predictions]
LOGITS = [[2.0, 0.0], [0.0, 2.0], [0.5, 0.0]]
NO_TIE = np.zeros(3, np.bool_)


@pytest.fixture
def offline() -> Answers:
    """Three answers of the edge."""
    return Judged.of(LOGITS).answers(1, Tier.EDGE)


def changed(answers: Answers, name: str, row: int, value: object) -> Answers:
    """The same answers but for one value."""
    column = getattr(answers, name).copy()
    column[row] = value
    return replace(answers, **{name: column})


def test_answers_agree_with_themselves(offline: Answers) -> None:
    """Nothing differs and nothing was left out."""
    found = compare(offline, offline, NO_TIE)
    assert found == Agreement(n=3, ties=0, labels=0, exits=0, scores=0, first=None)
    assert found.holds


DIFFERENCES = [
    ("label", 9, {"labels": 1}),
    ("exit", 9, {"exits": 1}),
    ("tier", Tier.CLOUD, {"exits": 1}),
    ("dropped", True, {"exits": 1}),
    ("score", 0.9, {"scores": 1}),
    ("score", np.nan, {"scores": 1}),
]


@pytest.mark.parametrize(("name", "value", "counted"), DIFFERENCES, ids=[f"{n}={v}" for n, v, _ in DIFFERENCES])
@pytest.mark.parametrize("row", [0, 2])
def test_one_difference_is_found(offline: Answers, name: str, value: object, counted: dict[str, int], row: int) -> None:
    """A different label, exit, tier, mark or score, NaN among them, is counted once, and its row is named."""
    found = compare(changed(offline, name, row, value), offline, NO_TIE)
    expected = {"n": 3, "ties": 0, "labels": 0, "exits": 0, "scores": 0, "first": row} | counted
    assert found == Agreement(**expected)  # type: ignore[arg-type]
    assert not found.holds


def test_the_first_difference_is_named(offline: Answers) -> None:
    """Of several rows that differ, in whatever respect, the first."""
    running = changed(changed(offline, "label", 2, 9), "exit", 1, 9)
    assert compare(running, offline, NO_TIE).first == 1


def test_a_tie_is_left_out_and_counted(offline: Answers) -> None:
    """A sample on the threshold may go either way: whatever its answer is, it is no difference."""
    running = changed(changed(changed(offline, "label", 1, 9), "exit", 1, 9), "score", 1, 0.9)
    found = compare(running, offline, np.array([False, True, False]))
    assert found == Agreement(n=3, ties=1, labels=0, exits=0, scores=0, first=None)
    assert found.compared == 2


@pytest.mark.parametrize(("share", "differs"), [(0.9, 0), (1.1, 1)])
def test_scores_may_differ_by_their_tolerance(offline: Answers, share: float, differs: int) -> None:
    """Rounding between two runtimes is no difference, and more than that is."""
    running = changed(offline, "score", 0, offline.score[0] + share * SCORE_TOLERANCE)
    assert compare(running, offline, NO_TIE).scores == differs


def test_equal_scores_agree_without_any_tolerance(offline: Answers) -> None:
    """And others do not."""
    exact = Tolerance(tie=0.0, score=0.0)
    assert compare(offline, offline, NO_TIE, exact).scores == 0
    other = changed(offline, "score", 0, np.nextafter(offline.score[0], np.float32(1)))
    assert compare(other, offline, NO_TIE, exact).scores == 1


@pytest.mark.parametrize(("distance", "tie"), [(-0.9, True), (0.9, True), (-1.1, False), (1.1, False)])
def test_a_score_near_the_threshold_is_a_tie(table: Table, distance: float, tie: bool) -> None:
    """Within 1e-5 of it on either side."""
    score = float(Judged.of(np.array(LOGITS[:1], np.float32)).scores[0])
    found = ties(table({1: LOGITS[:1], 5: LOGITS[:1]}, [0]), Plan.of(1, score + distance * TIE))
    assert found.tolist() == [tie]


def test_a_tie_is_found_at_every_active_exit_and_at_the_drop_threshold(table: Table) -> None:
    """Sample 0 stands on exit 1's threshold, 1 on exit 3's, 2 on the drop threshold, and 3 on none."""
    at = {name: np.float32([gap, 0]).tolist() for name, gap in (("a", 4), ("b", 3), ("c", 1), ("d", 2))}
    score = {name: float(Judged.of([logits]).scores[0]) for name, logits in at.items()}
    predictions = table(
        {1: [at["a"], at["d"], at["d"], at["d"]], 3: [at["d"], at["b"], at["c"], at["d"]], 5: [at["d"]] * 4},
        [0, 0, 0, 0],
    )
    active = ({"exit": 1, "threshold": score["a"]}, {"exit": 3, "threshold": score["b"]})
    plan = Plan.checked(active=active, cut=3, drop_threshold=score["c"])
    assert ties(predictions, plan).tolist() == [True, True, True, False]


def test_the_drop_threshold_makes_no_tie_where_nobody_drops(table: Table) -> None:
    """At the first of two exits a score equal to the drop threshold is decided by the threshold alone."""
    on = float(Judged.of([[1.0, 0.0]]).scores[0])
    predictions = table({1: [[1.0, 0.0]], 3: [[9.0, 0.0]], 5: [[9.0, 0.0]]}, [0])
    active = ({"exit": 1, "threshold": 0.1}, {"exit": 3, "threshold": 0.1})
    assert ties(predictions, Plan.checked(active=active, cut=3, drop_threshold=on)).tolist() == [False]


def test_the_score_of_the_plan_makes_the_ties(table: Table) -> None:
    """A margin on the threshold is a tie for a plan by margin, and none for one by entropy."""
    threshold = float(Judged.of([[1.0, 0.0]], "margin").scores[0])
    predictions = table({1: [[1.0, 0.0]], 5: [[1.0, 0.0]]}, [0])
    assert ties(predictions, Plan.of(1, threshold, "margin")).tolist() == [True]
    assert ties(predictions, Plan.of(1, threshold, "entropy")).tolist() == [False]


THREE = ("no", "yes", "perhaps")
SURE, UNSURE = [9.0, 0.0, 0.0], [1.0, 0.99, -3.0]


def test_below_fp32_two_classes_as_good_as_equal_are_a_tie(table: Table) -> None:
    """At an exit that is active or at the last; three classes or two; in fp32 a label is a label."""
    predictions = table({1: [UNSURE, SURE, SURE], 5: [SURE, UNSURE, SURE]}, [0, 0, 0], classes=THREE)
    plan = Plan.of(1, 0.5)
    for precision in ("bf16", "int8"):
        gap = TOLERANCES[precision].gap  # type: ignore[index]
        assert gap >= 2e-3
    assert ties(predictions, plan, TOLERANCES["bf16"]).tolist() == [True, True, False]
    assert ties(predictions, plan).tolist() == [False, False, False]
    two = table({1: [UNSURE[:2], SURE[:2]], 5: [SURE[:2], SURE[:2]]}, [0, 0])
    assert ties(two, plan, TOLERANCES["bf16"]).tolist() == [True, False]


def test_classes_change_places_up_to_the_gap_and_no_further(table: Table) -> None:
    """The two most likely, whatever comes behind them."""
    predictions = table({1: [UNSURE], 5: [SURE]}, [0], classes=THREE)
    second, first = np.sort(Judged.of(predictions.at(1)).probabilities[0])[-2:]
    gap = first - second
    for allowed, tie in ((gap, True), (np.nextafter(gap, 0), False)):
        assert ties(predictions, Plan.of(1, 0.5), Tolerance(tie=0.0, score=0.0, gap=allowed)).tolist() == [tie]


def test_one_class_has_none_to_change_places_with(table: Table) -> None:
    """However wide the gap."""
    predictions = table({1: [[1.0]], 5: [[2.0]]}, [0], classes=("only",))
    assert ties(predictions, Plan.of(1, 0.5), Tolerance(tie=0.0, score=0.0, gap=1.0)).tolist() == [False]


def test_a_score_on_the_threshold_is_a_tie_where_nothing_else_is(table: Table) -> None:
    """With no tolerance at all; at the drop threshold of an only exit too."""
    predictions = table({1: LOGITS[:1], 5: LOGITS[:1]}, [0])
    on, none = float(Judged.of(LOGITS[:1]).scores[0]), Tolerance(tie=0.0, score=0.0)
    assert ties(predictions, Plan.of(1, on), none).tolist() == [True]
    assert ties(predictions, Plan.of(1, on / 2, drop_threshold=on), none).tolist() == [True]
    assert ties(predictions, Plan.of(1, on / 2), none).tolist() == [False]
