"""A graph as it was read, made plain: one file, one level, no dead part, one opset, logits at its end."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, inliner, numpy_helper, version_converter
from onnx.defs import onnx_opset_version

from offramp.errors import InputError
from offramp.graphs.fit import FLOATS, OWN, may_be_tensor

OPSET = 18  # what heads and codecs are written in
LAST_NEEDED = 13  # the first that has all of them
NOT_AS_INPUTS = 4  # version of the format since which weights need not be among the inputs
LOGITS = "logits"
UNTOLD = TensorProto.UNDEFINED
PASSING = ("Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Dropout")  # what may stand behind a softmax


def inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same without functions of its own, and without what stands beside the values."""
    flat = inliner.inline_local_functions(model) if model.functions else model
    del flat.graph.value_info[:], flat.graph.quantization_annotation[:]
    constants = {tensor.name for tensor in flat.graph.initializer}
    keep(flat.graph.input, [value for value in flat.graph.input if value.name not in constants])
    flat.ir_version = max(flat.ir_version, NOT_AS_INPUTS)
    return flat


def keep(field: Any, kept: list[Any]) -> None:
    """Give a repeated field only these of its messages, in their order."""
    copies = [type(message).FromString(message.SerializeToString()) for message in kept]
    del field[:]
    field.extend(copies)


def with_constants_apart(graph: onnx.GraphProto) -> None:
    """Make initializers of constant nodes: any part of the graph may then have them."""
    nodes = []
    for node in graph.node:
        value = _constant(node)
        if value is None:
            nodes.append(node)
        else:
            value.name = node.output[0]
            graph.initializer.append(value)
    if len(nodes) < len(graph.node):
        keep(graph.node, nodes)


def _constant(node: onnx.NodeProto) -> onnx.TensorProto | None:
    if node.op_type != "Constant" or node.domain not in OWN:
        return None
    attribute = node.attribute[0]
    if attribute.name == "value":
        tensor = onnx.TensorProto()
        tensor.CopyFrom(attribute.t)
        return tensor
    found = helper.get_attribute_value(attribute)
    if attribute.name in ("value_float", "value_floats"):
        return numpy_helper.from_array(np.asarray(found, np.float32))
    if attribute.name in ("value_int", "value_ints"):
        return numpy_helper.from_array(np.asarray(found, np.int64))
    return None


def in_order(graph: onnx.GraphProto) -> None:
    """Put each node behind those that it takes values from, as the format wants and not every tool writes it.

    A graph that holds a circle stays as it is: onnxruntime says what is wrong with it.
    """
    unmade = {name for node in graph.node for name in node.output if name}
    ordered, waiting = list[onnx.NodeProto](), list(graph.node)
    while waiting:
        later = []
        for node in waiting:
            if unmade & {*node.input}:
                later.append(node)
            else:
                ordered.append(node)
                unmade -= {*node.output}
        if len(later) == len(waiting):
            return
        waiting = later
    if ordered != list(graph.node):
        keep(graph.node, ordered)


def in_single(graph: onnx.GraphProto) -> None:
    """Compute in fp32 what is in fp16: a processor does so in any case, and between two nodes it rounds back.

    The rounding made halves differ from the whole. Weights keep their values.
    """
    half, single = TensorProto.FLOAT16, TensorProto.FLOAT
    held = [attribute.t for node in graph.node for attribute in node.attribute if attribute.HasField("t")]
    for tensor in (*graph.initializer, *held):
        if tensor.data_type == half:
            wide = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(wide, tensor.name))
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.elem_type == half:
            value.type.tensor_type.elem_type = single
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name in ("to", "dtype") and attribute.i == half:
                attribute.i = single


def without_dead(graph: onnx.GraphProto) -> None:
    """Take off what the output does not need: nodes, weights and inputs."""
    wanted = {value.name for value in graph.output}
    alive = []
    for node in reversed(graph.node):
        if wanted & {*node.output}:
            alive.append(node)
            wanted |= {name for name in node.input if name}
    if len(alive) < len(graph.node):
        keep(graph.node, alive[::-1])
    for field in (graph.initializer, graph.input):
        used = [one for one in field if one.name in wanted]
        if len(used) < len(field):
            keep(field, used)


def at_opset(model: onnx.ModelProto, origin: str) -> onnx.ModelProto:
    """The same in the opset that heads and codecs are written in; a later one stays."""
    found = next((entry.version for entry in model.opset_import if entry.domain in OWN), onnx_opset_version())
    if found >= OPSET:
        return model
    try:
        converted: onnx.ModelProto = version_converter.convert_version(model, OPSET)
    except Exception as error:  # the converter's own, unlisted
        if found >= LAST_NEEDED:
            return model
        raise InputError(
            f"{origin}: opset {found} cannot be converted to {OPSET} ({error}). Export it again with opset {OPSET}."
        ) from error
    return converted


def with_scores_alone(graph: onnx.GraphProto) -> None:
    """Take off the outputs that only say which class has the highest score, and maps from classes to scores.

    As scikit-learn's converters write them beside the scores. Of several that are left, one called `logits` stays.
    """
    if len(graph.output) == 1 and may_be_tensor(graph.output[0]):
        return
    mapped = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "ZipMap"}
    for value in graph.output:
        if value.name in mapped:
            value.CopyFrom(onnx.ValueInfoProto(name=mapped[value.name]))
    scores = [value for value in graph.output if value.type.tensor_type.elem_type in {UNTOLD} | FLOATS]
    named = [value for value in scores if value.name == LOGITS]
    if kept := named or scores:
        keep(graph.output, kept)


def without_softmax(graph: onnx.GraphProto) -> None:
    """Make logits the output, which exits want: what a trailing softmax is of, or, of 1 - p beside p, two for the score
    that p is the sigmoid of.

    A LogSoftmax stays, its softmax is the same.
    """
    givers, node = _ending(graph)
    if node is not None and node.op_type == "Softmax":
        graph.output[0].name = node.input[0]
    elif node is not None and node.op_type == "Concat" and len(node.input) == 2:
        no, yes = (givers.get(name, node) for name in node.input)
        if (no.op_type, yes.op_type) == ("Sub", "Sigmoid") and no.input[1] == yes.output[0]:
            graph.output[0].name = _of_two(graph, yes.input[0])


def without_sigmoid(graph: onnx.GraphProto) -> bool:
    """Make two logits of one score that a sigmoid stands behind; whether one does."""
    _, node = _ending(graph)
    if node is None or node.op_type != "Sigmoid":
        return False
    graph.output[0].CopyFrom(onnx.ValueInfoProto(name=_of_two(graph, node.input[0])))
    return True


def _ending(graph: onnx.GraphProto) -> tuple[dict[str, onnx.NodeProto], onnx.NodeProto | None]:
    """Which node gives each value, and the last but for what changes no number."""
    givers = {name: node for node in graph.node for name in node.output}
    node = givers.get(graph.output[0].name)
    while node is not None and node.op_type in PASSING:
        node = givers.get(node.input[0])
    return givers, node


def _of_two(graph: onnx.GraphProto, score: str) -> str:
    """Append two logits, 0 and a score (N, 1): their softmax is the score's sigmoid."""
    column, none, both = f"{score}:column", f"{score}:none", f"{score}:logits"
    graph.initializer.append(numpy_helper.from_array(np.array([-1, 1], np.int64), f"{score}:one"))
    graph.node.extend([
        helper.make_node("Reshape", [score, f"{score}:one"], [column]),
        helper.make_node("Sub", [column, column], [none]),
        helper.make_node("Concat", [none, column], [both], axis=1),
    ])  # fmt: skip
    return both


def tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor that a model holds."""
    yield from model.graph.initializer
    for nodes in (model.graph.node, *(function.node for function in model.functions)):
        for node in nodes:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                yield from attribute.tensors
