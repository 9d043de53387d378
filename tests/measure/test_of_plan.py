"""Predictions by a plan's own spans are, to the last bit, what an edge and its cloud answer by."""

from dataclasses import fields, replace
from importlib.util import find_spec

import numpy as np
import pytest

from offramp import pretrained
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.engine import Engine
from offramp.artifacts.plan import Plan
from offramp.data.image_set import ImageSet, Splits
from offramp.errors import InputError
from offramp.exits.agreement import tolerance
from offramp.exits.answers import Answers, merge
from offramp.exits.evaluation import route
from offramp.export.quantize import quantize
from offramp.measure.predict import of_bundle, of_plan, open_predictor
from offramp.models.checkpoint import Checkpoint
from offramp.nodes.edge import Edge
from offramp.nodes.local_cloud import LocalCloud
from offramp.runtime.choice import Choice

needs_openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")
TWO = ({"exit": 2, "threshold": 0.6}, {"exit": 4, "threshold": 0.3})
PLANS = {
    "an exit": Plan.of(2, 0.6),
    "two exits, uint8": Plan.checked(active=TWO, cut=4, codec="uint8"),
    "a cut behind the exits, drop, fp16": Plan.checked(active=TWO, cut=6, codec="fp16", drop_threshold=0.7),
    "the image goes on": Plan.of(3, 0.3, cut=0, codec="uint8"),
    "a fixed cut": Plan.checked(active=[], cut=5),
    "all at the edge": Plan.checked(active=TWO, cut=9),
    "the last exit": Plan.of(9, 0.5),
    "all in the cloud": Plan.checked(active=[], cut=0, codec="uint8"),
}


@pytest.fixture(scope="module")
def few(digits: Splits) -> ImageSet:
    """Samples enough for every course."""
    return digits.test.rows(slice(96))


def answered(bundle: Bundle, plan: Plan, engine: Engine, images: ImageSet) -> Answers:
    """By an edge with its cloud in one process, in batches of a size of its own."""
    edge = Edge(bundle, plan, LocalCloud(bundle, engine), choice=Choice(engine))
    batch = bundle.manifest.preprocessing.from_uint8(images.images)
    starts = range(0, len(batch), 7)
    parts = [(np.arange(at, min(at + 7, len(batch))), edge.infer(batch[at : at + 7])) for at in starts]
    return merge(parts, len(batch))


def same(found: Answers, expected: Answers) -> bool:
    """Every number of every answer."""
    return all(np.array_equal(getattr(found, one.name), getattr(expected, one.name)) for one in fields(Answers))


COURSES = [
    pytest.param(Engine(runtime, precision, 1), name, marks=marks, id=f"{runtime} {precision}, {name}")
    for runtime, marks, names in (("onnxruntime", (), [*PLANS]), ("openvino", needs_openvino, [*PLANS][:2]))
    for precision in ("fp32", "int8")
    for name in names
]


@pytest.mark.parametrize(("engine", "name"), COURSES)
def test_an_edge_answers_bit_for_bit_as_predicted_by_its_plan(
    engine: Engine, name: str, int8_bundle: Bundle, few: ImageSet
) -> None:
    """Probabilities, labels, exits, scores and tiers, in fp32 and int8, whatever the batch size."""
    plan = PLANS[name]
    predictions = of_plan(int8_bundle, plan, engine).predict(few, "test")
    assert predictions.header.follows(plan)
    assert tolerance(predictions.header, plan, [predictions.header.place] * 2)[0] == 0
    assert same(answered(int8_bundle, plan, engine, few), route(predictions, plan))


def test_in_int8_the_graph_in_one_piece_is_another_network(digits: Splits) -> None:
    """What onnxruntime fuses inside a graph it cannot fuse over a cut: nodes answer as predicted by the plan alone."""
    engine, plan = Engine("onnxruntime", "int8", 1), Plan.of(2, 0.5)
    plain = Bundle.open(pretrained() / "bundle")
    pixels = np.random.default_rng(0).integers(0, 256, (48, 4, 4, 3), np.uint8).repeat(8, 1).repeat(8, 2)
    image = plain.manifest.preprocessing.from_uint8(pixels)
    bundle = replace(plain, graph_int8=quantize(plain.graph, image))
    images = replace(digits.test.rows(slice(48)), name="noise", images=pixels, classes=plain.manifest.classes)
    whole = of_bundle(bundle, engine=engine).predict(images, "test")
    cut = of_plan(bundle, plan, engine).predict(images, "test")
    assert (whole.at(whole.last) != cut.at(cut.last)).any(), "a test of nothing: choose another cut"
    assert same(answered(bundle, plan, engine, images), route(cut, plan))
    assert not whole.header.follows(plan)


def test_a_header_names_the_route(int8_bundle: Bundle, few: ImageSet) -> None:
    """Exits, cut, codec, form of the image, runtime with version, precision and processor: one route a file."""
    plan = PLANS["two exits, uint8"]
    header = of_plan(int8_bundle, plan).predict(few, "test").header
    assert (header.exits, header.active, header.cut, header.codec, header.image) == (
        (2, 4, 9),
        (2, 4),
        4,
        "uint8",
        "UINT8",
    )
    assert header.route == "exit 2, 4, cut at 4 in uint8"
    assert header.place.alike(header.place)
    assert header.release == Engine().release
    assert not header.follows(PLANS["an exit"])
    assert header.follows(plan.model_copy(update={"score": "margin"}))
    whole = of_bundle(int8_bundle, 4, "uint8").predict(few, "test").header
    assert whole.route == "the whole graph in one piece; the last exit by features cut at 4 in uint8"
    assert whole.active is None


def test_a_plan_that_cannot_be_followed_is_refused(bundle: Bundle, checkpoint: Checkpoint) -> None:
    """A cut that the bundle lacks, and a checkpoint, which is not cut."""
    with pytest.raises(InputError, match="exit 12"):
        of_plan(bundle, Plan.of(12, 0.3))
    with pytest.raises(InputError) as caught:
        open_predictor(checkpoint.path, plan=Plan.of(3, 0.3))
    assert str(caught.value) == (
        f"{checkpoint.path}: a checkpoint is not cut, and follows no plan. Export it, and predict the bundle."
    )
