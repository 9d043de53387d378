"""Classifiers built directly as ONNX graphs: quick to make, of any shape that a test wants."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from offramp.graphs.source import GraphSource, parse_graph

CLASSES = 3
Dims = Sequence[int | str]


class Making:
    """A graph in the making. Each method appends nodes and gives the name of what they give."""

    def __init__(self, seed: int = 0) -> None:
        self.made = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []

    def input(self, dims: Dims, name: str = "pixels", kind: int = TensorProto.FLOAT) -> str:
        """An input, the batch first."""
        self.inputs.append(helper.make_tensor_value_info(name, kind, list(dims)))
        return name

    def constant(self, values: Any, dtype: Any = np.float32) -> str:
        """Fixed values."""
        name = f"c{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def weight(self, *shape: int) -> str:
        """Learned values, small enough that depth blows nothing up."""
        return self.constant(self.made.standard_normal(shape) / np.sqrt(np.prod(shape[1:]) or 1))

    def op(self, kind: str, *sources: str, outputs: int = 1, path: str = "", **attributes: Any) -> str:
        """Any node; of several outputs the names are joined by a comma."""
        number = len(self.nodes)
        names = [f"v{number}"] if outputs == 1 else [f"v{number}_{k}" for k in range(outputs)]
        # As torch's older exporter names its nodes: by the module's path.
        name = f"/{path}/{kind}_{number}" if path else f"n{number}"
        self.nodes.append(helper.make_node(kind, list(sources), names, name=name, **attributes))
        return ",".join(names)

    def conv(self, source: str, before: int, after: int, size: int = 3, stride: int = 1, path: str = "") -> str:
        """A convolution that keeps height and width, or halves them."""
        pad = size // 2
        return self.op(
            "Conv", source, self.weight(after, before, size, size), kernel_shape=[size, size], strides=[stride] * 2,
            pads=[pad] * 4, path=path,
        )  # fmt: skip

    def linear(self, source: str, before: int, after: int, path: str = "") -> str:
        """A matrix product over the last axis."""
        return self.op("MatMul", source, self.weight(before, after), path=path)

    def residual(self, source: str, width: int, path: str = "") -> str:
        """A block of two convolutions around which a skip leads."""
        inner = self.op("Relu", self.conv(source, width, width, path=f"{path}/conv1" if path else ""), path=path)
        inner = self.conv(inner, width, width, path=f"{path}/conv2" if path else "")
        return self.op("Relu", self.op("Add", inner, source, path=path), path=path)

    def shape_of(self, source: str, axis: int) -> str:
        """One extent of a value as a vector of one."""
        return self.op("Gather", self.op("Shape", source), self.constant([axis], np.int64))

    def attention(self, source: str, width: int, mask: str | None = None) -> str:
        """Self-attention of one head over (N, L, D), a skip around it; `mask` is added to the weights."""
        queries, keys, values = (self.linear(source, width, width) for _ in range(3))
        scores = self.op("MatMul", queries, self.op("Transpose", keys, perm=[0, 2, 1]))
        scores = scores if mask is None else self.op("Add", scores, mask)
        mixed = self.op("MatMul", self.op("Softmax", scores, axis=-1), values)
        return self.op("Add", self.linear(mixed, width, width), source)

    def head(self, source: str, width: int, classes: int = CLASSES) -> str:
        """Pooling over maps and a matrix product."""
        pooled = self.op("Flatten", self.op("GlobalAveragePool", source))
        return self.linear(pooled, width, classes)

    def model(self, *outputs: str, opset: int = 18, dims: Dims = ("batch", CLASSES)) -> onnx.ModelProto:
        """The whole."""
        out = [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(dims)) for name in outputs]
        graph = helper.make_graph(self.nodes, "made", self.inputs, out, self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)

    def source(self, output: str) -> GraphSource:
        """Read as any file is."""
        return parse_graph(self.model(output).SerializeToString(), "made.onnx")


def small() -> onnx.ModelProto:
    """The smallest classifier of images: two convolutions and a head."""
    making = Making()
    first = making.op("Relu", making.conv(making.input(("batch", 1, 6, 6)), 1, 4))
    return making.model(making.head(making.op("Relu", making.conv(first, 4, 4)), 4))


def residual() -> GraphSource:
    """A stem, three residual blocks with torch's paths, a head."""
    making = Making()
    stem = making.conv(making.input(("N", 2, 8, 8)), 2, 4, path="stem")
    features = making.op("Relu", stem, path="act")
    for block in range(3):
        features = making.residual(features, 4, path=f"layers/layers.{block}")
    return making.source(making.head(features, 4))


def tokens(blocks: int = 2, *, mask: str = "", form: int = TensorProto.INT64) -> GraphSource:
    """A class token before looked-up words, attention, the class token's answer; a `mask` of the ids or an input."""
    making = Making()
    ids = making.input(("N", 5), "ids", form)
    numbers = ids if form == TensorProto.INT64 else making.op("Cast", ids, to=TensorProto.INT64)
    words = making.op("Gather", making.weight(9, 6), numbers)
    added = None
    if mask:
        given = making.input(("N", 5), "seen", TensorProto.INT64) if mask == "input" else numbers
        unseen = making.op("Equal", given, making.constant(0, np.int64))
        away = making.op("Mul", making.op("Cast", unseen, to=TensorProto.FLOAT), making.constant(-100.0))
        added = making.op("Unsqueeze", away, making.constant([1], np.int64))
    else:
        shape = making.op("Concat", making.shape_of(ids, 0), making.constant([1, 6], np.int64), axis=0)
        words = making.op("Concat", making.op("Expand", making.weight(1, 1, 6), shape), words, axis=1)
    features = making.linear(words, 6, 6)
    for _ in range(blocks):
        features = making.attention(features, 6, added)
    first = making.op("Gather", features, making.constant(0, np.int64), axis=1)
    return making.source(making.linear(first, 6, CLASSES))
