"""Bundles of networks that take no images, written by hand: of values, and of text, in two stages each."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from offramp.artifacts.bundle import SELF_TEST, Bundle, digest
from offramp.artifacts.codec import CODEC_BYTES, Codec
from offramp.artifacts.cut import CodecResult, CutSpec
from offramp.artifacts.inputs import TOKENIZER, Input
from offramp.artifacts.manifest import GRAPH, Manifest
from offramp.artifacts.provenance import Origin, Parity
from offramp.artifacts.self_test import SelfTest, self_test_images
from offramp.artifacts.stages import HeadSpec, StageSpec, logits_name
from offramp.artifacts.text import Text
from offramp.artifacts.values import Values
from offramp.runtime.onnx_span import OnnxSpan
from wordlist import WORDS, tokenizer

VALUES = Values(shape=(2, 4))
TEXT = Text(length=5, vocabulary=len(WORDS))
CLASSES = ("up", "down", "aside")
WIDE = 6


def _graph(takes: Input) -> bytes:
    """Stage 1 multiplies what comes by weights, stage 2 again; of text, the mean of the words' vectors is taken."""
    drawn = np.random.default_rng(0)
    make = helper.make_node
    weights = {
        "deep": drawn.normal(size=(WIDE, WIDE)),
        "one": drawn.normal(size=(WIDE, 3)),
        "two": drawn.normal(size=(WIDE, 3)),
    }
    if isinstance(takes, Text):
        weights["words"] = drawn.normal(size=(takes.vocabulary, WIDE))
        nodes = [
            make("Cast", ["image"], ["ids"], to=TensorProto.INT64),
            make("Gather", ["words", "ids"], ["vectors"]),
            make("ReduceMean", ["vectors", "axis"], ["mean"], keepdims=0),
            make("Relu", ["mean"], ["features_1"]),
        ]
    else:
        weights["w"] = drawn.normal(size=(8, WIDE))
        nodes = [
            make("Flatten", ["image"], ["flat"]),
            make("MatMul", ["flat", "w"], ["wide"]),
            make("Relu", ["wide"], ["features_1"]),
        ]
    nodes += [
        make("MatMul", ["features_1", "one"], ["logits_1"]),
        make("MatMul", ["features_1", "deep"], ["deeper"]),
        make("Tanh", ["deeper"], ["bent"]),
        make("MatMul", ["bent", "two"], ["features_2"]),
        make("Identity", ["features_2"], ["logits_2"]),
    ]
    shapes = {"features_1": (WIDE,), "features_2": (3,), "logits_1": (3,), "logits_2": (3,)}
    graph = helper.make_graph(
        nodes,
        "by hand",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", *takes.shape])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape]) for name, shape in shapes.items()],
        [
            *(numpy_helper.from_array(values.astype(np.float32), name) for name, values in weights.items()),
            numpy_helper.from_array(np.array([1], np.int64), "axis"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content


def bundle_of(takes: Input, folder: Path) -> Bundle:
    """Its bundle, read from the disk."""
    graph = _graph(takes)

    def costs(values: int, codecs: tuple[Codec, ...]) -> dict[Codec, CodecResult]:
        return {codec: CodecResult(bytes_per_sample=CODEC_BYTES[codec] * values, accuracy=None) for codec in codecs}

    names = {logits_name(exit_): logits_name(exit_) for exit_ in (1, 2)}
    found = OnnxSpan(graph, ("image",), names).run(self_test_images(takes))
    self_test = SelfTest(logits={"fp32": {exit_: found[logits_name(exit_)].tolist() for exit_ in (1, 2)}})
    files = {GRAPH: digest(graph), SELF_TEST: digest(self_test.to_json().encode())}
    words = tokenizer() if isinstance(takes, Text) and takes.tokenizer else None
    if words is not None:
        files[TOKENIZER] = digest(words)
    manifest = Manifest(
        model=f"of-{takes.kind}",
        classes=CLASSES,
        preprocessing=takes,
        stages=(
            StageSpec(index=1, shape=(WIDE,), macs=48, parameters=48),
            StageSpec(index=2, shape=(3,), macs=54, parameters=54),
        ),
        heads=(HeadSpec(exit=1, macs=18, parameters=18), HeadSpec(exit=2, macs=0, parameters=0)),
        cuts=(
            CutSpec(boundary=0, scale=(), codecs=costs(int(np.prod(takes.shape)), takes.codecs), samples=8),
            CutSpec(boundary=1, scale=(0.02,) * WIDE, codecs=costs(WIDE, ("fp32", "fp16", "uint8")), samples=8),
        ),
        parity=Parity(max_difference=1e-7, tolerance=1e-4, samples=8),
        origin=Origin(checkpoint_sha256="ab" * 32, data="none", recipe="none", seed=0, epochs=1, commit="unknown"),
        files=files,
    )
    Bundle.write(folder, manifest, graph, None, self_test, words)
    return Bundle.open(folder)
