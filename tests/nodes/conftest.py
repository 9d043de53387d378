"""A network whose boundary is two tensors, written by hand: features and what skips past them."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from offramp.artifacts.bundle import Bundle, digest
from offramp.artifacts.codec import CODEC_BYTES
from offramp.artifacts.cut import CodecResult, CutSpec
from offramp.artifacts.manifest import GRAPH, Manifest
from offramp.artifacts.preprocessing import Preprocessing
from offramp.artifacts.provenance import Origin, Parity
from offramp.artifacts.stages import HeadSpec, StageSpec

CLASSES = ("cat", "dog", "owl")
SHAPES = {"trunk": (2, 4, 4), "skip": (16,)}


def graph() -> bytes:
    """Stage 1 leaves a convolution's features and the pixels in a row; stage 2 adds what it makes of both."""
    drawn = np.random.default_rng(0)
    weights = {"w": (2, 1, 3, 3), "head": (32, 3), "deep": (32, 3), "past": (16, 3)}
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["conv"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["conv"], ["trunk"]),
        helper.make_node("Flatten", ["image"], ["skip"]),
        helper.make_node("Flatten", ["trunk"], ["flat"]),
        helper.make_node("MatMul", ["flat", "head"], ["logits_1"]),
        helper.make_node("Flatten", ["trunk"], ["flat_2"]),
        helper.make_node("MatMul", ["flat_2", "deep"], ["from_trunk"]),
        helper.make_node("MatMul", ["skip", "past"], ["from_skip"]),
        helper.make_node("Add", ["from_trunk", "from_skip"], ["features_2"]),
        helper.make_node("Identity", ["features_2"], ["logits_2"]),
    ]
    shapes = {**SHAPES, "features_2": (3,), "logits_1": (3,), "logits_2": (3,)}
    made = helper.make_graph(
        nodes,
        "two tensors",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 4, 4])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape]) for name, shape in shapes.items()],
        [numpy_helper.from_array(drawn.normal(size=s).astype(np.float32), name) for name, s in weights.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content


@pytest.fixture(scope="session")
def skipping(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Its bundle, read from the disk."""
    path: Path = tmp_path_factory.mktemp("skipping")
    content = graph()
    costs = {codec: CodecResult(bytes_per_sample=48 * size, accuracy=None) for codec, size in CODEC_BYTES.items()}
    scale = {"trunk": (0.02, 0.03), "skip": (1 / 255,)}
    manifest = Manifest(
        model="skipping",
        classes=CLASSES,
        preprocessing=Preprocessing(channels=1, height=4, width=4),
        stages=(
            StageSpec(index=1, shape=SHAPES, macs=288, parameters=18),
            StageSpec(index=2, shape=(3,), macs=144, parameters=144),
        ),
        heads=(HeadSpec(exit=1, macs=96, parameters=96), HeadSpec(exit=2, macs=0, parameters=0)),
        cuts=(
            CutSpec(boundary=0, scale=(1 / 255,), codecs=costs, samples=8),
            CutSpec(boundary=1, scale=scale, codecs=costs, samples=8),
        ),
        parity=Parity(max_difference=1e-7, tolerance=1e-4, samples=8),
        origin=Origin(checkpoint_sha256="ab" * 32, data="none", recipe="none", seed=0, epochs=1, commit="unknown"),
        files={GRAPH: digest(content)},
    )
    Bundle.write(path, manifest, content)
    return Bundle.open(path)
