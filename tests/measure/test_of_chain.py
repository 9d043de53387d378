"""Predictions by a chain's own spans are, to the last bit, what its tiers answer one after another."""

from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.engine import Engine
from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.cli.plans import Said, each_plan, one_plan
from offramp.data.image_set import ImageSet, Splits
from offramp.errors import InputError
from offramp.exits.agreement import tolerance
from offramp.exits.answers import Answers, Judged, Tier, merge, tier_number
from offramp.exits.asked import Asked
from offramp.exits.evaluation import evaluate, route
from offramp.measure.predict import of_bundle, of_plan
from offramp.nodes.flight import Answered, Flight, parts
from offramp.nodes.route import Course
from offramp.runtime.open import open_span
from offramp.runtime.tier_spans import tail_span

ENGINE = Engine(threads=1)
CODECS = ("fp32", "fp16", "uint8")


def part(*exits: tuple[int, float], cut: int, codec: str = "fp32", drop: float | None = None) -> dict[str, Any]:
    """A tier's part."""
    active = [{"exit": k, "threshold": t} for k, t in exits]
    return {"active": active, "cut": cut, "codec": codec, "drop_threshold": drop}


def chain(device: dict[str, Any], edge: dict[str, Any] | None = None, score: str = "entropy") -> Plan:
    """A device before the cloud, or a device and an edge."""
    tiers = {"device": device} if edge is None else {"device": device, "edge": edge}
    return Plan.model_validate({"tiers": tiers, "score": score})


CHAINS = {
    **{f"2 tiers, {codec}": chain(part((2, 0.4), (3, 0.3), cut=4, codec=codec)) for codec in CODECS},
    **{
        f"3 tiers, {one} {other}": chain(part((2, 0.4), cut=2, codec=one), part((4, 0.4), (5, 0.3), cut=6, codec=other))
        for one in CODECS
        for other in CODECS
    },
    "the image goes to the edge": chain(part(cut=0, codec="uint8"), part((3, 0.4), cut=4, codec="uint8")),
    "and back to the cloud": chain(
        part((2, 0.3), cut=0, codec="uint8"), part((3, 0.3), (4, 0.3), cut=0, codec="uint8")
    ),
    "the edge relays": chain(part((2, 0.3), cut=3, codec="fp16"), part(cut=3, codec="fp16")),
    "and in another codec": chain(part((2, 0.3), cut=3, codec="fp16"), part(cut=3, codec="uint8")),
    "the edge answers all": chain(part((2, 0.3), cut=3, codec="uint8"), part((5, 0.2), cut=9)),
    "its last exit does": chain(part((2, 0.3), cut=3, codec="uint8"), part((9, 0.2), cut=9)),
    "patience": chain(part((2, 0.6), (3, 0.6), cut=3, codec="uint8"), part((4, 0.6), (5, 0.6), cut=5), "patience"),
    "dropped": chain(part((2, 0.3), cut=2, codec="uint8", drop=0.9), part((4, 0.3), cut=4, drop=0.8)),
}


@pytest.fixture(scope="module")
def few(digits: Splits) -> ImageSet:
    """Samples enough for every tier."""
    return digits.test.rows(slice(96))


def in_turn(bundle: Bundle, plan: Plan, images: ImageSet) -> Answers:
    """By each tier's course, one after another, then by the tail: every answer in the caller's order."""
    manifest, opened = bundle.manifest, partial(open_span, bundle, engine=ENGINE)
    came = dict.fromkeys(manifest.tensors(0), manifest.preprocessing.from_uint8(images.images))
    rows, found, last = np.arange(len(images)), [], None
    for name in plan.tiers:
        course, last = Course.of(plan, manifest, opened, tier_number(name)), None
        for one in parts(course, came):
            if isinstance(one, Answered):
                found.append((rows[one.rows], one.answers))
            else:
                last = one
        if last is None:
            return merge(found, len(images))
        rows, came = rows[last.rows], last.features
    assert isinstance(last, Flight)
    spec = tail_span(manifest.last, last.course.part.cut, last.course.part.codec)
    (logits,) = opened(spec).run(*came.values()).values()
    judged = Judged.of(logits, plan.score)
    return merge([*found, (rows, judged.answers(manifest.last, Tier.CLOUD))], len(images))


@pytest.mark.parametrize("plan", CHAINS.values(), ids=CHAINS)
def test_a_chain_answers_bit_for_bit_as_predicted_by_its_plan(plan: Plan, bundle: Bundle, few: ImageSet) -> None:
    """Probabilities, labels, exits, scores and tiers, of 2 and 3 tiers in every codec."""
    predictions = of_plan(bundle, plan, ENGINE).predict(few, "test")
    assert predictions.header.follows(plan)
    assert tolerance(predictions.header, plan, [predictions.header.place] * 2)[0] == 0
    found, expected = route(predictions, plan), in_turn(bundle, plan, few)
    for one in fields(Answers):
        np.testing.assert_array_equal(getattr(found, one.name), getattr(expected, one.name), err_msg=one.name)
    asked = Asked(predictions).answers(plan)
    np.testing.assert_array_equal(asked.label, expected.label)
    assert sum(evaluate(found, few.labels).answered.values()) + int(found.dropped.sum()) == len(few)


@pytest.fixture(scope="module")
def lossy(bundle: Bundle, few: ImageSet) -> Predictions:
    """Of a chain that loses at both hops."""
    return of_plan(bundle, CHAINS["3 tiers, uint8 fp16"], ENGINE).predict(few, "test")


def test_a_file_holds_the_whole_route(lossy: Predictions, tmp_path: Path) -> None:
    """In words, and through its parquet."""
    lossy.write(tmp_path / "chain.parquet")
    header = Predictions.read(tmp_path / "chain.parquet").header
    assert header == lossy.header
    assert header.route == "exit 2, cut at 2 in uint8, then exit 4, 5, cut at 6 in fp16"
    assert '"behind"' in header.to_json()


def test_of_one_tier_the_file_is_as_it_was(bundle: Bundle, few: ImageSet) -> None:
    """A program that knows no chains reads it."""
    header = of_plan(bundle, Plan.of(2, 0.5, codec="uint8"), ENGINE).predict(few, "test").header
    assert '"behind"' not in header.to_json()
    assert (header.active, header.cut, header.codec) == ((2,), 2, "uint8")


def test_another_codec_or_cut_at_any_hop_is_refused(lossy: Predictions) -> None:
    """What lay before an exit is said of both."""
    edge = part((4, 0.4), (5, 0.3), cut=6, codec="fp16")
    with pytest.raises(InputError) as caught:
        route(lossy, chain(part((2, 0.4), cut=2), edge))
    assert str(caught.value) == (
        f"predictions: measured by {lossy.header.route}, where exit 4 saw features that crossed cut 2 in uint8. By "
        "this plan it sees features that no codec has changed, and answers otherwise. Measure by the plan: offramp "
        "predict BUNDLE --plan PLAN --runtime onnxruntime --precision fp32"
    )
    with pytest.raises(InputError, match="exit 9 saw features that crossed cut 2 in uint8 and cut 6 in fp16"):
        route(lossy, chain(part((2, 0.4), cut=2, codec="uint8"), {**edge, "cut": 5}))


def test_in_fp32_the_whole_graph_stands_for_a_chain(bundle: Bundle, few: ImageSet) -> None:
    """And where one codec was measured, for the chains that lose there alone."""
    whole = of_bundle(bundle, engine=ENGINE).predict(few, "test")
    plan = CHAINS["3 tiers, fp32 fp32"]
    assert np.array_equal(route(whole, plan).label, in_turn(bundle, plan, few).label)
    at_last = of_bundle(bundle, 6, "uint8", ENGINE).predict(few, "test")
    plan = CHAINS["3 tiers, fp32 uint8"]
    assert np.array_equal(route(at_last, plan).label, in_turn(bundle, plan, few).label)
    with pytest.raises(InputError, match="By this plan it sees features that crossed cut 2 in uint8"):
        route(at_last, CHAINS["3 tiers, uint8 uint8"])


def test_an_exit_at_two_tiers_is_refused(bundle: Bundle) -> None:
    """The image that went on is asked again where it was asked before."""
    with pytest.raises(InputError, match=r"^plan: exit 2 is asked at two tiers"):
        of_plan(bundle, chain(part((2, 0.3), cut=0), part((2, 0.3), cut=4)), ENGINE)


def test_options_say_nothing_of_a_chain(lossy: Predictions, tmp_path: Path) -> None:
    """`evaluate` needs the plan's file for it; by that it is answered."""
    for asked in (one_plan, each_plan):
        with pytest.raises(InputError, match=r"^predictions: of a chain \(exit 2, .*\), .* --plan FILE$"):
            asked(Said(exits=(2,), thresholds=(0.4,)), lossy.header)
    plan = CHAINS["3 tiers, uint8 fp16"]
    plan.write(tmp_path / "plan.json")
    assert one_plan(Said(plan=tmp_path / "plan.json"), lossy.header) == plan
