"""The int8 graph: same boundaries, nearly the same answers, refused where it is not."""

import json
import logging
import subprocess
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper
import onnxruntime as ort
import pytest
import torch

import signed
from offramp.artifacts.bundle import MANIFEST, SELF_TEST, Bundle
from offramp.artifacts.engine import Engine
from offramp.artifacts.manifest import GRAPH, GRAPH_INT8
from offramp.artifacts.plan import Plan
from offramp.artifacts.provenance import Int8
from offramp.artifacts.stages import IMAGE, features_name, logits_name
from offramp.data.image_set import Splits
from offramp.errors import ArtifactDamagedError, InputError, ParityError
from offramp.exits.evaluation import accuracy_at, evaluate, route
from offramp.export.quantize import check_loss, quantize
from offramp.export.write import export
from offramp.measure.predict import of_bundle, of_plan
from offramp.models.checkpoint import Checkpoint
from offramp.runtime.open import open_span
from offramp.runtime.span import SpanSpec

INT8 = Engine(precision="int8")
LAST = 9


def test_every_boundary_keeps_its_name_type_and_place(int8_bundle: Bundle) -> None:
    """Outputs are those of the fp32 graph, in its order, in fp32."""
    assert int8_bundle.graph_int8 is not None
    plain, quantized = (
        onnx.load_model_from_string(graph).graph for graph in (int8_bundle.graph, int8_bundle.graph_int8)
    )
    assert list(quantized.output) == list(plain.output)
    assert list(quantized.input) == list(plain.input)


def test_every_convolution_is_in_int8(int8_bundle: Bundle) -> None:
    """Weights and inputs of all 18 come from DequantizeLinear, and the weights are a quarter of the bytes."""
    assert int8_bundle.graph_int8 is not None
    nodes = onnx.load_model_from_string(int8_bundle.graph_int8).graph.node
    made_by = {name: node.op_type for node in nodes for name in node.output}
    convolutions = [node for node in nodes if node.op_type == "Conv"]
    assert len(convolutions) == 18
    assert {made_by[name] for node in convolutions for name in node.input} == {"DequantizeLinear"}
    assert len(int8_bundle.graph_int8) < 0.4 * len(int8_bundle.graph)


def test_a_pair_of_products_fits_into_16_bits(int8_bundle: Bundle) -> None:
    """x86 without VNNI adds two products of a uint8 and a weight in an int16, and what does not fit is cut off."""
    assert int8_bundle.graph_int8 is not None
    graph = onnx.load_model_from_string(int8_bundle.graph_int8).graph
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    weights = [array for array in constants.values() if array.dtype == np.int8 and array.ndim == 4]
    assert len(weights) == 18
    assert max(int(np.abs(array.astype(int)).max()) for array in weights) * 255 * 2 <= np.iinfo(np.int16).max


def test_this_processor_computes_what_the_graph_says(int8_bundle: Bundle, digits: Splits) -> None:
    """Its int8 kernels give what the graph's quantized values give in fp32, but for values at the edge of a step."""
    assert int8_bundle.graph_int8 is not None
    image = int8_bundle.manifest.preprocessing.from_uint8(digits.test.images[:64])
    as_written = ort.SessionOptions()
    as_written.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL  # no int8 kernel is put in
    session = ort.InferenceSession(int8_bundle.graph_int8, as_written, providers=["CPUExecutionProvider"])
    span = open_span(int8_bundle, SpanSpec(0, LAST, int8_bundle.manifest.exits), engine=INT8)
    for name, computed in span.run(image).items():
        (expected,) = session.run([name], {IMAGE: image})
        np.testing.assert_allclose(computed, expected, rtol=0, atol=0.02 * np.abs(expected).max(), err_msg=name)


def test_accuracy_on_the_test_set_is_within_a_point(int8_bundle: Bundle, digits: Splits) -> None:
    """At every exit, on samples that calibration never saw."""
    plain, quantized = (
        of_bundle(int8_bundle, engine=engine).predict(digits.test, "test") for engine in (Engine(), INT8)
    )
    assert (quantized.header.runtime, quantized.header.precision) == ("onnxruntime", "int8")
    for exit_ in int8_bundle.manifest.exits:
        before, after = accuracy_at(plain, exit_), accuracy_at(quantized, exit_)
        assert before is not None
        assert after is not None
        assert abs(after - before) <= 0.01, exit_
    assert any((plain.at(exit_) != quantized.at(exit_)).any() for exit_ in plain.header.exits)


def test_int8_spans_chained_at_every_boundary_stay_near_the_whole(int8_bundle: Bundle, digits: Splits) -> None:
    """What onnxruntime fuses moves a few values by a step of 8 bits, and no label here."""
    image = int8_bundle.manifest.preprocessing.from_uint8(digits.test.images[:64])
    whole = open_span(int8_bundle, SpanSpec(0, LAST, (LAST,)), engine=INT8).run(image)[logits_name(LAST)]
    features = image
    for start, end in pairwise(range(LAST)):
        spec = SpanSpec(start, end, gives="fp32")
        features = open_span(int8_bundle, spec, engine=INT8).run(features)[features_name(end)]
    found = open_span(int8_bundle, SpanSpec(LAST - 1, LAST, (LAST,)), engine=INT8).run(features)[logits_name(LAST)]
    assert np.array_equal(found.argmax(axis=1), whole.argmax(axis=1))
    assert np.abs(found - whole).max() <= 5e-3 * np.abs(whole).max()


def test_the_manifest_says_what_int8_does(int8_bundle: Bundle, digits: Splits) -> None:
    """Accuracies at every exit on the calibration samples; each of the paper's thresholds at every local exit."""
    found = int8_bundle.manifest.int8
    assert found is not None
    assert found.samples == len(digits.calibration)
    assert tuple(found.fp32_accuracy) == tuple(found.int8_accuracy) == int8_bundle.manifest.exits
    assert [(one.exit, one.threshold) for one in found.thresholds] == [
        (exit_, threshold) for exit_ in range(1, LAST) for threshold in (0.1, 0.3, 0.5, 0.8)
    ]


def test_thresholds_chosen_again_let_the_same_share_leave(int8_bundle: Bundle, digits: Splits) -> None:
    """On the calibration samples exactly, as an edge with that exit alone answers them."""
    spec = int8_bundle.manifest.int8
    assert spec is not None
    plans = {exit_: Plan.of(exit_, 0.5) for exit_ in range(1, LAST)}
    found = {k: of_plan(int8_bundle, plan, INT8).predict(digits.calibration, "c") for k, plan in plans.items()}
    for one in spec.thresholds:
        outcome = evaluate(route(found[one.exit], Plan.of(one.exit, one.int8)), digits.calibration.labels)
        assert outcome.local == round(one.share * outcome.n), one


def test_both_graphs_are_listed_hashed_and_checked(int8_bundle: Bundle, tmp_path: Path) -> None:
    """A changed int8 graph is found when the bundle is opened, by whoever opens it."""
    manifest = int8_bundle.manifest
    assert set(manifest.files) == {GRAPH, GRAPH_INT8, SELF_TEST}
    assert int8_bundle.graph_int8 is not None
    parts = int8_bundle.graph, int8_bundle.graph_int8, int8_bundle.self_test
    copy = Bundle.write(tmp_path / "copy", manifest, *parts)
    assert Bundle.open(copy.path) == copy
    (copy.path / GRAPH_INT8).write_bytes(int8_bundle.graph_int8[:-1])
    with pytest.raises(ArtifactDamagedError, match=r"graph-int8\.onnx: expected"):
        Bundle.open(copy.path)


def test_a_manifest_that_describes_no_graph_is_damaged(int8_bundle: Bundle, tmp_path: Path) -> None:
    """What int8 does and the graph that does it stand in the manifest together."""
    document = json.loads(int8_bundle.manifest.to_json())
    document["int8"] = None
    (tmp_path / MANIFEST).write_text(json.dumps(document))
    with pytest.raises(ArtifactDamagedError, match=r"int8: described without graph-int8\.onnx in files"):
        Bundle.open(tmp_path)


def test_an_export_without_it_leaves_none_behind(checkpoint: Checkpoint, digits: Splits, tmp_path: Path) -> None:
    """Exported again into the same folder, the bundle has one graph."""
    assert export(checkpoint, tmp_path, digits.calibration, int8=True).manifest.int8 is not None
    again = export(checkpoint, tmp_path, digits.calibration)
    assert again.manifest.int8 is None
    assert sorted(path.name for path in tmp_path.iterdir()) == [GRAPH, MANIFEST, SELF_TEST]


def test_quantizing_twice_gives_the_same_bytes(
    bundle: Bundle, digits: Splits, caplog: pytest.LogCaptureFixture
) -> None:
    """Same samples, same graph; and the quantizer says nothing of its own."""
    image = bundle.manifest.preprocessing.from_uint8(digits.calibration.images)
    with caplog.at_level(logging.INFO):
        assert quantize(bundle.graph, image) == quantize(bundle.graph, image)
    assert not caplog.records


def test_a_network_of_matrix_products_alone_is_refused() -> None:
    """Its graph would stay as it is, and be called int8."""
    with pytest.raises(InputError) as caught:
        quantize(signed.graph((4, 2)), np.zeros((2, 1, 8, 1), np.float32))
    assert str(caught.value) == (
        "int8: the network has none of Conv, AveragePool, GlobalAveragePool, which are what is quantized: its graph "
        "would stay as it is. Export without --int8."
    )


def hard_to_quantize(checkpoint: Checkpoint) -> Checkpoint:
    """The same function in fp32, with one channel ten thousand times as large as its neighbours."""
    net = deepcopy(checkpoint.net)
    _, _, norm, _, convolution, *_ = net.stages[0].children()
    with torch.no_grad():
        norm.weight[0] *= 1e4
        norm.bias[0] *= 1e4
        convolution.weight[:, 0] /= 1e4
    return replace(checkpoint, net=net)


def test_a_gross_loss_is_refused_unless_forced(checkpoint: Checkpoint, digits: Splits, tmp_path: Path) -> None:
    """One scale for a tensor leaves nothing of the small channels: fp32 is as before, int8 guesses."""
    hard, out = hard_to_quantize(checkpoint), tmp_path / "bundle"

    with pytest.raises(
        ParityError, match=r"^int8: accuracy at the last exit 9 falls from \d+\.\d to \d+\.\d % over 100 "
    ):
        export(hard, out, digits.calibration, int8=True)
    assert not out.exists()

    forced = export(hard, out, digits.calibration, int8=True, force_int8=True).manifest.int8
    assert forced is not None
    assert forced.fp32_accuracy[9] - forced.int8_accuracy[9] > 0.02


def test_two_points_may_be_lost_at_the_last_exit() -> None:
    """And not more; the others are the user's to look at."""
    found = Int8(
        samples=20, fp32_accuracy={3: 0.9, 9: 0.95}, int8_accuracy={3: 0.1, 9: 0.9}, score="entropy", thresholds=()
    )
    with pytest.raises(ParityError) as caught:
        check_loss(found, 9)
    assert str(caught.value) == (
        "int8: accuracy at the last exit 9 falls from 95.0 to 90.0 % over 20 calibration samples; at most 2 points may "
        "be lost. No bundle was written. Export without --int8, calibrate on other data (--data), or write it all the "
        "same (--force-int8)."
    )
    check_loss(found.model_copy(update={"int8_accuracy": {3: 0.1, 9: 0.93}}), 9)


def test_the_command_prints_what_was_measured(
    checkpoint: Checkpoint, tmp_path: Path, offramp: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    """A row an exit, with both accuracies and the thresholds."""
    out = tmp_path / "bundle"
    done = offramp("export", str(checkpoint.path), "--out", str(out), "--int8")
    assert done.returncode == 0, done.stderr
    assert "int8 on 100 calibration samples" in done.stdout
    assert Bundle.open(out).manifest.int8 is not None
