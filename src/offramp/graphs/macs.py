"""Multiply-adds of one node, by the usual count: of convolutions and matrix products, of nothing else."""

from collections.abc import Callable, Sequence
from math import prod

import onnx
from onnx.helper import get_node_attr_value

from offramp.graphs.tensors import Shape

Shapes = Sequence[Shape]


def macs_of(node: onnx.NodeProto, inputs: Shapes, outputs: Shapes) -> int:
    """Multiply-adds of a node whose inputs and outputs are so large; 0 for one that is not counted."""
    counted = COUNTED.get(node.op_type)
    return counted(node, inputs, outputs) if counted else 0


def _convolution(_: onnx.NodeProto, inputs: Shapes, outputs: Shapes) -> int:
    return prod(outputs[0]) * prod(inputs[1][1:])


def _quantized_convolution(_: onnx.NodeProto, inputs: Shapes, outputs: Shapes) -> int:
    return prod(outputs[0]) * prod(inputs[3][1:])


def _transposed(_: onnx.NodeProto, inputs: Shapes, __: Shapes) -> int:
    return prod(inputs[0]) * prod(inputs[1][1:])


def _product(_: onnx.NodeProto, inputs: Shapes, outputs: Shapes) -> int:
    return prod(outputs[0]) * inputs[0][-1]


def _general_product(node: onnx.NodeProto, inputs: Shapes, outputs: Shapes) -> int:
    turned = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
    return prod(outputs[0]) * inputs[0][0 if turned else 1]


def _einsum(node: onnx.NodeProto, inputs: Shapes, outputs: Shapes) -> int:
    """Every letter's size once; an ellipsis stands for what is left of the output."""
    terms, _, result = get_node_attr_value(node, "equation").decode().replace(" ", "").partition("->")
    sizes: dict[str, int] = {}
    for term, shape in zip(terms.split(","), inputs, strict=True):
        before, dots, behind = term.partition("...")
        sizes |= dict(zip(before, shape, strict=False))
        if dots and behind:
            sizes |= dict(zip(behind, shape[-len(behind) :], strict=True))
    named = [letter for letter in result if letter.isalpha()]
    wide = prod(outputs[0]) // max(1, prod(sizes[letter] for letter in named)) if "..." in result else 1
    return prod(sizes.values()) * wide if len(inputs) > 1 else 0


def _recurrent(gates: int) -> Callable[[onnx.NodeProto, Shapes, Shapes], int]:
    def count(_: onnx.NodeProto, inputs: Shapes, __: Shapes) -> int:
        steps, batch, width = inputs[0]
        directions, rows, _ = inputs[1]
        return steps * batch * directions * rows * (width + rows // gates)

    return count


def _attention(_: onnx.NodeProto, inputs: Shapes, outputs: Shapes) -> int:
    """Queries times keys, and weights times values; of tensors with heads in an axis of their own."""
    queries, keys = inputs[0], inputs[1]
    return prod(queries) * keys[-2] + prod(outputs[0]) * keys[-2]


COUNTED: dict[str, Callable[[onnx.NodeProto, Shapes, Shapes], int]] = {
    **dict.fromkeys(("Conv", "FusedConv", "ConvInteger"), _convolution),
    "QLinearConv": _quantized_convolution,
    "ConvTranspose": _transposed,
    **dict.fromkeys(("MatMul", "FusedMatMul", "MatMulInteger", "QLinearMatMul"), _product),
    **dict.fromkeys(("Gemm", "FusedGemm"), _general_product),
    "Einsum": _einsum,
    "LSTM": _recurrent(4),
    "GRU": _recurrent(3),
    "RNN": _recurrent(1),
    "Attention": _attention,
}
