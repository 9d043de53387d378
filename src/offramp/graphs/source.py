"""A classifier's graph, read from an ONNX file and found fit to be cut.

Takes any ONNX file and gives its graph in one plain form, or says what is unfit and how to mend it. Knows nothing of
boundaries, heads or bundles.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from offramp.artifacts.document import read_bytes
from offramp.errors import ArtifactDamagedError, InputError
from offramp.graphs import fit, tidy
from offramp.graphs.external import check_size, load_external
from offramp.graphs.look import Noise, are_numbers, first_line, look_at, numpy_type, run, session
from offramp.graphs.tensors import Extent, Seen, Shape, TensorInfo

LEAST = 1e-6  # of a probability that a network gives: rounding leaves no more of it
APART = 1e-3  # largest difference that a sample's answer may have by what else is in its batch


@dataclass(frozen=True)
class GraphSource:
    """A classifier's graph as it was read and found fit.

    One model without functions, control flow or dead parts, all weights inside; of every axis but the batch, the first,
    the size is fixed; its one output is logits `(N, classes)`. `origin` is what messages call it.
    """

    model: onnx.ModelProto
    inputs: dict[str, TensorInfo]
    output: str
    classes: int
    origin: str

    @cached_property
    def seen(self) -> Mapping[str, Seen]:
        """Every tensor's type and shape, as two runs showed them: of batches of 2 and of 3."""
        return look_at(self.model, self.inputs, self.output, self.origin).tensors


def read_graph(path: Path, shape: Shape | None = None) -> GraphSource:
    """Read an ONNX file, with the weights that lie beside it in its own folder.

    `shape` is one sample's, without the batch: it fixes axes that the file leaves free. Raises ArtifactMissingError and
    ArtifactDamagedError for the file, InputError for a graph that is not fit.
    """
    check_size(path)
    return _fit(load_external(_parsed(read_bytes(path), str(path)), path), str(path), shape)


def parse_graph(content: bytes, origin: str, shape: Shape | None = None) -> GraphSource:
    """The same from a file's content; it must hold its weights itself."""
    return _fit(load_external(_parsed(content, origin), None, origin), origin, shape)


def _parsed(content: bytes, origin: str) -> onnx.ModelProto:
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's own, unlisted
        raise ArtifactDamagedError(
            f"{origin}: not an ONNX file ({first_line(error)}). It was cut short or is another kind of file."
        ) from error
    if not model.graph.node or not model.opset_import:
        raise ArtifactDamagedError(f"{origin}: not an ONNX file with a graph in it. Check the path.")
    return model


def _fit(model: onnx.ModelProto, origin: str, shape: Shape | None) -> GraphSource:
    fit.check_versions(model, origin)
    tidy.with_scores_alone(model.graph)
    fit.check_outputs(model.graph, origin)
    model = tidy.inlined(model)
    tidy.with_constants_apart(model.graph)
    tidy.in_order(model.graph)
    tidy.in_single(model.graph)
    tidy.without_dead(model.graph)
    fit.check_nodes(model.graph, origin)
    fit.check_types(model.graph, origin)
    fit.check_weights(model.graph, origin)
    fit.check_batch(model.graph.input, model.graph.output[0], origin)
    inputs = _fixed(model.graph, shape, origin)
    model = _converted(model, inputs, origin)
    tidy.without_softmax(model.graph)
    tidy.without_dead(model.graph)
    return _answering(model, inputs, origin)


def _fixed(graph: onnx.GraphProto, shape: Shape | None, origin: str) -> dict[str, TensorInfo]:
    """Fix every axis of the inputs but the first, and say what they are."""
    if not graph.input:
        raise InputError(f"{origin}: its output depends on no input. Export it again.")
    found = {}
    for value in graph.input:
        batch, *axes = fit.sizes(value) or ["?"]
        free = [axis for axis in axes if isinstance(axis, str)]
        # Of several inputs, a mask beside ids for one, those of as many axes are of the same shape.
        wanted = shape if shape is not None and (len(graph.input) == 1 or len(shape) == len(axes)) else None
        stated = f"({', '.join(map(str, ['N', *axes]))})"
        if wanted is not None and (
            len(wanted) != len(axes) or any(axis not in (size, *free) for axis, size in zip(axes, wanted, strict=True))
        ):
            raise InputError(
                f"{origin}: its input {value.name!r} is {stated}, and the shape given is {wanted}. Give one that fits, "
                "of one sample, or none."
            )
        if wanted is None and free:
            example = "x".join("224" if isinstance(axis, str) else str(axis) for axis in axes)
            raise InputError(
                f"{origin}: its input {value.name!r} {stated} leaves more free than the batch. Say the shape of one "
                f"sample: --shape {example}, or shape= in Python."
            )
        sample = tuple(wanted) if wanted is not None else tuple(int(axis) for axis in axes)
        found[value.name] = TensorInfo(numpy_type(value.type.tensor_type.elem_type), sample)
        name = str(batch) if batch != "?" else "batch"
        value.CopyFrom(helper.make_tensor_value_info(value.name, value.type.tensor_type.elem_type, [name, *sample]))
    return found


def _converted(model: onnx.ModelProto, inputs: dict[str, TensorInfo], origin: str) -> onnx.ModelProto:
    """The same in a later opset, if it is of an early one; its answers must be the same."""
    found = tidy.at_opset(model, origin)
    if found is model:
        return model
    tidy.with_constants_apart(found.graph)  # the converter makes new ones
    fed, wanted = Noise.for_(model.graph, inputs).batch(2, unit=True), [model.graph.output[0].name]
    (before,), (after,) = (
        run(session(one.SerializeToString(), origin, plain=True), wanted, fed, origin) for one in (model, found)
    )
    if before.shape != after.shape or not np.allclose(before, after, rtol=1e-4, atol=1e-5, equal_nan=True):
        raise InputError(
            f"{origin}: converted to opset {tidy.OPSET}, it answers otherwise. Export it again with opset {tidy.OPSET}."
        )
    return found


def _answering(model: onnx.ModelProto, inputs: dict[str, TensorInfo], origin: str) -> GraphSource:
    """Run it, and say how many classes it has; its output becomes `(N, classes)` fp32 where it was nearly so."""
    name = model.graph.output[0].name
    look = look_at(model, inputs, name, origin)
    output = look.tensors.get(name)
    two, three = look.answers
    if output is None or output.axes[:1] != (Extent(1, 0),) or output.sample is None:
        raise InputError(
            f"{origin}: of batches of 2 and 3 the answers are {two.shape} and {three.shape}, and a classifier's are "
            "(N, classes). Export it again with a free batch axis, and with nothing that mixes samples."
        )
    if output.dtype not in ("float", "float16", "double"):
        raise InputError(
            f"{origin}: its output {name!r} is of type {output.dtype}, and logits are floats. Export it again "
            "with its scores, not with the class that they make."
        )
    classes = int(np.prod(output.sample))
    if classes == 1 and tidy.without_sigmoid(model.graph):
        return _answering(model, inputs, origin)
    if classes < 2 or max(output.sample, default=1) != classes:
        raise InputError(
            f"{origin}: its output is (N, {', '.join(map(str, output.sample))}), and a classifier's is (N, classes) "
            "with 2 classes or more. A network with one score needs a sigmoid behind it, or a second: stack 0 and the "
            "score."
        )
    if not are_numbers(two, three):
        raise InputError(f"{origin}: its answers to noise are not all numbers. Check its weights and how it was made.")
    scale = max(1.0, float(np.abs(three).max()))
    if (apart := float(np.abs(two - three[:2]).max()) / scale) > APART:
        raise InputError(
            f"{origin}: a sample's answer depends on what else is in its batch (by {apart:.0e} of the largest value). "
            f"{_how_to_part(model.graph)}."
        )
    sure = bool((three >= 0).all()) and np.allclose(three.reshape(len(three), -1).sum(1), 1, rtol=0, atol=1e-3)
    logits = _as_logits(model.graph, name, output.dtype, deep=len(output.sample) > 1, sure=sure)
    source = GraphSource(model, inputs, logits, classes, origin)
    if logits == name:
        vars(source)["seen"] = look.tensors  # the property's own place: a second look would show the same
    return source


def _how_to_part(graph: onnx.GraphProto) -> str:
    """What takes samples apart that depend on each other."""
    if any(node.op_type == "DynamicQuantizeLinear" for node in graph.node):
        return "Its quantization goes by the whole batch: quantize it statically, or give it as it was before"
    return "Export it again in evaluation mode (model.eval())"


def _as_logits(graph: onnx.GraphProto, name: str, dtype: str, *, deep: bool, sure: bool) -> str:
    """Append what makes the output logits `(N, classes)` fp32, of probabilities their logarithms; give its name."""
    if sure:
        graph.initializer.append(numpy_helper.from_array(np.float32(LEAST), f"{name}:least"))
    for wanted, op, attributes in (
        (deep, "Flatten", {"axis": 1}),
        (dtype != "float", "Cast", {"to": TensorProto.FLOAT}),
        (sure, "Max", {}),
        (sure, "Log", {}),
    ):
        if wanted:
            sources = [name, f"{name}:least"] if op == "Max" else [name]
            graph.node.append(helper.make_node(op, sources, [f"{name}:{op.lower()}"], **attributes))
            name = f"{name}:{op.lower()}"
    graph.output[0].CopyFrom(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", None]))
    return name
