"""What a network must not have to be cut: each unfit thing is said by name, with what mends it."""

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from onnx.defs import onnx_opset_version

from offramp.errors import InputError
from offramp.graphs.flow import LEARNED

CONTROL = frozenset({"If", "Loop", "Scan", "SequenceMap"})
RANDOM = frozenset(
    {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"}
)
OWN = frozenset({"", "ai.onnx"})  # ONNX's own domain has two names
KNOWN = OWN | {"ai.onnx.ml", "com.microsoft", "com.ms.internal.nhwc"}
BLOCKED = "com.microsoft.nchwc"
FLOATS = frozenset({TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16})
CONVOLVING = frozenset({"Conv", "ConvTranspose"})
UNMULTIPLIED = {TensorProto.BFLOAT16: LEARNED, TensorProto.DOUBLE: CONVOLVING}  # by the weights' type
AGAIN = "Export it again"


def check_versions(model: onnx.ModelProto, origin: str) -> None:
    """Whether the libraries here know the versions that a file is of."""
    for entry in model.opset_import:
        if entry.domain in OWN and entry.version > (most := onnx_opset_version()):
            raise InputError(
                f"{origin}: opset {entry.version}, and the installed onnx {onnx.__version__} knows them up to {most}. "
                f"{AGAIN} with opset_version=18, or install a newer onnx and onnxruntime."
            )
    if model.ir_version > onnx.IR_VERSION:
        raise InputError(
            f"{origin}: IR version {model.ir_version}, and the installed onnx {onnx.__version__} knows them up to "
            f"{onnx.IR_VERSION}. Install a newer onnx and onnxruntime."
        )


def check_nodes(graph: onnx.GraphProto, origin: str) -> None:
    """Whether every node computes one fixed thing of its inputs, by an op that onnxruntime may have."""
    for node in graph.node:
        named = f"{origin}: node {node.name or node.output[0]!r}"
        if node.op_type in CONTROL or any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            raise InputError(
                f"{named} is {node.op_type}, control flow, and a graph that takes one way or another cannot be cut. "
                f"{AGAIN} with its shapes fixed, or by the newer exporter (dynamo=True)."
            )
        if node.op_type in RANDOM:
            raise InputError(f"{named} is {node.op_type}: its answers are of chance. {AGAIN} in evaluation mode.")
        if node.domain == BLOCKED:
            raise InputError(
                f"{named} is laid out for one processor, as onnxruntime writes a graph that it has optimized for the "
                "machine it is on. Give the file from which that was made, or optimize it no further than extended."
            )
        if node.domain not in KNOWN:
            raise InputError(
                f"{named} is {node.op_type} of the domain {node.domain!r}, which onnxruntime does not have. {AGAIN} "
                "with ops of ONNX alone."
            )
        if _trains(node, graph):
            raise InputError(
                f"{named} is {node.op_type} as in training: an answer would depend on chance, or on what else "
                f"is in its batch. {AGAIN} in evaluation mode (model.eval())."
            )


def _trains(node: onnx.NodeProto, graph: onnx.GraphProto) -> bool:
    """Whether a node behaves as in training: batch normalization by the batch at hand, dropout that drops."""
    if node.op_type == "BatchNormalization":
        return any(attribute.name == "training_mode" and attribute.i for attribute in node.attribute)
    if node.op_type == "Dropout" and len(node.input) > 2 and node.input[2]:
        mode = next((tensor for tensor in graph.initializer if tensor.name == node.input[2]), None)
        return mode is None or bool(numpy_helper.to_array(mode).any())
    return False


def check_weights(graph: onnx.GraphProto, origin: str) -> None:
    """Whether every weight is a number. Minus infinity may stand in a mask, which nothing multiplies."""
    if graph.sparse_initializer:
        raise InputError(f"{origin}: has sparse weights, which cannot be cut. {AGAIN} with dense ones.")
    multiplied = {name for node in graph.node if node.op_type in LEARNED for name in node.input}
    for tensor in graph.initializer:
        if tensor.data_type not in FLOATS:
            continue
        values = numpy_helper.to_array(tensor).astype(np.float32, copy=False)
        if np.isfinite(values).all():
            continue
        kind = "NaN" if np.isnan(values).any() else "infinite"
        if kind == "NaN" or tensor.name in multiplied or (values == np.inf).any():
            count = int((~np.isfinite(values)).sum())
            raise InputError(
                f"{origin}: {count} of {values.size} values of {tensor.name!r} are not numbers ({kind}). The training "
                f"that made them diverged, or the file was damaged: take an earlier checkpoint."
            )


def check_types(graph: onnx.GraphProto, origin: str) -> None:
    """Whether weights are of a type that onnxruntime multiplies on a processor."""
    kinds = {tensor.name: tensor.data_type for tensor in graph.initializer}
    for node in graph.node:
        for kind in {kinds.get(name) for name in node.input}:
            if node.op_type in UNMULTIPLIED.get(kind, ()):
                raise InputError(
                    f"{origin}: node {node.name or node.output[0]!r} is {node.op_type} with weights in "
                    f"{TensorProto.DataType.Name(kind).lower()}, which onnxruntime does not have on processors. "
                    f"{AGAIN} in fp32: model.float()."
                )


def check_outputs(graph: onnx.GraphProto, origin: str) -> None:
    """Whether it gives one tensor: scores of the classes."""
    names = [value.name for value in graph.output]
    if lists := [value.name for value in graph.output if not may_be_tensor(value)]:
        raise InputError(
            f"{origin}: its output {lists[-1]!r} is a list or a map, and a classifier's is one tensor (N, classes). "
            f"{AGAIN} with its scores alone."
        )
    if len(names) != 1:
        raise InputError(
            f"{origin}: {len(names)} outputs ({', '.join(names)}), and a classifier has one, (N, classes). {AGAIN} "
            "with the logits alone, or call them logits."
        )


def may_be_tensor(value: onnx.ValueInfoProto) -> bool:
    """Whether a value is a tensor, or its file does not say what it is."""
    return value.type.WhichOneof("value") in ("tensor_type", None)


def sizes(value: onnx.ValueInfoProto) -> list[int | str] | None:
    """The axes of a value as its file states them, a free one by its name; None where it states none."""
    if not value.type.tensor_type.HasField("shape"):
        return None
    axes = value.type.tensor_type.shape.dim
    return [axis.dim_value if axis.dim_value > 0 else axis.dim_param or "?" for axis in axes]  # Paddle writes -1


def check_batch(inputs: Iterable[onnx.ValueInfoProto], output: onnx.ValueInfoProto, origin: str) -> None:
    """Whether the first axis of each input is free: the batch's."""
    for value in inputs:
        axes, out = sizes(value), sizes(output)
        if axes is None:
            raise InputError(f"{origin}: its input {value.name!r} has no shape. {AGAIN} with one, its first axis free.")
        if axes and isinstance(axes[0], str):
            continue
        shape = f"({', '.join(map(str, axes))})"
        dims = f"dynamic_shapes={{'{value.name}': {{0: 'batch'}}}}, or dynamic_axes with the older exporter"
        if len(axes) > 1 and (out is None or (out[:1] == axes[:1] and len(out) > 1)):
            raise InputError(
                f"{origin}: its input {value.name!r} {shape} has a fixed batch of {axes[0]}, and nodes send any. "
                f"{AGAIN} with a free one: {dims}."
            )
        raise InputError(
            f"{origin}: its input {value.name!r} {shape} has no batch axis. {AGAIN} with one in front, free: {dims}."
        )
