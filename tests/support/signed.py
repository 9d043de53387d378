"""A network whose features are known: its input times a gain less an offset, in a shape of any rank, and a mask."""

from collections.abc import Mapping
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from offramp.artifacts.bundle import Bundle, digest
from offramp.artifacts.cut import CutSpec
from offramp.artifacts.manifest import GRAPH, Manifest
from offramp.artifacts.preprocessing import Preprocessing
from offramp.artifacts.provenance import Origin, Parity
from offramp.artifacts.stages import HeadSpec, Shape, StageSpec

GAIN, OFFSET = np.float32(6), np.float32(2)
Array = npt.NDArray[np.float32]


def features(image: Array, shape: Shape) -> Array:
    """What stands at boundary 1 of images `(N, 1, prod(shape), 1)`."""
    return image.reshape(-1, *shape) * _gains(shape) - OFFSET


def graph(shape: Shape, *, masked: bool = False, pooled: bool = False) -> bytes:
    """Its graph. `masked` carries a mask beside the features, `pooled` ends the first stage with a pooling."""
    values, turned = prod(shape), [0, *range(2, len(shape) + 1), 1]
    weights = {
        "shape": np.array([-1, *shape], np.int64),
        "gain": _gains(shape),
        "offset": np.array(OFFSET),
        "zero": np.float32(0),
        "head": np.random.default_rng(0).normal(size=(values, 3)).astype(np.float32) / values,
    }
    made = "unpooled" if pooled else "features_1"
    nodes = [
        helper.make_node("Reshape", ["image", "shape"], ["shaped"]),
        helper.make_node("Mul", ["shaped", "gain"], ["gained"]),
        helper.make_node("Sub", ["gained", "offset"], [made]),
        *([helper.make_node("AveragePool", [made], ["features_1"], kernel_shape=[1, 1])] if pooled else []),
        helper.make_node("Flatten", ["features_1"], ["flat_1"]),
        helper.make_node("MatMul", ["flat_1", "head"], ["logits_1"]),
        # As attention does: turned and shaped anew before anything is computed.
        helper.make_node("Transpose", ["features_1"], ["turned"], perm=turned),
        helper.make_node("Flatten", ["turned"], ["flat_2"]),
        helper.make_node("MatMul", ["flat_2", "head"], ["alone"]),
        helper.make_node("Identity", ["features_2"], ["logits_2"]),
    ]
    shapes = {"features_1": shape, "features_2": (3,), "logits_1": (3,), "logits_2": (3,)}
    if masked:
        nodes[3:3] = [
            helper.make_node("Greater", ["gained", "offset"], ["above"]),
            helper.make_node("Cast", ["above"], ["as_number"], to=TensorProto.FLOAT),
            helper.make_node("Flatten", ["as_number"], ["mask"]),
        ]
        nodes[-1:-1] = [
            helper.make_node("MatMul", ["mask", "head"], ["of_mask"]),
            helper.make_node("Add", ["alone", "of_mask"], ["features_2"]),
        ]
        shapes["mask"] = (values,)
    else:
        nodes[-1:-1] = [helper.make_node("Identity", ["alone"], ["features_2"])]
    drawn = helper.make_graph(
        nodes,
        "signed",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, values, 1])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *one]) for name, one in shapes.items()],
        [numpy_helper.from_array(np.asarray(held), name) for name, held in weights.items()],
    )
    model = helper.make_model(drawn, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content


def tensors(shape: Shape, *, masked: bool) -> Shape | dict[str, Shape]:
    """What crosses boundary 1, as a manifest says it."""
    return {"features_1": shape, "mask": (prod(shape),)} if masked else shape


def bundle(path: Path, content: bytes, shape: Shape | Mapping[str, Shape], cuts: tuple[CutSpec, ...]) -> Bundle:
    """A bundle of such a graph, opened from the disk, with cuts at 0 and 1."""
    values = prod(shape["features_1"] if isinstance(shape, Mapping) else shape)
    manifest = Manifest(
        model="signed",
        classes=("cat", "dog", "owl"),
        preprocessing=Preprocessing(channels=1, height=values, width=1),
        stages=(
            StageSpec(index=1, shape=dict(shape) if isinstance(shape, Mapping) else shape, macs=9, parameters=9),
            StageSpec(index=2, shape=(3,), macs=9, parameters=9),
        ),
        heads=(HeadSpec(exit=1, macs=9, parameters=9), HeadSpec(exit=2, macs=0, parameters=0)),
        cuts=cuts,
        parity=Parity(max_difference=1e-7, tolerance=1e-4, samples=8),
        origin=Origin(checkpoint_sha256="ab" * 32, data="none", recipe="none", seed=0, epochs=1, commit="unknown"),
        files={GRAPH: digest(content)},
    )
    Bundle.write(path, manifest, content)
    return Bundle.open(path)


def _gains(shape: Shape) -> Array:
    """One for each place on the last axis."""
    return np.linspace(1, GAIN, shape[-1], dtype=np.float32)
