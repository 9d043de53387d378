"""Small classifiers as ONNX files of somebody else's: of images in either layout, and of text with several inputs."""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WORDS, WIDE, LONG = 11, 6, 5  # of the text's: ids, features of each, ids of a text


def made(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, tuple[int, tuple[Any, ...]]],
    weights: dict[str, Any],
    classes: int = 3,
) -> bytes:
    """A graph from these inputs to `answer`, as bytes."""
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info(name, kind, ["N", *shape]) for name, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["N", classes])],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content


def convolution(shape: tuple[int, int, int] = (3, 4, 6), name: str = "pixels", kind: int = TensorProto.FLOAT) -> bytes:
    """Two convolutions, the pooled features and a layer, on images in either layout and of any type."""
    last = shape[2] == 3
    channels = shape[2] if last else shape[0]
    first = [helper.make_node("Cast", [name], ["as_float"], to=TensorProto.FLOAT)]
    first += [helper.make_node("Transpose", ["as_float"], ["planes"], perm=[0, 3, 1, 2])] if last else [
        helper.make_node("Identity", ["as_float"], ["planes"])
    ]  # fmt: skip
    nodes = [
        *first,
        helper.make_node("Conv", ["planes", "w1"], ["c1"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c2"], ["r2"]),
        helper.make_node("GlobalAveragePool", ["r2"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "head"], ["answer"]),
    ]
    drawn = np.random.default_rng(1)
    sizes = {"w1": (4, channels, 3, 3), "w2": (5, 4, 3, 3), "head": (5, 3)}
    weights = {key: drawn.normal(size=size).astype(np.float32) for key, size in sizes.items()}
    return made(nodes, {name: (kind, shape)}, weights)


def reader(*, mask: str = "attention_mask", types: str = "token_type_ids", kind: int = TensorProto.INT64) -> bytes:
    """The mean of the words' vectors that a mask leaves, with those of their types, through two layers."""
    nodes = [
        helper.make_node("Gather", ["words", "input_ids"], ["vectors"]),
        helper.make_node("Gather", ["kinds", types], ["of_types"]),
        helper.make_node("Add", ["vectors", "of_types"], ["both"]),
        helper.make_node("MatMul", ["both", "w1"], ["m1"]),
        helper.make_node("Relu", ["m1"], ["r1"]),
        helper.make_node("Cast", [mask], ["open"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["open", "last"], ["column"]),
        helper.make_node("Mul", ["r1", "column"], ["left"]),
        helper.make_node("ReduceSum", ["left", "second"], ["sum"], keepdims=0),
        helper.make_node("MatMul", ["sum", "w2"], ["m2"]),
        helper.make_node("Relu", ["m2"], ["r2"]),
        helper.make_node("MatMul", ["r2", "head"], ["answer"]),
    ]
    drawn = np.random.default_rng(2)
    sizes = {"words": (WORDS, WIDE), "kinds": (2, WIDE), "w1": (WIDE, WIDE), "w2": (WIDE, WIDE), "head": (WIDE, 3)}
    weights: dict[str, Any] = {key: drawn.normal(size=size).astype(np.float32) for key, size in sizes.items()}
    weights |= {"last": np.array([2], np.int64), "second": np.array([1], np.int64)}
    inputs = {"input_ids": (kind, (LONG,)), mask: (TensorProto.INT64, (LONG,)), types: (TensorProto.INT64, (LONG,))}
    return made(nodes, inputs, weights)
