"""Routing and measures against a naive re-implementation, and at their edges."""

import itertools
import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import scipy.special
import scipy.stats
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from offramp.artifacts.outcome import Outcome
from offramp.artifacts.plan import ActiveExit, Plan
from offramp.artifacts.predictions import Predictions, PredictionsHeader
from offramp.errors import InputError
from offramp.exits.answers import Answers, Tier
from offramp.exits.asked import Asked
from offramp.exits.evaluation import Evaluated, accuracy_at, evaluate, route

Table = Callable[..., Predictions]
LAST = 5
SURE, UNSURE = [9.0, -9.0], [0.0, 0.0]  # scores of about 1e-7, and exactly 1
QUARTERS = st.integers(-20, 20).map(lambda quarters: quarters / 4)  # ties are real ones, not lost in rounding


@st.composite
def measured(draw: st.DrawFn) -> tuple[Predictions, Plan]:
    """Predictions of a few samples and a plan that can follow them."""
    count, classes = draw(st.integers(0, 6)), draw(st.integers(2, 4))
    exits = (*sorted(draw(st.sets(st.integers(1, LAST - 1), max_size=3))), LAST)
    chosen = sorted(draw(st.sets(st.sampled_from(exits))))
    cut = draw(st.sampled_from([place for place in (0, *exits) if place == 0 or place >= (chosen or [0])[-1]]))
    active = tuple(ActiveExit(exit=exit_, threshold=draw(st.floats(0, 1))) for exit_ in chosen)
    drop = draw(st.none() | st.floats(active[-1].threshold, 1)) if active else None
    codec = draw(st.sampled_from(("fp32", "fp16", "uint8")))
    name = draw(st.sampled_from(("entropy", "max-probability", "margin", "patience")))
    crosses = {"cut": cut, "codec": codec} if codec != "fp32" and LAST not in (cut, *chosen) else {}
    header = PredictionsHeader(
        model="m", source="bundle:0", data="d", split="test", classes=tuple(map(str, range(classes))), exits=exits,
        **crosses,
    )  # fmt: skip
    logits = hnp.arrays(np.float32, (count, classes), elements=QUARTERS)
    labels = draw(hnp.arrays(np.int64, count, elements=st.integers(0, classes - 1)))
    predictions = Predictions(header, np.arange(count), labels, {exit_: draw(logits) for exit_ in exits})
    return predictions, Plan.checked(active=active, cut=cut, codec=codec, score=name, drop_threshold=drop)  # type: ignore[arg-type]


def naive_score(logits: npt.NDArray[np.float32], name: str) -> float:
    """The scores by their definitions, for one sample, by SciPy and plain Python."""
    p = scipy.special.softmax(logits.astype(np.float64))
    first, second = sorted(p, reverse=True)[:2]
    by_name = {
        "entropy": scipy.stats.entropy(p) / math.log(len(p)),
        "max-probability": (1 - first) / (1 - 1 / len(p)),
        "margin": 1 - (first - second),
    }
    return float(by_name[name])


def naive_patience(said: list[int]) -> float:
    """One over how many of the labels, from the last one back, are the same."""
    return 1 / len(list(itertools.takewhile(lambda label: label == said[-1], reversed(said))))


def naive_route(predictions: Predictions, plan: Plan, row: int) -> dict[str, Any]:
    """What the glossary says becomes of one sample."""
    last = predictions.header.exits[-1]
    said: list[int] = []
    for active in plan.active:
        logits = predictions.logits[active.exit][row]
        said.append(int(logits.argmax()))
        score = naive_patience(said) if plan.score == "patience" else naive_score(logits, plan.score)
        limits = [active.threshold] + ([plan.drop_threshold] if plan.drop_threshold is not None else [])
        assume(all(abs(score - limit) > 1e-9 for limit in limits))  # either way is right so close to a threshold
        answer = {"label": int(logits.argmax()), "exit": active.exit, "tier": Tier.EDGE, "score": score}
        if active.exit == last or score < active.threshold:
            return {**answer, "dropped": False}
        if active is plan.active[-1] and plan.drop_threshold is not None and score > plan.drop_threshold:
            return {**answer, "dropped": True}
    logits = predictions.logits[last][row]
    tier = Tier.EDGE if plan.cut == last else Tier.CLOUD
    if plan.score == "patience":  # the next tier starts anew
        score = naive_patience([*said, int(logits.argmax())] if tier == Tier.EDGE else [int(logits.argmax())])
    else:
        score = naive_score(logits, plan.score)
    return {"label": int(logits.argmax()), "exit": last, "tier": tier, "score": score, "dropped": False}


@settings(max_examples=200)
@given(case=measured())
def test_routing_is_what_becomes_of_each_sample_alone(case: tuple[Predictions, Plan]) -> None:
    """Vectorized routing gives each sample the label, exit, tier, score and mark that a loop over samples gives."""
    predictions, plan = case
    found = route(predictions, plan)
    assert len(found) == len(predictions)
    for row in range(len(predictions)):
        expected = naive_route(predictions, plan, row)
        score = expected.pop("score")
        assert {name: getattr(found, name)[row].item() for name in expected} == expected
        assert found.score[row] == pytest.approx(score, abs=1e-6)
    assert not found.degraded.any()
    again = Asked(predictions).answers(plan)
    assert (again.label == found.label).all()
    assert (again.exit == found.exit).all()


@given(case=measured())
def test_measures_are_those_of_a_count_by_hand(case: tuple[Predictions, Plan]) -> None:
    """Counts and accuracies of each tier equal those of a loop over samples."""
    predictions, plan = case
    found = route(predictions, plan)
    by_tier: dict[str, list[bool]] = {"edge": [], "cloud": [], "dropped": []}
    for row, label in enumerate(predictions.labels):
        tier = "dropped" if found.dropped[row] else "cloud" if found.tier[row] == Tier.CLOUD else "edge"
        by_tier[tier].append(bool(found.label[row] == label))
    every = [right for tier in by_tier.values() for right in tier]
    assert evaluate(found, predictions.labels) == Outcome(
        n=len(every),
        answered={tier: len(by_tier[tier]) for tier in ("edge", "cloud") if by_tier[tier]},
        accuracy={tier: float(np.mean(by_tier[tier])) for tier in ("edge", "cloud") if by_tier[tier]},
        overall=float(np.mean(every)) if every else None,
        dropped=len(by_tier["dropped"]),
        degraded=0,
    )


@given(case=measured())
def test_what_the_edge_would_say_of_what_it_leaves_to_the_cloud_is_counted_by_hand(
    case: tuple[Predictions, Plan],
) -> None:
    """At each exit from its first active one on, at the network's end as the cloud answers."""
    predictions, plan = case
    found = Evaluated.of(predictions, plan)
    rows = [row for row in range(len(predictions)) if found.answers.tier[row] == Tier.CLOUD]
    first = plan.active[0].exit if plan.active else 0
    exits = [k for k in predictions.header.exits if k >= first] if rows else []
    assert found.forwarded == {
        k: np.mean([predictions.at(k)[row].argmax() == predictions.labels[row] for row in rows]) for k in exits
    }
    assert found.forwarded.get(LAST) == found.outcome.right("cloud")


def test_where_no_sample_exits_the_edge_has_no_accuracy(table: Table) -> None:
    """It is None, and absent in documents: neither 0 nor NaN."""
    found = table({1: [SURE, SURE], LAST: [SURE, UNSURE]}, [0, 0])
    outcome = evaluate(route(found, Plan.of(1, 0)), found.labels)
    assert (outcome.local, outcome.answered) == (0, {"cloud": 2})
    assert outcome.right("edge") is None
    assert outcome.accuracy == {"cloud": 1.0}


def test_where_all_exit_the_cloud_has_no_accuracy(table: Table) -> None:
    """It is None, and the edge's is the overall one."""
    found = table({1: [SURE, SURE], LAST: [UNSURE, UNSURE]}, [0, 1])
    outcome = evaluate(route(found, Plan.of(1, 1)), found.labels)
    assert (outcome.local, outcome.count("cloud")) == (2, 0)
    assert outcome.right("cloud") is None
    assert outcome.accuracy == {"edge": 0.5}
    assert outcome.right("overall") == 0.5


def test_without_samples_there_is_no_accuracy_at_all(table: Table) -> None:
    """Every count is 0 and every accuracy None."""
    found = table({1: [], LAST: []}, [])
    assert evaluate(route(found, Plan.of(1, 0.5)), found.labels) == Outcome(
        n=0, answered={}, accuracy={}, overall=None, dropped=0, degraded=0
    )


def test_a_score_equal_to_the_threshold_goes_on(table: Table) -> None:
    """A uniform answer scores exactly 1, and at threshold 1 it goes to the cloud."""
    found = route(table({1: [UNSURE, SURE], LAST: [SURE, SURE]}, [0, 0]), Plan.of(1, 1))
    assert found.exit.tolist() == [LAST, 1]
    assert found.tier.tolist() == [Tier.CLOUD, Tier.EDGE]


def test_with_one_class_all_leave() -> None:
    """Every score is 0, which is below every threshold but 0."""
    header = PredictionsHeader(model="m", source="s", data="d", split="test", classes=("all",), exits=(1, LAST))
    logits = {exit_: np.zeros((3, 1), np.float32) for exit_ in (1, LAST)}
    found = route(Predictions(header, np.arange(3), np.zeros(3, np.int64), logits), Plan.of(1, 0.01))
    assert found.exit.tolist() == [1, 1, 1]
    assert found.score.tolist() == [0, 0, 0]


def test_the_last_exit_answers_everything(table: Table) -> None:
    """With the last exit active there is nowhere to go on to: its threshold holds nobody back."""
    found = route(table({1: [SURE], LAST: [UNSURE]}, [0]), Plan.of(LAST, 0))
    assert (found.exit.tolist(), found.tier.tolist()) == ([LAST], [Tier.EDGE])


def test_a_network_that_ends_at_the_edge_has_no_cloud(table: Table) -> None:
    """Cut at the end, what does not leave is answered by the last exit at the edge."""
    found = route(table({1: [UNSURE], LAST: [SURE]}, [0]), Plan.of(1, 0.5, cut=LAST))
    assert (found.exit.tolist(), found.tier.tolist()) == ([LAST], [Tier.EDGE])


def test_without_an_exit_the_cloud_answers_everything(table: Table) -> None:
    """A plan that only cuts sends every sample."""
    found = route(table({1: [SURE], LAST: [SURE]}, [0]), Plan.checked(active=(), cut=1))
    assert (found.exit.tolist(), found.tier.tolist()) == ([LAST], [Tier.CLOUD])


def test_a_dropped_sample_counts_in_the_overall_accuracy_only(table: Table) -> None:
    """Nobody was sure of it: it spoils neither the edge's accuracy nor the cloud's."""
    found = table({1: [SURE, UNSURE], LAST: [SURE, SURE]}, [0, 1])
    answers = route(found, Plan.of(1, 0.5, drop_threshold=0.9))
    assert answers.dropped.tolist() == [False, True]
    assert evaluate(answers, found.labels) == Outcome(
        n=2, answered={"edge": 1}, accuracy={"edge": 1.0}, overall=0.5, dropped=1, degraded=0
    )


def test_labels_do_not_reach_the_routing(table: Table) -> None:
    """The same logits with other labels are routed the same."""
    logits = {1: [SURE, UNSURE], LAST: [SURE, SURE]}
    routed = [route(table(logits, labels), Plan.of(1, 0.5)) for labels in ([0, 0], [1, 1])]
    assert routed[0].exit.tolist() == routed[1].exit.tolist()
    assert routed[0].label.tolist() == routed[1].label.tolist()


def test_an_exit_that_is_lacking_is_refused(table: Table) -> None:
    """The message names the exits that were measured."""
    message = "exit 3: these predictions have the exits 1, 5. Choose one of them."
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        route(table({1: [SURE], LAST: [SURE]}, [0]), Plan.of(3, 0.5))


WHOLE, EXACT = "the whole graph in one piece", "features that no codec has changed"
CROSSINGS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {"codec": "uint8"},
     f"{WHOLE}, where exit {LAST} saw {EXACT}. By this plan it sees features that crossed cut 1 in uint8"),
    ({"cut": 1, "codec": "uint8"}, {},
     f"{WHOLE}; the last exit by features cut at 1 in uint8, where exit {LAST} saw features that crossed cut 1 in "
     f"uint8. By this plan it sees {EXACT}"),
    ({"cut": 0, "codec": "fp16"}, {"codec": "fp16"},
     f"{WHOLE}; the last exit by features cut at 0 in fp16, where exit {LAST} saw features that crossed cut 0 in fp16. "
     "By this plan it sees features that crossed cut 1 in fp16"),
]  # fmt: skip


@pytest.mark.parametrize(("header", "options", "said"), CROSSINGS)
def test_predictions_of_another_crossing_are_refused(
    table: Table, header: dict[str, Any], options: dict[str, Any], said: str
) -> None:
    """Logits measured with another codec or cut are not what the cloud would answer."""
    message = (
        f"predictions: measured by {said}, and answers otherwise. Measure by the plan: offramp predict BUNDLE --exit 1 "
        f"--cut 1 --codec {options.get('codec', 'fp32')} --runtime onnxruntime --precision fp32"
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        route(table({1: [SURE], LAST: [SURE]}, [0], **header), Plan.of(1, 0.5, **options))


def test_below_fp32_a_plan_cut_elsewhere_is_refused(table: Table) -> None:
    """Its numbers are others. The plan that was measured, at any threshold, and the whole graph give them."""
    logits = {1: [SURE], 3: [SURE], LAST: [SURE]}
    by_plan = table(logits, [0], precision="int8", active=(1,), cut=1)
    assert len(route(by_plan, Plan.of(1, 0.9))) == 1
    with pytest.raises(InputError) as caught:
        route(by_plan, Plan.of(1, 0.5, cut=3))
    assert str(caught.value) == (
        "predictions: measured by exit 1, cut at 1 in fp32, and the plan is exit 1, cut at 3 in fp32: in int8 its "
        "numbers are others. Measure by the plan: offramp predict BUNDLE --exit 1 --cut 3 --codec fp32 --runtime "
        "onnxruntime --precision int8"
    )
    assert len(route(table(logits, [0], precision="int8"), Plan.of(1, 0.5, cut=3))) == 1
    assert len(route(table(logits, [0], active=(1,), cut=1), Plan.of(1, 0.5, cut=3))) == 1  # in fp32 they are the same


def test_a_codec_matters_only_where_something_crosses(table: Table) -> None:
    """Cut at the end, a plan's codec is never used, and fp32 predictions answer for it."""
    found = route(table({1: [UNSURE], LAST: [SURE]}, [0]), Plan.of(1, 0.5, cut=LAST, codec="uint8"))
    assert found.exit.tolist() == [LAST]


def test_accuracy_at_an_exit_is_over_all_samples(table: Table) -> None:
    """As if none left before: one of three right at exit 1, two at the last."""
    yes, no = [0.0, 1.0], [1.0, 0.0]
    found = table({1: [no, yes, no], LAST: [no, yes, yes]}, [0, 0, 1])
    assert accuracy_at(found, 1) == pytest.approx(1 / 3)
    assert accuracy_at(found, LAST) == pytest.approx(2 / 3)


def test_accuracy_of_no_sample_is_none(table: Table) -> None:
    """An empty table has no accuracy, rather than the mean of nothing."""
    assert accuracy_at(table({1: [], LAST: []}, []), 1) is None


def test_labels_that_are_too_few_are_refused(table: Table) -> None:
    """One label for each answer."""
    answers: Answers = route(table({1: [SURE, SURE], LAST: [SURE, SURE]}, [0, 0]), Plan.of(1, 0.5))
    with pytest.raises(InputError, match=f"^{re.escape('labels: expected 2, one for each answer, got 1.')}$"):
        evaluate(answers, np.array([0]))


def test_a_degraded_answer_is_its_tiers_and_counted(table: Table) -> None:
    """It was given where it was given, and how often that happened is not a constant."""
    found = table({1: [SURE, UNSURE], LAST: [SURE, SURE]}, [0, 0])
    answers = replace(route(found, Plan.of(1, 0.5)), degraded=np.array([False, True]))
    assert evaluate(answers, found.labels).degraded == 1


THREE = {
    "device": {"active": [{"exit": 1, "threshold": 0.5}], "cut": 2},
    "edge": {"active": [{"exit": 3, "threshold": 0.5}], "cut": 3},
}


def test_three_tiers_answer_what_reaches_them(table: Table) -> None:
    """The device at exit 1, the edge behind its cut at exit 3, the cloud the rest."""
    found = table({1: [SURE, UNSURE, UNSURE], 3: [UNSURE, SURE, UNSURE], LAST: [SURE, SURE, SURE]}, [0, 0, 1])
    answers = route(found, Plan.model_validate({"tiers": THREE}))
    assert answers.exit.tolist() == [1, 3, LAST]
    assert answers.tier.tolist() == [Tier.DEVICE, Tier.EDGE, Tier.CLOUD]
    assert evaluate(answers, found.labels).accuracy == {"device": 1.0, "edge": 1.0, "cloud": 0.0}


def test_a_chain_whose_features_lose_needs_predictions_of_its_own(table: Table) -> None:
    """What the edge's exit says of features in uint8 is not what the graph in one piece says."""
    plan = Plan.model_validate({"tiers": THREE | {"device": THREE["device"] | {"codec": "uint8"}}})
    with pytest.raises(InputError) as caught:
        route(table({1: [SURE], 3: [SURE], LAST: [SURE]}, [0]), plan)
    assert str(caught.value) == (
        f"predictions: measured by {WHOLE}, where exit 3 saw {EXACT}. By this plan it sees features that crossed cut 2 "
        "in uint8, and answers otherwise. Measure by the plan: offramp predict BUNDLE --plan PLAN --runtime "
        "onnxruntime --precision fp32"
    )
