"""A runtime that does otherwise what a graph says, and does not say so: it is not chosen, and predicts nothing."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from offramp.artifacts.bundle import SELF_TEST, Bundle, digest
from offramp.artifacts.engine import Engine
from offramp.artifacts.manifest import GRAPH
from offramp.artifacts.self_test import SelfTest, self_test_images
from offramp.artifacts.stages import IMAGE, logits_name
from offramp.errors import ParityError
from offramp.measure.predict import open_predictor
from offramp.runtime.choice import choose
from offramp.runtime.open import open_span
from offramp.runtime.span import SpanSpec

needs_openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")


def smoothing(content: bytes) -> bytes:
    """The graph, with its image made smaller and larger again first: smoothly, which OpenVINO ignores."""
    model = onnx.load_model_from_string(content)
    for node in model.graph.node:
        node.input[:] = ["smoothed" if name == IMAGE else name for name in node.input]
    halved = helper.make_node("Resize", [IMAGE, "", "half"], ["small"], mode="linear", antialias=1)
    model.graph.node.insert(0, helper.make_node("Resize", ["small", "", "double"], ["smoothed"], mode="nearest"))
    model.graph.node.insert(0, halved)
    for name, by in (("half", 0.25), ("double", 4.0)):
        model.graph.initializer.append(numpy_helper.from_array(np.array([1, 1, by, by], np.float32), name))
    return model.SerializeToString()


@pytest.fixture
def smooth(bundle: Bundle, tmp_path: Path) -> Bundle:
    """A bundle of that graph, whose self-test is what onnxruntime makes of it."""
    graph, exits = smoothing(bundle.graph), bundle.manifest.exits
    spec, image = SpanSpec(0, bundle.manifest.last, exits), self_test_images(bundle.manifest.preprocessing)
    found = open_span(replace(bundle, graph=graph), spec, Engine(threads=1)).run(image)
    test = SelfTest(logits={"fp32": {exit_: found[logits_name(exit_)].tolist() for exit_ in exits}})
    files = bundle.manifest.files | {GRAPH: digest(graph), SELF_TEST: digest(test.to_json().encode())}
    return Bundle.write(tmp_path / "smooth", bundle.manifest.model_copy(update={"files": files}), graph, self_test=test)


@needs_openvino
def test_auto_does_not_take_a_runtime_that_computes_another_network(smooth: Bundle) -> None:
    """However fast; why is said."""
    choice = choose(smooth, "auto", "fp32", threads=1, largest=1)
    assert choice.engine == Engine(threads=1)
    assert choice.why.startswith(
        f"{smooth.path}: {Engine('openvino').release} fp32 does not compute this network here: logits_1 of 4 images"
    )


@needs_openvino
def test_such_a_runtime_predicts_nothing_where_it_is_asked_for(smooth: Bundle, bundle: Bundle) -> None:
    """Its logits would be of no network that was trained. Of another bundle it predicts."""
    with pytest.raises(ParityError, match=r"openvino .* fp32 does not compute this network here: logits_1 of 4 images"):
        open_predictor(smooth.path, runtime="openvino", threads=1)
    open_predictor(smooth.path, threads=1)
    open_predictor(bundle.path, runtime="openvino", threads=1)
