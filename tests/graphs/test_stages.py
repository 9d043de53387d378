"""A network cut: halves equal the whole in any batch, and a wrong halving is caught."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto

from made_graphs import CLASSES, Making, residual, tokens
from offramp.errors import InputError
from offramp.graphs.boundaries import find_boundaries
from offramp.graphs.boundary import Boundary
from offramp.graphs.check import TOLERANCE, checked
from offramp.graphs.look import Noise
from offramp.graphs.source import GraphSource
from offramp.graphs.stages import staged
from offramp.graphs.tensors import Array
from offramp.runtime.cut import extract


def run(graph: bytes, wanted: Sequence[str], fed: dict[str, Array]) -> dict[str, Array]:
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    taken = {value.name: fed[value.name] for value in session.get_inputs()}
    return dict(zip(wanted, session.run(list(wanted), taken), strict=True))


def halves(source: GraphSource, boundary: Boundary, size: int) -> tuple[Array, Array]:
    """The logits of a network that is cut at a boundary, and of the whole one."""
    fed = Noise.for_(source.model.graph, source.inputs).batch(size, seed=size)
    (truth,) = run(source.model.SerializeToString(), [source.output], fed).values()
    graph, crossing = staged(source, [boundary]), list(boundary.crossing(1))
    first, second = extract(graph, ["image"], crossing, "it"), extract(graph, crossing, ["features_2"], "it")
    (image,) = fed.values()
    between = run(first.SerializeToString(), crossing, {"image": image.astype(np.float32)})
    return run(second.SerializeToString(), ["features_2"], between)["features_2"], truth


def test_a_staged_graph_has_an_input_the_boundaries_and_the_logits() -> None:
    source = residual()
    offered = find_boundaries(source, check=False).offered
    model = onnx.load_model_from_string(staged(source, [offered[3], offered[5]]))
    onnx.checker.check_model(model, full_check=True)
    shapes = {
        value.name: [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {
        "image": ["batch", 2, 8, 8],
        "features_1": ["batch", 4, 8, 8],
        "features_2": ["batch", 4, 8, 8],
        "features_3": ["batch", CLASSES],
    }
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)


def test_boundaries_must_rise() -> None:
    source = residual()
    offered = find_boundaries(source, check=False).offered
    with pytest.raises(InputError) as caught:
        staged(source, [offered[5], offered[3]])
    assert str(caught.value) == "boundaries layers.1, layers.0: they must rise along the network."
    with pytest.raises(InputError, match="they must rise"):
        staged(source, [offered[3], offered[3]])


def test_a_network_of_two_inputs_must_be_made_one_of_one() -> None:
    source = tokens(mask="input")
    with pytest.raises(InputError, match=r"2 inputs \(ids, seen\), and a network has one here"):
        staged(source, [])


@pytest.mark.parametrize("mask", ["", "ids"])
def test_words_as_floats_are_the_same_words(mask: str) -> None:
    """The input crosses nodes as fp32; what is carried does as well."""
    source = tokens(mask=mask)
    for boundary in find_boundaries(source, check=False).offered:
        found, truth = halves(source, boundary, 3)
        np.testing.assert_allclose(found, truth, rtol=1e-5, atol=1e-6)


def test_features_of_half_precision_cross_as_fp32() -> None:
    making = Making()
    maps = making.op("Cast", making.conv(making.input(("N", 2, 4, 4)), 2, 4), to=TensorProto.FLOAT16)
    inner = making.op("Relu", maps)
    source = making.source(making.head(making.conv(making.op("Cast", inner, to=TensorProto.FLOAT), 4, 4), 4))
    boundary = next(one for one in find_boundaries(source).offered if one.main == maps)
    found, truth = halves(source, boundary, 2)
    np.testing.assert_array_equal(found, truth)


@st.composite
def networks(draw: st.DrawFn) -> GraphSource:
    """Residual, branching and attending networks, with the batch's size and the input used on the way."""
    making = Making(draw(st.integers(0, 99)))
    width = draw(st.sampled_from([2, 4]))
    image = making.input(("N", 1, 4, 4))
    features = making.conv(image, 1, width)
    for kind in draw(st.lists(st.sampled_from(sorted(PARTS)), min_size=1, max_size=5)):
        features = PARTS[kind](making, features, width, image)
    return making.source(making.head(features, width))


def branches(making: Making, features: str, width: int, _: str) -> str:
    """Three ways, joined and mixed."""
    ways = (making.conv(features, width, width, 1), making.op("Relu", making.conv(features, width, width)), features)
    return making.conv(making.op("Concat", *ways, axis=1), 3 * width, width, 1)


def attends(making: Making, features: str, width: int, _: str) -> str:
    """Tokens with a token before them that the batch's size expands, and maps again."""
    size = making.shape_of(features, 0)
    rows = making.op("Reshape", features, making.constant([0, width, 16], np.int64))
    rows = making.op("Transpose", rows, perm=[0, 2, 1])
    shape = making.op("Concat", size, making.constant([1, width], np.int64), axis=0)
    rows = making.op("Concat", making.op("Expand", making.weight(1, 1, width), shape), rows, axis=1)
    rows = making.attention(rows, width)
    rows = making.op("Slice", rows, *(making.constant([one], np.int64) for one in (1, 17, 1)))
    back = making.op("Concat", size, making.constant([width, 4, 4], np.int64), axis=0)
    return making.op("Reshape", making.op("Transpose", rows, perm=[0, 2, 1]), back)


def shuffles(making: Making, features: str, width: int, _: str) -> str:
    """Channels shuffled, by a shape that the batch's size is computed into; half of them convolved."""
    left, right = making.op("Split", features, outputs=2, axis=1, num_outputs=2).split(",")
    joined = making.op("Concat", left, making.conv(right, width // 2, width // 2), axis=1)
    size = making.op("Mul", making.shape_of(joined, 0), making.constant([1], np.int64))
    apart = making.op("Concat", size, making.constant([2, width // 2, 4, 4], np.int64), axis=0)
    turned = making.op("Transpose", making.op("Reshape", joined, apart), perm=[0, 2, 1, 3, 4])
    return making.op("Reshape", turned, making.op("Concat", size, making.constant([width, 4, 4], np.int64), axis=0))


def windows(making: Making, features: str, width: int, _: str) -> str:
    """Four windows a sample in the batch's axis, and back, a skip around them."""
    size = making.op("Mul", making.shape_of(features, 0), making.constant([4], np.int64))
    apart = making.op("Concat", size, making.constant([width * 4], np.int64), axis=0)
    inner = making.linear(making.op("Reshape", features, apart), width * 4, width * 4)
    whole = making.op("Div", size, making.constant([4], np.int64))
    back = making.op("Concat", whole, making.constant([width, 4, 4], np.int64), axis=0)
    return making.op("Add", making.op("Reshape", inner, back), features)


def looks_back(making: Making, features: str, width: int, image: str) -> str:
    """The input, once more."""
    return making.conv(making.op("Concat", features, image, axis=1), width + 1, width)


PARTS = {
    "residual": lambda making, features, width, _: making.residual(features, width),
    "branches": branches,
    "attends": attends,
    "shuffles": shuffles,
    "windows": windows,
    "looks back": looks_back,
}


@settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow])
@given(networks(), st.integers(1, 5))
def test_halves_equal_the_whole_at_every_boundary_in_any_batch(source: GraphSource, size: int) -> None:
    found = find_boundaries(source)
    assert found.offered
    assert not [one for one in found.refused if "halves" in one.why]
    for boundary in found.offered:
        cut, truth = halves(source, boundary, size)
        scale = float(np.abs(truth).max())
        assert np.abs(cut - truth).max() <= max(TOLERANCE, boundary.tolerance) * scale
        assert boundary.tolerance <= TOLERANCE


@settings(max_examples=4, suppress_health_check=[HealthCheck.too_slow])
@given(networks())
def test_a_cut_beside_which_something_is_left_out_is_caught(source: GraphSource) -> None:
    """At each tensor of the network that is no boundary, were it one alone."""
    found = find_boundaries(source, check=False)
    for one in found.offered:
        if len(one.tensors) > 1:
            assert caught(source, replace(one, tensors={one.main: one.tensors[one.main]}))
    offered = {one.main for one in found.offered}
    for node in source.model.graph.node:
        for name in set(node.output) - offered - {source.output}:
            shape = source.seen[name].sample
            if node.op_type not in ("Conv", "Relu", "MatMul") or shape is None:
                continue
            alone = Boundary(1, name, {name: shape}, "nchw", 1, 1, "inside", 0.0)
            if not caught(source, alone):  # another layout of what is offered
                cut, truth = halves(source, alone, 3)
                np.testing.assert_allclose(cut, truth, rtol=1e-4, atol=1e-5)


def caught(source: GraphSource, boundary: Boundary) -> bool:
    """Whether a cut there is refused because something else is needed past it."""
    try:
        staged(source, [boundary])
    except InputError as error:
        return "is needed past the boundary" in str(error)
    return False


def test_halves_that_differ_are_refused_by_name_with_the_number() -> None:
    """A part that grows with the batch up to four: what a look at batches of 2 and 3 does not show."""
    making = Making()
    features = making.conv(making.input(("N", 2, 4, 4)), 2, 4)
    few = making.op("Slice", features, *(making.constant([one], np.int64) for one in (0, 4, 0)))
    many = making.op("Greater", making.shape_of(few, 0), making.constant([4], np.int64))
    more = making.op("Add", making.op("Cast", many, to=TensorProto.FLOAT), making.constant([1.0]))
    source = making.source(making.head(making.op("Mul", making.conv(features, 4, 4), more), 4))
    found = find_boundaries(source, check=False)
    kept = checked(source, found)
    assert not kept.offered
    refused = kept.refused[len(found.refused) :]
    assert [one.name for one in refused] == [one.name for one in found.offered]
    assert refused[0].why.startswith("its halves differ from the whole by ")
    assert refused[0].why.endswith(" of the largest value, and 1e-04 is borne")
