"""Staged graphs by hand, as `graphs.stages.staged` gives them, and the documents that go with them."""

import hashlib
from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from offramp.artifacts.preprocessing import Preprocessing
from offramp.models.graph_network import BACKBONE, GraphNetwork, GraphStage
from offramp.models.heads import GraphHead

CLASSES = ("cat", "dog", "owl")
Shapes = dict[str, tuple[int, ...]]


def graph_of(nodes: list[onnx.NodeProto], weights: Mapping[str, tuple[int, ...]], outputs: Shapes, opset: int) -> bytes:
    """A checked graph from `image` (1, 8, 8) to outputs of these shapes, its weights drawn."""
    drawn = np.random.default_rng(0)
    made = helper.make_graph(
        nodes,
        "by hand",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 8, 8])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape]) for name, shape in outputs.items()],
        [numpy_helper.from_array(drawn.normal(size=s).astype(np.float32), name) for name, s in weights.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content


def residual(opset: int = 18) -> bytes:
    """A convolution; a block with a skip; pooling and the logits. Features go below 0."""
    nodes = [
        helper.make_node("Conv", ["image", "w1"], ["features_1"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["features_1"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["features_1", "c2"], ["features_2"]),
        helper.make_node("GlobalAveragePool", ["features_2"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w3"], ["features_3"]),
    ]
    shapes = {"features_1": (4, 8, 8), "features_2": (4, 8, 8), "features_3": (3,)}
    return graph_of(nodes, {"w1": (4, 1, 3, 3), "w2": (4, 4, 3, 3), "w3": (4, 3)}, shapes, opset)


def carrying() -> bytes:
    """A boundary of two tensors: features, and a mask that the second stage still needs."""
    nodes = [
        helper.make_node("Conv", ["image", "w1"], ["features_1"], pads=[1, 1, 1, 1]),
        helper.make_node("GlobalAveragePool", ["image"], ["features_1_mask"]),
        helper.make_node("Mul", ["features_1", "features_1_mask"], ["masked"]),
        helper.make_node("GlobalAveragePool", ["masked"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w2"], ["features_2"]),
    ]
    shapes = {"features_1": (4, 8, 8), "features_1_mask": (1, 1, 1), "features_2": (3,)}
    return graph_of(nodes, {"w1": (4, 1, 3, 3), "w2": (4, 3)}, shapes, 18)


def described(backbone: bytes, *boundaries: Shapes, head: GraphHead = "linear") -> GraphNetwork:
    """The document of a staged graph with maps at these boundaries, in front of the logits."""
    last = len(boundaries) + 1
    tensors = [*boundaries, {f"features_{last}": (len(CLASSES),)}]
    return GraphNetwork(
        model="by-hand",
        classes=CLASSES,
        exits=tuple(range(1, last + 1)),
        input=Preprocessing(channels=1, height=8, width=8),
        files={BACKBONE: hashlib.sha256(backbone).hexdigest()},
        stages=tuple(
            GraphStage(
                name=f"block{number}" if number < last else "",
                tensors=at,
                kind="nchw" if number < last else "vector",
                macs=1_000 * number,
                parameters=10 * number,
            )
            for number, at in enumerate(tensors, start=1)
        ),
        heads=dict.fromkeys(range(1, last), head),
        tolerance=1e-6,
    )


def residual_network(head: GraphHead = "linear", opset: int = 18) -> tuple[GraphNetwork, bytes]:
    """`residual` with a head at both its boundaries."""
    backbone = residual(opset)
    return described(backbone, {"features_1": (4, 8, 8)}, {"features_2": (4, 8, 8)}, head=head), backbone


def carrying_network() -> tuple[GraphNetwork, bytes]:
    """`carrying` with a head at its boundary."""
    backbone = carrying()
    return described(backbone, {"features_1": (4, 8, 8), "features_1_mask": (1, 1, 1)}), backbone
