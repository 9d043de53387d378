"""A course: three tiers in a row, a middle one that exits, and one course swapped for another in mid-batch."""

import json
from concurrent.futures import Future
from dataclasses import dataclass, fields

import numpy as np
import pytest

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.engine import Engine
from offramp.artifacts.outcome import TIER_NAMES
from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.data.image_set import Splits
from offramp.errors import InputError
from offramp.exits.answers import Answers, Tier
from offramp.exits.evaluation import route
from offramp.nodes.edge import Edge
from offramp.nodes.edge_model import EdgeModel
from offramp.nodes.flight import Answered, Flight
from offramp.nodes.local_cloud import LocalCloud
from offramp.nodes.route import Course
from offramp.nodes.upstream import Finished, at_once
from offramp.protocol.served import Array, Call
from offramp.runtime.open import open_span
from offramp.runtime.span import SpanSpec

ONE_THREAD = Engine(threads=1)


@dataclass(frozen=True)
class Middle:
    """The tier behind, in memory: it takes a flight's features where the tier before cut, and answers what it can."""

    edge: Edge

    def check(self, course: Course, timeout: float) -> None:
        """Ask the one behind it."""
        self.edge.check(timeout)

    def finish(self, flight: Flight, timeout: float, *_: object) -> Future[Finished]:
        """Give answers, whoever gave them."""
        return at_once(lambda: Finished(self.edge.infer(flight.features, timeout=timeout)))


def three(device: dict[str, object], edge: dict[str, object]) -> Plan:
    """A plan for a device, an edge and, behind both, the cloud."""
    return Plan.model_validate({"tiers": {"device": device, "edge": edge}})


def left_at(exit_: int, threshold: float, cut: int | None = None, codec: str = "fp32") -> dict[str, object]:
    """A tier's part with one exit."""
    active = [{"exit": exit_, "threshold": threshold}]
    return {"active": active, "cut": exit_ if cut is None else cut, "codec": codec}


def relay(cut: int, codec: str = "fp32") -> dict[str, object]:
    """A tier's part without an exit."""
    return {"active": [], "cut": cut, "codec": codec}


@pytest.fixture(scope="module")
def image(bundle: Bundle, digits: Splits) -> Array:
    """The test set."""
    return bundle.manifest.preprocessing.from_uint8(digits.test.images)


def device_of(bundle: Bundle, plan: Plan) -> Edge:
    """Three tiers by one plan, each of which knows the next."""
    cloud = LocalCloud(bundle, ONE_THREAD)
    middle = Middle(Edge(bundle, plan, cloud, threads=1, tier=Tier.EDGE))
    return Edge(bundle, plan, middle, threads=1, tier=Tier.DEVICE)


def same(found: Answers, expected: Answers, within: float = 0.0) -> None:
    """As one tier after another would answer by predictions alone, in the caller's order."""
    for field in fields(Answers):
        one, other = (getattr(answers, field.name) for answers in (found, expected))
        if one.dtype == np.float32:
            np.testing.assert_allclose(one, other, rtol=0, atol=within)
        else:
            assert np.array_equal(one, other), field.name


@pytest.mark.parametrize(
    "plan",
    [
        three(left_at(2, 0.3), left_at(5, 0.2)),
        three(left_at(2, 0.3, cut=3), left_at(5, 0.2, cut=7)),
        three(left_at(2, 0.3), relay(6)),
        three(relay(2), left_at(5, 0.2)),
        three(relay(0), left_at(3, 0.2)),
        three(relay(0), left_at(3, 0.2, cut=0)),
        three(left_at(2, 0.3, cut=0), relay(0)),
        three(relay(4), relay(4)),
        three(left_at(2, 0.3), left_at(9, 1.0)),
        three(left_at(2, 0.3), relay(9)),
    ],
    ids=str,
)
def test_each_tier_answers_what_it_is_sure_of(
    bundle: Bundle, predictions: Predictions, image: Array, plan: Plan
) -> None:
    """With its name and its exit, every row in the caller's place: what the evaluation says of the same plan."""
    same(device_of(bundle, plan).infer(image), route(predictions, plan))


def test_three_tiers_answer_one_batch(bundle: Bundle, image: Array) -> None:
    """Some rows each: the test above compares something."""
    answers = device_of(bundle, three(left_at(2, 0.3), left_at(5, 0.2))).infer(image)
    assert {(int(tier), int(exit_)) for tier, exit_ in zip(answers.tier, answers.exit, strict=True)} == {
        (Tier.DEVICE, 2),
        (Tier.EDGE, 5),
        (Tier.CLOUD, 9),
    }


@pytest.mark.parametrize(
    "plan",
    [
        three(left_at(2, 0.0, codec="uint8"), left_at(5, 0.0, codec="fp16")),
        three(relay(4, "uint8"), relay(4, "fp16")),
        three(relay(0, "uint8"), left_at(3, 0.0, cut=0, codec="uint8")),
        three(relay(0, "uint8"), left_at(3, 0.0, cut=0, codec="fp32")),
        three(relay(0, "fp16"), relay(0, "uint8")),
    ],
    ids=str,
)
def test_features_cross_each_cut_in_its_own_codec(
    bundle: Bundle, predictions: Predictions, image: Array, plan: Plan
) -> None:
    """One that a tier only hands on in another is translated."""
    middle = Middle(Edge(bundle, plan, LocalCloud(bundle, ONE_THREAD), threads=1))
    device = Edge(bundle, plan, middle, threads=1, tier=Tier.DEVICE)
    (flight,) = device.parts(image)
    assert isinstance(flight, Flight)
    (onward,) = middle.edge.parts(flight.features)
    assert isinstance(onward, Flight)
    dtypes = {"fp32": np.float32, "fp16": np.float16, "uint8": np.uint8}
    for tier, sent in ((plan.tiers["device"], flight), (plan.tiers["edge"], onward)):
        assert [tensor.dtype for tensor in sent.features.values()] == [dtypes[tier.codec]]
        assert list(sent.features) == list(bundle.manifest.tensors(tier.cut))
    whole = route(predictions, three(relay(4), relay(4)))
    assert np.mean(device.infer(image).label == whole.label) > 0.97


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (
            {"features_3": np.zeros((2, 1, 1, 1), np.float32)},
            "features_3: expected shape (N, 16, 4, 4), batch first, got (2, 1, 1, 1).",
        ),
        ({"image": np.zeros((2, 1, 16, 16), np.float32)}, "inputs: expected exactly one, 'features_3', got image."),
        (np.zeros((2, 16, 4, 4), np.uint8), "features_3: expected FP32, got UINT8."),
    ],
)
def test_a_tier_s_input_is_checked(bundle: Bundle, batch: Array | dict[str, Array], message: str) -> None:
    """It comes from another node."""
    edge = Edge(bundle, three(relay(3), left_at(5, 0.2)), LocalCloud(bundle, ONE_THREAD), threads=1)
    with pytest.raises(InputError) as caught:
        edge.infer(batch)
    assert str(caught.value) == message


def test_the_only_tensor_of_a_tier_s_input_need_not_be_named(bundle: Bundle, image: Array) -> None:
    """Nor need the first tier's images, and they may be."""
    features = open_span(bundle, SpanSpec(0, 3, gives="fp32"), ONE_THREAD).run(image[:4])
    edge = Edge(bundle, three(relay(3), left_at(5, 0.2)), LocalCloud(bundle, ONE_THREAD), threads=1)
    same(edge.infer(features["features_3"]), edge.infer(features))
    first = Edge(bundle, FIRST, LocalCloud(bundle, ONE_THREAD), threads=1)
    same(first.infer({"image": image[:4]}), first.infer(image[:4]))


def test_a_node_without_a_part_in_the_plan_is_refused(bundle: Bundle) -> None:
    """It would not know where to begin."""
    with pytest.raises(InputError) as caught:
        Edge(bundle, Plan.of(3, 0.3), LocalCloud(bundle, ONE_THREAD), threads=1, tier=Tier.DEVICE)
    assert str(caught.value) == "plan: it is for edge, and this node is the device. Give it a plan for it."


def test_tiers_are_numbered_as_plans_name_them() -> None:
    """A course finds its part by this."""
    assert [tier.name.lower() for tier in Tier] == list(TIER_NAMES)


FIRST, SECOND = Plan.of(2, 0.3), Plan.of(5, 0.2)


def test_a_batch_ends_by_the_course_that_it_began_by(bundle: Bundle, predictions: Predictions, image: Array) -> None:
    """Swapped between two of its parts: the next batch begins by the new one, and the model tells of that."""
    edge = Edge(bundle, FIRST, LocalCloud(bundle, ONE_THREAD), threads=1)
    model = EdgeModel(edge)
    batch = edge.parts(image)
    left = next(batch)
    assert isinstance(left, Answered)
    edge.follow(SECOND)
    assert Plan.parse(model.config["plan"], "config") == edge.plan == SECOND
    (flight,) = batch
    assert isinstance(flight, Flight)
    assert list(flight.features) == ["features_2"]
    rest = edge.send(flight)()
    assert left.answers is not None
    assert rest.answers is not None
    expected = route(predictions, FIRST)
    same(left.answers, expected.rows(left.rows))
    same(rest.answers, expected.rows(rest.rows))
    same(edge.infer(image), route(predictions, SECOND))


def test_a_request_s_options_change_the_plan_in_force(bundle: Bundle, image: Array) -> None:
    """And not the one that was in force when the model was made."""
    edge = Edge(bundle, FIRST, LocalCloud(bundle, ONE_THREAD), threads=1)
    model = EdgeModel(edge)
    call = Call({"image": image[:8]}, {"threshold": 1.0})
    for plan in (FIRST, SECOND, FIRST):
        edge.follow(plan)
        (part,) = model.stream(call)
        assert not hasattr(part, "answer")
        assert part.outputs["exit"].tolist() == [plan.exit] * 8
        assert json.loads(model.config["plan"]) == json.loads(plan.to_json())


def test_spans_of_a_course_that_is_left_are_kept_as_those_of_requests_are(bundle: Bundle) -> None:
    """No longer for good."""
    edge = Edge(bundle, FIRST, LocalCloud(bundle, ONE_THREAD), threads=1)
    before, spec = dict(edge.spans.own), SpanSpec(0, 5, (5,), "fp32")
    edge.follow(SECOND)
    assert list(edge.spans.own) == [spec]
    assert edge.course.route.exits[0].span is edge.spans.own[spec]
    assert edge.spans.others == before


def test_a_plan_that_cannot_be_followed_changes_nothing(bundle: Bundle, image: Array) -> None:
    """The course in force stays."""
    edge = Edge(bundle, Plan.of(9, 1.0), threads=1)
    course = edge.course
    with pytest.raises(InputError):
        edge.follow(FIRST)
    assert edge.course is course
    assert edge.infer(image[:2]).exit.tolist() == [9, 9]
