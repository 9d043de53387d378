"""Where networks of each kind can be cut: what is offered, by which name, and why not elsewhere."""

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from onnx import TensorProto

from made_graphs import CLASSES, Making, residual, tokens
from offramp.errors import InputError
from offramp.graphs.boundaries import Boundaries, Boundary, find_boundaries
from offramp.graphs.choose import choose_exits
from offramp.graphs.pick import pick


def words(found: Boundaries) -> list[tuple[str, str]]:
    return [(one.name, one.at) for one in found.offered]


@pytest.fixture(scope="module")
def found() -> Boundaries:
    return find_boundaries(residual())


def test_boundaries_are_called_by_their_modules_and_ends_of_blocks_are_told(found: Boundaries) -> None:
    """`layers` holds more than half of the multiply-adds: its children are the blocks."""
    assert words(found) == [
        ("stem", "inside"), ("act", "end"),
        ("layers.0/Add", "inside"), ("layers.0", "end"),
        ("layers.1/Add", "inside"), ("layers.1", "end"),
        ("layers.2/Add", "inside"), ("layers.2", "end"),
        ("v18", "inside"),
    ]  # fmt: skip
    assert found.offered[7].also == ("layers",)
    assert [one.number for one in found.offered] == list(range(1, 10))


def test_a_skip_is_why_nothing_inside_of_a_block_is_a_boundary(found: Boundaries) -> None:
    assert [(one.name, one.why) for one in found.refused] == [
        ("layers.0", "3 tensors inside are not alone: act (until Add) is needed past it"),
        ("layers.1", "3 tensors inside are not alone: layers.0 (until Add) is needed past it"),
        ("layers.2", "3 tensors inside are not alone: layers.1 (until Add) is needed past it"),
    ]


def test_multiply_adds_before_and_after_are_counted(found: Boundaries) -> None:
    """Convolutions over 8 x 8 places, and the head."""
    stem, block = 64 * 4 * 2 * 9, 2 * 64 * 4 * 4 * 9
    assert found.macs == stem + 3 * block + 4 * CLASSES
    layer = found.offered[3]
    assert (layer.macs_before, layer.macs_after) == (stem + block, 2 * block + 4 * CLASSES)


def test_each_boundary_says_what_a_head_stands_on(found: Boundaries) -> None:
    assert {(one.kind, *one.tensors.values()) for one in found.offered} == {("nchw", (4, 8, 8)), ("vector", (4,))}
    assert all(one.tolerance < 1e-5 for one in found.offered)


def test_the_same_numbers_in_another_layout_are_one_boundary() -> None:
    """Maps become tokens by a reshape and a transposition."""
    making = Making()
    maps = making.conv(making.input(("N", 2, 4, 4)), 2, 6)
    rows = making.op("Reshape", maps, making.constant([0, 6, 16], np.int64))
    tokens = making.linear(making.op("Transpose", rows, perm=[0, 2, 1]), 6, 5)
    source = making.source(
        making.linear(making.op("ReduceMean", tokens, making.constant([1], np.int64), keepdims=0), 5, CLASSES)
    )
    assert [(one.kind, *one.tensors.values()) for one in find_boundaries(source).offered] == [
        ("tokens", (16, 6)), ("tokens", (16, 5)), ("vector", (5,)),
    ]  # fmt: skip


def test_a_number_among_the_tensors_has_no_channels() -> None:
    """As torch's older exporter has them: what attention is divided by comes from a shape, as a value without axes."""
    making = Making()
    tokens = making.linear(making.input(("N", 4, 6)), 6, 6)
    width = making.op("Gather", making.op("Shape", tokens), making.constant(2, np.int64))
    divided = making.op("Div", tokens, making.op("Sqrt", making.op("Cast", width, to=TensorProto.FLOAT)))
    inverse = making.op("Div", making.constant(1.0), making.op("Cast", width, to=TensorProto.FLOAT))
    pooled = making.op("ReduceMean", making.op("Mul", inverse, divided), making.constant([1], np.int64), keepdims=0)
    source = making.source(making.linear(pooled, 6, CLASSES))
    assert {one.kind for one in find_boundaries(source).offered} == {"tokens", "vector"}


def test_channels_are_where_the_ops_say_and_not_where_the_shape_does() -> None:
    """A matrix product over maps has its channels last; a convolution over a series has them first."""
    making = Making()
    last = making.linear(making.input(("N", 5, 5, 5)), 5, 5)
    pooled = making.op("ReduceMean", last, making.constant([1, 2], np.int64), keepdims=0)
    assert find_boundaries(making.source(making.linear(pooled, 5, CLASSES))).offered[0].kind == "nhwc"
    making = Making()
    series = making.op("Conv", making.input(("N", 4, 9)), making.weight(4, 4, 3), kernel_shape=[3], pads=[1, 1])
    pooled = making.op("ReduceMean", series, making.constant([2], np.int64), keepdims=0)
    assert find_boundaries(making.source(making.linear(pooled, 4, CLASSES))).offered[0].kind == "ncl"


def test_the_batch_s_size_is_no_obstacle() -> None:
    """A class token is expanded by it in the middle of the network."""
    found = find_boundaries(tokens())
    assert [tuple(one.tensors.values()) for one in found.offered] == [((6, 6),)] * 3 + [((6,),)]


@pytest.mark.parametrize(("mask", "carried"), [("ids", "ids"), ("input", "seen")])
def test_a_mask_crosses_beside_the_features_taken_back_to_what_it_was_made_of(mask: str, carried: str) -> None:
    """Until the last attention: behind it nobody needs it."""
    first, second, third, last = find_boundaries(tokens(mask=mask)).offered
    for boundary in (first, second):
        assert list(boundary.tensors)[1:] == [carried]
        assert boundary.tensors[carried] == (5,)
    assert boundary.crossing(2) == {"features_2": (5, 6), "features_2_1": (5,)}
    assert len(third.tensors) == len(last.tensors) == 1


def test_what_is_smallest_crosses() -> None:
    """A mean of the input, and not the input, where only that is needed."""
    making = Making()
    image = making.input(("N", 2, 4, 4))
    bright = making.op("ReduceMean", image, making.constant([1, 2, 3], np.int64), keepdims=1)
    features = making.conv(image, 2, 4)
    scaled = making.op("Mul", making.conv(features, 4, 4), bright)
    found = find_boundaries(making.source(making.head(scaled, 4)))
    assert list(found.offered[0].tensors.values()) == [(4, 4, 4), (1, 1, 1)]


def test_more_inputs_than_may_travel_beside_are_why_not() -> None:
    making = Making()
    features = making.conv(making.input(("N", 2, 4, 4)), 2, 4)
    for name in ("one", "two", "three"):
        features = making.op("Mul", making.conv(features, 4, 4), making.input(("N", 1, 1, 1), name))
    found = find_boundaries(making.source(making.head(features, 4)))
    assert [len(one.tensors) for one in found.offered] == [3, 3, 2, 2, 1, 1]
    assert [(one.name, one.why) for one in found.refused] == [
        ("v0 and 1 more", "3 inputs are needed past it (one, two, three), and 2 may travel beside")
    ]


def test_parts_of_a_split_are_alive_together() -> None:
    making = Making()
    maps = making.conv(making.input(("N", 2, 4, 4)), 2, 4)
    left, right = making.op("Split", maps, outputs=2, axis=1, num_outputs=2).split(",")
    joined = making.op("Concat", left, making.conv(right, 2, 2), axis=1)
    found = find_boundaries(making.source(making.head(joined, 4)))
    assert [one.main for one in found.offered] == [maps, joined, "v5"]
    assert found.refused[0].name == "v1_0 and 2 more"
    assert "needed past it" in found.refused[0].why


def test_a_tensor_without_a_row_for_each_sample_is_refused() -> None:
    """Windows of a map, four a sample; and what has too many axes for any head."""
    making = Making()
    maps = making.linear(making.input(("N", 4, 4, 3)), 3, 6)
    parts = making.op("Reshape", maps, making.constant([0, 2, 2, 2, 2, 6], np.int64))
    inner = making.op("Relu", parts)
    windows = making.op("Reshape", inner, making.constant([-1, 4, 6], np.int64))
    again = making.linear(windows, 6, 6)
    back = making.op("Reshape", again, making.constant([-1, 4, 4, 6], np.int64))
    pooled = making.op("ReduceMean", back, making.constant([1, 2], np.int64), keepdims=0)
    found = find_boundaries(making.source(making.linear(pooled, 6, CLASSES)))
    assert [one.main for one in found.offered] == [maps, back, pooled]
    assert [one.why for one in found.refused] == [
        "it has no entry for each sample: its axes are (4N, 4, 6)",
    ]


def test_the_batch_may_be_another_axis_than_the_first() -> None:
    """As in torch's own transformer layers, by default: what crosses has it in front."""
    making = Making()
    rows = making.op("Transpose", making.input(("N", 5, 3)), perm=[1, 0, 2])
    first = making.op("Relu", making.linear(rows, 3, 4))
    mixed = making.op("Transpose", making.linear(first, 4, 4), perm=[1, 0, 2])
    pooled = making.op("ReduceMean", mixed, making.constant([1], np.int64), keepdims=0)
    source = making.source(making.linear(pooled, 4, CLASSES))
    found = find_boundaries(source)
    assert [(one.kind, one.tensors[one.main]) for one in found.offered[:3]] == [("tokens", (5, 4))] * 3
    assert source.seen[found.offered[1].main].batch == 1
    assert all(one.tolerance < 1e-6 for one in found.offered)


def test_integers_are_no_features() -> None:
    making = Making()
    scores = making.head(making.conv(making.input(("N", 2, 4, 4)), 2, 4), 4, 9)
    best = making.op("ArgMax", scores, axis=1, keepdims=0)
    found = find_boundaries(making.source(making.linear(making.op("Gather", making.weight(9, 6), best), 6, CLASSES)))
    assert [one.why for one in found.refused] == ["it holds int64, and features are floats"]


def test_in_a_file_without_paths_a_block_ends_with_its_sum() -> None:
    making = Making()
    features = making.op("Relu", making.conv(making.input(("N", 2, 8, 8)), 2, 4))
    for _ in range(2):
        features = making.residual(features, 4)
    found = find_boundaries(making.source(making.head(features, 4)))
    assert [one.main for one in found.offered if one.at == "end"] == ["v6", "v11"]


def test_without_sums_before_a_pooling_and_without_those_everywhere() -> None:
    making = Making()
    first = making.op("Relu", making.conv(making.input(("N", 2, 8, 8)), 2, 4))
    second = making.conv(making.op("MaxPool", first, kernel_shape=[2, 2], strides=[2, 2]), 4, 4)
    found = find_boundaries(making.source(making.head(second, 4)))
    assert [one.main for one in found.offered if one.at == "end"] == [first, second]
    making = Making()
    hidden = making.op("Relu", making.linear(making.input(("N", 7)), 7, 6))
    found = find_boundaries(making.source(making.linear(hidden, 6, CLASSES)))
    assert [one.at for one in found.offered] == ["end", "end"]


def test_exits_are_spread_over_ends_of_blocks(found: Boundaries) -> None:
    """The third exit is the network's own; the stem has done next to nothing at the first."""
    assert [one.name for one in choose_exits(found, 3)] == ["layers.0", "layers.1"]
    assert [one.name for one in choose_exits(found, 5)] == ["act", "layers.0", "layers.1", "layers.2"]
    assert [one.name for one in choose_exits(found, 2)] == ["layers.0"]


def test_exits_need_room(found: Boundaries) -> None:
    few = replace(found, offered=found.offered[:1])
    with pytest.raises(InputError) as caught:
        choose_exits(few, 3)
    assert str(caught.value) == (
        "exits 3: this network has 1 boundaries, room for 2. See them with: offramp boundaries MODEL"
    )
    with pytest.raises(InputError, match="exits 1: expected 2 or more"):
        choose_exits(found, 1)


def test_auto_takes_what_carries_little_where_there_is_enough() -> None:
    """A mask is little beside its features, the input beside few of them is not."""

    def boundary(number: int, beside: int = 0) -> Boundary:
        tensors = {"features": (4,), "beside": (beside,)} if beside else {"features": (4,)}
        return Boundary(number, f"b{number}", tensors, "vector", 10 * number, 0, "end", 0.0)

    found = Boundaries((boundary(1, 2), boundary(2, 5), boundary(4)), (), 60)
    assert [one.number for one in choose_exits(found, 3)] == [1, 4]
    assert [one.number for one in choose_exits(found, 4)] == [1, 2, 4]


def test_auto_puts_no_exit_where_it_saves_nothing_while_there_is_room_before() -> None:
    """At 99 of a hundred parts of the network an exit costs a head and saves one part; inside a block is better."""

    def boundary(number: int, macs: int, at: Literal["end", "inside"] = "end") -> Boundary:
        return Boundary(number, f"b{number}", {"features": (4,)}, "vector", macs, 100 - macs, at, 0.0)

    inside = boundary(2, 60, "inside")
    found = Boundaries((boundary(1, 30), inside, boundary(3, 99)), (), 100)
    assert [one.number for one in choose_exits(found, 3)] == [1, 2]
    assert [one.number for one in choose_exits(found, 2)] == [1]
    assert [one.number for one in choose_exits(found, 4)] == [1, 2, 3]


def test_a_boundary_is_found_by_each_module_that_ends_there(found: Boundaries) -> None:
    """`layers` ends where its last block does."""
    assert [one.name for one in pick(found, ["act", "layers"])] == ["act", "layers.2"]


@pytest.mark.parametrize(("scale", "bias"), [(0.0, 0.0), (1e-6, 1.0)])
def test_halves_of_a_network_that_hardly_looks_at_its_input_prove_nothing(scale: float, bias: float) -> None:
    """Anything agrees with it within the tolerance, wherever it is cut; unchecked it is looked at all the same."""
    making = Making()
    features = making.op("Relu", making.conv(making.input(("N", 2, 8, 8)), 2, 4))
    pooled = making.op("Flatten", making.op("GlobalAveragePool", features))
    weights, biases = making.constant(np.full((4, CLASSES), scale)), making.constant(np.full(CLASSES, bias))
    source = making.source(making.op("Add", making.op("MatMul", pooled, weights), biases))
    with pytest.raises(InputError, match=r"made.onnx: answers every input alike \(.*…; they differ by .* of the l"):
        find_boundaries(source)
    assert find_boundaries(source, check=False).offered
