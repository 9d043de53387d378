"""Holding two sets of answers against each other."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offramp.artifacts.engine import Place, Precision
from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.cli.measures import _says_held
from offramp.exits.agreement import WITHIN, WITHIN_CODED, Agreement, compare, ties, tolerance
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
    assert found == Agreement(n=3, near=(), swayed=0, labels=0, exits=0, scores=0, first=None)
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
    expected = {"n": 3, "near": (), "swayed": 0, "labels": 0, "exits": 0, "scores": 0, "first": row} | counted
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
    assert found == Agreement(n=3, near=(1,), swayed=1, labels=0, exits=0, scores=0, first=None)
    assert (found.ties, found.compared) == (1, 2)
    assert compare(offline, offline, np.array([False, True, False])).swayed == 0


@pytest.mark.parametrize(("share", "differs"), [(0.9, 0), (1.1, 1)])
def test_scores_may_differ_by_their_tolerance(offline: Answers, share: float, differs: int) -> None:
    """Rounding between two runtimes is no difference, and more than that is."""
    running = changed(offline, "score", 0, offline.score[0] + share * 1e-5)
    assert compare(running, offline, NO_TIE, 1e-5).scores == differs


def test_equal_scores_agree_without_any_tolerance(offline: Answers) -> None:
    """And others do not."""
    assert compare(offline, offline, NO_TIE).scores == 0
    other = changed(offline, "score", 0, np.nextafter(offline.score[0], np.float32(1)))
    assert compare(other, offline, NO_TIE).scores == 1


@pytest.mark.parametrize(("distance", "tie"), [(-0.9, True), (0.9, True), (-1.1, False), (1.1, False)])
def test_a_score_near_the_threshold_is_a_tie(table: Table, distance: float, tie: bool) -> None:
    """Within 1e-5 of it on either side."""
    score = float(Judged.of(np.array(LOGITS[:1], np.float32)).scores[0])
    found = ties(table({1: LOGITS[:1], 5: LOGITS[:1]}, [0]), Plan.of(1, score + distance * 1e-5), 1e-5)
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
    assert ties(predictions, plan, 1e-5).tolist() == [True, True, True, False]


def test_the_drop_threshold_makes_no_tie_where_nobody_drops(table: Table) -> None:
    """At the first of two exits a score equal to the drop threshold is decided by the threshold alone."""
    on = float(Judged.of([[1.0, 0.0]]).scores[0])
    predictions = table({1: [[1.0, 0.0]], 3: [[9.0, 0.0]], 5: [[9.0, 0.0]]}, [0])
    active = ({"exit": 1, "threshold": 0.1}, {"exit": 3, "threshold": 0.1})
    assert ties(predictions, Plan.checked(active=active, cut=3, drop_threshold=on), 1e-5).tolist() == [False]


def test_the_score_of_the_plan_makes_the_ties(table: Table) -> None:
    """A margin on the threshold is a tie for a plan by margin, and none for one by entropy."""
    threshold = float(Judged.of([[1.0, 0.0]], "margin").scores[0])
    predictions = table({1: [[1.0, 0.0]], 5: [[1.0, 0.0]]}, [0])
    assert ties(predictions, Plan.of(1, threshold, "margin"), 1e-5).tolist() == [True]
    assert ties(predictions, Plan.of(1, threshold, "entropy"), 1e-5).tolist() == [False]


THREE = ("no", "yes", "perhaps")
SURE, UNSURE = [9.0, 0.0, 0.0], [1.0, 0.99, -3.0]


def test_two_classes_as_good_as_equal_are_a_tie_where_they_answer(table: Table) -> None:
    """At an exit where the sample may leave, or at the last where it goes on to; three classes or two."""
    predictions = table({1: [UNSURE, SURE, SURE, UNSURE], 5: [SURE, UNSURE, SURE, UNSURE]}, [0] * 4, classes=THREE)
    assert ties(predictions, Plan.of(1, 0.9), 1e-2).tolist() == [True, False, False, True]
    assert ties(predictions, Plan.of(1, 0.5), 1e-2).tolist() == [False, False, False, True]
    assert ties(predictions, Plan.of(1, 0.5), 1e-4).tolist() == [False] * 4
    assert ties(predictions, Plan.checked(active=[], cut=5), 1e-2).tolist() == [False, True, False, True]
    assert ties(predictions, Plan.of(5, 0.0), 1e-2).tolist() == [False, True, False, True]
    two = table({1: [UNSURE[:2], SURE[:2]], 5: [SURE[:2], SURE[:2]]}, [0, 0])
    assert ties(two, Plan.of(1, 1.0), 1e-2).tolist() == [True, False]


def test_a_sample_that_leaves_before_is_no_tie_behind(table: Table) -> None:
    """Sure at exit 1, it stands on the threshold of exit 3, where it never comes; an unsure one does."""
    on = float(Judged.of([[1.0, 0.0]]).scores[0])
    predictions = table({1: [[9.0, 0.0], [0.0, 0.0]], 3: [[1.0, 0.0]] * 2, 5: [[9.0, 0.0]] * 2}, [0, 0])
    plan = Plan.checked(active=({"exit": 1, "threshold": 0.5}, {"exit": 3, "threshold": on}), cut=3)
    assert ties(predictions, plan, 1e-5).tolist() == [False, True]


def test_a_dropped_sample_is_answered_where_it_is_dropped(table: Table) -> None:
    """Two equal classes there are a tie; at the last exit, which it does not reach, they are none."""
    predictions = table({1: [UNSURE, [0.9, 0.5, 0.1]], 5: [SURE, UNSURE]}, [0, 0], classes=THREE)
    plan = Plan.of(1, 0.1, drop_threshold=0.3)
    assert ties(predictions, plan, 1e-2).tolist() == [True, False]


def test_classes_change_places_up_to_the_tolerance_and_no_further(table: Table) -> None:
    """The two most likely, whatever comes behind them."""
    predictions = table({1: [UNSURE], 5: [SURE]}, [0], classes=THREE)
    second, first = np.sort(Judged.of(predictions.at(1)).probabilities[0])[-2:]
    gap = first - second
    for allowed, tie in ((gap, True), (np.nextafter(gap, 0), False)):
        assert ties(predictions, Plan.of(1, 1.0), allowed).tolist() == [tie]


def test_one_class_has_none_to_change_places_with(table: Table) -> None:
    """However far numbers may be apart."""
    predictions = table({1: [[1.0]], 5: [[2.0]]}, [0], classes=("only",))
    assert ties(predictions, Plan.of(1, 0.5), 0.1).tolist() == [False]


def test_the_same_numbers_decide_alike(table: Table) -> None:
    """With no tolerance there is no tie, on a threshold either: every sample is compared."""
    predictions = table({1: LOGITS[:1], 5: LOGITS[:1]}, [0])
    on = float(Judged.of(LOGITS[:1]).scores[0])
    assert ties(predictions, Plan.of(1, on), 0.0).tolist() == [False]
    assert ties(predictions, Plan.of(1, on), 1e-9).tolist() == [True]
    assert ties(predictions, Plan.of(1, on / 2, drop_threshold=on), 1e-9).tolist() == [True]
    assert ties(predictions, Plan.of(1, on / 2), 1e-9).tolist() == [False]


PLAN = Plan.of(1, 0.5)
HERE = Place("onnxruntime 1.0", "fp32", "a processor")
KNOWN = {"active": (1,), "cut": 1, "release": HERE.release, "hardware": HERE.hardware}


@pytest.mark.parametrize(
    ("header", "places", "within", "why"),
    [
        ({}, [HERE, HERE], 0.0, "the same spans on the same runtime and processor"),
        ({}, [HERE], 0.0, "the same spans"),
        ({}, [], 1e-5, "the nodes' runtime or processor is not the predictions', or not known"),
        ({}, [HERE, None], 1e-5, "not known"),
        ({}, [HERE, replace(HERE, hardware="another")], 1e-5, "processor is not the predictions'"),
        ({}, [replace(HERE, release="onnxruntime 1.1")], 1e-5, "runtime or processor is not the predictions'"),
        ({"hardware": ""}, [replace(HERE, hardware="")], 1e-5, "not known"),
        ({"release": ""}, [replace(HERE, release="")], 1e-5, "not known"),
        ({"active": None, "cut": 0}, [HERE, HERE], 1e-5, "the predictions are of the whole graph in one piece"),
        ({"cut": 5}, [HERE, HERE], 1e-5, "the predictions are of exit 1, not cut"),
        ({"precision": "int8"}, [replace(HERE, precision="int8")] * 2, 0.0, "the same spans"),
        ({"precision": "int8"}, [replace(HERE, precision="int8"), None], 2e-3, "not known"),
        ({"precision": "bf16"}, [replace(HERE, precision="bf16")] * 2, 2e-3, "bf16 rounds by batch size and threads"),
    ],
)
def test_the_tolerance_is_nothing_where_the_same_spans_ran_alike(
    table: Table, header: dict[str, object], places: list[Place | None], within: float, why: str
) -> None:
    """fp32 and int8 on one runtime and processor are compared to the last bit; bf16 never, nor what is not known."""
    predictions = table({1: LOGITS[:1], 5: LOGITS[:1]}, [0], **(KNOWN | header))
    found, said = tolerance(predictions.header, PLAN, places)
    assert found == within
    assert why in said


def test_what_was_left_out_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """How many, why, how many of them went the other way, and which: twenty rows, and how many more."""
    near = tuple(range(0, 66, 3))
    found = Agreement(100, near, 2, labels=0, exits=0, scores=0, first=None, within=2e-3, why="bf16 rounds")
    assert _says_held(found, Path("p.parquet"))
    said, left_out = capsys.readouterr().err.splitlines()
    assert said == (
        "check: the nodes' answers agree with p.parquet: of 100 samples 0 labels, 0 exits and 0 scores differ, within "
        "0.002 (bf16 rounds)"
    )
    assert left_out == (
        "check: 22 left out, 2 of them answered otherwise: a threshold, or two labels, nearer than 0.002, so that "
        f"rounding may decide. Rows {', '.join(map(str, near[:20]))} and 2 more"
    )
    assert not _says_held(replace(found, near=(), exits=1, first=7), Path("p.parquet"))
    assert capsys.readouterr().err.endswith("(bf16 rounds); first at row 7\n")


def test_degraded_answers_are_named_where_they_may_be_why_the_rest_differs(capsys: pytest.CaptureFixture[str]) -> None:
    """How many there were, and where to look; nothing where all agree all the same."""
    found = Agreement(100, (), 0, labels=3, exits=9, scores=9, first=4, why="the same spans")
    assert not _says_held(found, Path("p.parquet"), degraded=9)
    assert capsys.readouterr().err.splitlines()[1] == (
        "check: 9 of them the edge answered in its cloud's place (degraded), and the predictions are of what the cloud "
        "answers. Look at the edge's log for why, and measure again."
    )
    assert _says_held(replace(found, labels=0, exits=0, scores=0, first=None), Path("p.parquet"), degraded=9)
    assert "degraded" not in capsys.readouterr().err


def test_a_codec_widens_the_tolerance_between_runtimes_alone(table: Table) -> None:
    """A feature beside the edge of a step takes the other one by a rounding; on the same runtime it does not."""
    plan = Plan.of(1, 0.5, codec="uint8")
    header = table({1: LOGITS[:1], 5: LOGITS[:1]}, [0], **(KNOWN | {"codec": "uint8"})).header
    assert tolerance(header, plan, [HERE, HERE])[0] == 0.0
    assert tolerance(header, plan, [HERE, None])[0] == WITHIN_CODED == 2e-3


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_no_tolerance_is_wider_than_two_thousandths(precision: Precision) -> None:
    """What was wider hid that a cut network is another one."""
    assert 0 < WITHIN[precision] <= 2e-3
