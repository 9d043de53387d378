"""A bundle small enough to be written by hand: two stages, an exit at each, a real ONNX graph."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from offramp.artifacts.bundle import Bundle, digest
from offramp.artifacts.cut import CodecResult, CutSpec
from offramp.artifacts.manifest import GRAPH, Manifest
from offramp.artifacts.preprocessing import Preprocessing
from offramp.artifacts.provenance import Origin, Parity
from offramp.artifacts.stages import HeadSpec, StageSpec

CLASSES = ("cat", "dog", "owl")


@pytest.fixture(scope="session")
def graph() -> bytes:
    """Two 3x3 convolutions over a 1x4x4 image; a head that averages and is linear after each."""
    generator = np.random.default_rng(0)
    nodes, weights = [], []
    channels = 1
    for stage, width in ((1, 2), (2, 4)):
        for name, shape in ((f"w_{stage}", (width, channels, 3, 3)), (f"head_{stage}", (width, len(CLASSES)))):
            weights.append(numpy_helper.from_array(generator.normal(size=shape).astype(np.float32), name))
        source = f"features_{stage - 1}" if stage > 1 else "image"
        nodes += [
            helper.make_node("Conv", [source, f"w_{stage}"], [f"features_{stage}"], pads=[1, 1, 1, 1]),
            helper.make_node("GlobalAveragePool", [f"features_{stage}"], [f"pooled_{stage}"]),
            helper.make_node("Flatten", [f"pooled_{stage}"], [f"flat_{stage}"]),
            helper.make_node("MatMul", [f"flat_{stage}", f"head_{stage}"], [f"logits_{stage}"]),
        ]
        channels = width
    made = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 4, 4])],
        [helper.make_tensor_value_info(f"logits_{k}", TensorProto.FLOAT, ["N", len(CLASSES)]) for k in (1, 2)],
        weights,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content


@pytest.fixture(scope="session")
def manifest(graph: bytes) -> Manifest:
    """What that graph is."""
    results = {
        "fp32": CodecResult(bytes_per_sample=64, accuracy=0.75),
        "uint8": CodecResult(bytes_per_sample=16, accuracy=None),
    }
    return Manifest(
        model="small",
        classes=CLASSES,
        preprocessing=Preprocessing(channels=1, height=4, width=4),
        stages=(
            StageSpec(index=1, shape=(2, 4, 4), macs=288, parameters=18),
            StageSpec(index=2, shape=(4, 4, 4), macs=1152, parameters=72),
        ),
        heads=(HeadSpec(exit=1, macs=6, parameters=6), HeadSpec(exit=2, macs=12, parameters=12)),
        cuts=(
            CutSpec(boundary=0, scale=(1 / 255,), codecs=results, samples=8),
            CutSpec(boundary=1, scale=(0.01, 0.02), codecs=results, samples=8),
        ),
        parity=Parity(max_difference=1e-7, tolerance=1e-4, samples=8),
        origin=Origin(checkpoint_sha256="ab" * 32, data="digits", recipe="none", seed=0, epochs=1, commit="unknown"),
        files={GRAPH: digest(graph)},
    )


@pytest.fixture
def small_bundle(tmp_path: Path, manifest: Manifest, graph: bytes) -> Bundle:
    """The two of them in a folder."""
    return Bundle.write(tmp_path / "bundle", manifest, graph)
