"""Parts cut out of a graph, held against the package onnx, which a node does without."""

from itertools import combinations_with_replacement

import numpy as np
import onnx
import onnx.utils
import pytest
from onnx import TensorProto, helper

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.codec import CODECS
from offramp.artifacts.stages import features_name, logits_name
from offramp.runtime.cut import cut_out, extract
from offramp.runtime.onnx_messages import FIELDS, ModelProto
from offramp.runtime.span import SpanSpec

LAST = 9
SPANS = [(start, end) for start, end in combinations_with_replacement(range(LAST + 1), 2) if end]


def same_as_onnx(graph: bytes, inputs: list[str], outputs: list[str]) -> onnx.ModelProto:
    """What we cut, which onnx cuts likewise but for who says so and the graph's name."""
    found = onnx.load_model_from_string(extract(graph, inputs, outputs, "it").SerializeToString())
    expected = onnx.utils.Extractor(onnx.load_model_from_string(graph)).extract_model(inputs, outputs)
    expected.producer_name, expected.graph.name = found.producer_name, found.graph.name
    assert found == expected
    return found


@pytest.mark.parametrize(("start", "end"), SPANS)
def test_a_span_is_cut_as_onnx_cuts_it(bundle: Bundle, start: int, end: int) -> None:
    source = "image" if start == 0 else features_name(start)
    for outputs in ([logits_name(end)], [features_name(end)], [logits_name(end), features_name(end)]):
        same_as_onnx(bundle.graph, [source], outputs)


@pytest.mark.parametrize("takes", CODECS)
@pytest.mark.parametrize("gives", CODECS)
def test_a_span_with_codecs_is_a_graph_that_onnx_finds_right(bundle: Bundle, takes: str, gives: str) -> None:
    graph, inputs, outputs = cut_out(bundle, SpanSpec(3, 6, (6,), gives=gives, takes=takes))
    model = onnx.load_model_from_string(graph)
    onnx.checker.check_model(model, full_check=True)
    assert tuple(value.name for value in model.graph.input) == inputs
    assert [value.name for value in model.graph.output] == [*outputs.values()]


# Messages that lie in others there, or are ours alone and have no fields.
INSIDE = {
    "TensorTypeProto": onnx.TypeProto.Tensor,
    "Dimension": onnx.TensorShapeProto.Dimension,
    "Kept": onnx.OperatorSetIdProto,
}


def test_every_field_has_onnxs_number_and_type() -> None:
    for name, fields in FIELDS.items():
        theirs = INSIDE.get(name) or getattr(onnx, name)
        for field in ModelProto.DESCRIPTOR.file.message_types_by_name[name].fields:
            there = theirs.DESCRIPTOR.fields_by_name[field.name]
            assert (field.number, field.is_repeated) == (there.number, there.is_repeated), (
                f"{name}.{field.name}: {fields}"
            )
            integers = {field.TYPE_INT32, field.TYPE_ENUM}
            assert field.type == there.type or {field.type, there.type} == integers


def _called(inner: str) -> onnx.ModelProto:
    """A model with functions that call each other, and an If whose branches have constants of their own."""
    branch = helper.make_graph(
        [helper.make_node("Constant", [], ["kept"], value=helper.make_tensor("c", TensorProto.FLOAT, [1], [2.0]))],
        "branch",
        [],
        [helper.make_tensor_value_info("kept", TensorProto.FLOAT, [1])],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    double = helper.make_function("own", "Double", ["x"], ["y"], [helper.make_node("Add", ["x", "x"], ["y"])], opsets)
    four = [
        helper.make_node("Double", ["x"], ["z"], domain="own"),
        helper.make_node("Double", ["z"], ["y"], domain="own"),
    ]
    functions = [helper.make_function("own", "Four", ["x"], ["y"], four, opsets), double]
    functions.append(
        helper.make_function("own", "Unused", ["x"], ["y"], [helper.make_node("Abs", ["x"], ["y"])], opsets)
    )
    nodes = [
        helper.make_node(inner, ["image"], ["features_1"], domain="own"),
        helper.make_node("If", ["flag"], ["chosen"], then_branch=branch, else_branch=branch),
        helper.make_node("Mul", ["features_1", "chosen"], ["logits_1"], name="last", doc_string="said"),
    ]
    values = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1])
        for name in ("image", "features_1", "logits_1")
    }
    flag = helper.make_tensor("flag", TensorProto.BOOL, [], [True])
    graph = helper.make_graph(
        nodes, "it", [values["image"]], [values["logits_1"]], [flag], value_info=[values["features_1"]]
    )
    return helper.make_model(graph, functions=functions, opset_imports=opsets, doc_string="kept apart")


@pytest.mark.parametrize(("inner", "count"), [("Four", 2), ("Double", 1)])
def test_functions_that_are_called_come_along_and_branches_stay_whole(inner: str, count: int) -> None:
    graph = _called(inner).SerializeToString()
    first = same_as_onnx(graph, ["image"], ["features_1"])
    assert [function.name for function in first.functions] == ["Four", "Double"][-count:]
    second = same_as_onnx(graph, ["features_1"], ["logits_1"])
    assert [node.op_type for node in second.graph.node] == ["If", "Mul"]
    assert np.array_equal(onnx.numpy_helper.to_array(second.graph.node[0].attribute[0].g.node[0].attribute[0].t), [2.0])
