"""A classifier's graph as it is read: what is made of it, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import convert_model_to_external_data

from made_graphs import CLASSES, Dims, Making, small
from offramp.errors import ArtifactDamagedError, ArtifactMissingError, InputError, OfframpError
from offramp.graphs import external
from offramp.graphs.boundaries import find_boundaries
from offramp.graphs.source import GraphSource, parse_graph, read_graph


def parsed(model: onnx.ModelProto, shape: tuple[int, ...] | None = None) -> GraphSource:
    return parse_graph(model.SerializeToString(), "it.onnx", shape)


def refused(model: onnx.ModelProto, shape: tuple[int, ...] | None = None) -> str:
    with pytest.raises(OfframpError) as caught:
        parsed(model, shape)
    return str(caught.value)


def answers(model: onnx.ModelProto, *batches: np.ndarray) -> list[np.ndarray]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    found: list[np.ndarray] = session.run(None, dict(zip(names, batches, strict=True)))
    return found


def test_a_fit_graph_is_told_with_its_input_and_its_classes() -> None:
    source = parsed(small())
    assert {name: (info.dtype.name, info.shape) for name, info in source.inputs.items()} == {
        "pixels": ("float32", (1, 6, 6))
    }
    assert source.classes == CLASSES


def test_a_trailing_softmax_is_taken_off_and_nothing_else() -> None:
    """The logits are those that the softmax was of."""
    plain, sure = small(), small()
    logits = sure.graph.output[0].name
    sure.graph.node.append(helper.make_node("Softmax", [logits], ["sure"], axis=-1))
    sure.graph.node.append(helper.make_node("Identity", ["sure"], ["out"]))
    sure.graph.output[0].name = "out"
    image = np.random.default_rng(0).random((4, 1, 6, 6), np.float32)
    np.testing.assert_array_equal(answers(parsed(sure).model, image)[0], answers(plain, image)[0])


def test_a_log_softmax_stays() -> None:
    model = small()
    model.graph.node.append(helper.make_node("LogSoftmax", [model.graph.output[0].name], ["out"], axis=-1))
    model.graph.output[0].name = "out"
    assert parsed(model).output == "out"


def with_label(*, mapped: bool = False) -> onnx.ModelProto:
    """As scikit-learn's converter writes it: the class of the highest score, then the scores, or a map of them."""
    model = small()
    scores = model.graph.output[0].name
    model.graph.node.append(helper.make_node("ArgMax", [scores], ["label"], axis=1, keepdims=0))
    model.graph.output.insert(0, helper.make_tensor_value_info("label", TensorProto.INT64, ["batch"]))
    if mapped:
        model.graph.node.append(
            helper.make_node("ZipMap", [scores], ["map"], domain="ai.onnx.ml", classlabels_int64s=range(CLASSES))
        )
        model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 1))
        key_value = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
        model.graph.output[1].CopyFrom(helper.make_value_info("map", helper.make_sequence_type_proto(key_value)))
    return model


def with_features() -> onnx.ModelProto:
    """The features beside logits that are called so."""
    model = with_two_outputs()
    model.graph.node[-1].output[0] = model.graph.output[0].name = "logits"
    return model


@pytest.mark.parametrize(
    "make", [with_label, lambda: with_label(mapped=True), with_features], ids=["label", "map", "features"]
)
def test_of_several_outputs_the_scores_are_taken(make: Callable[[], onnx.ModelProto]) -> None:
    image = np.random.default_rng(0).random((4, 1, 6, 6), np.float32)
    source = parsed(make())
    np.testing.assert_array_equal(answers(source.model, image), answers(small(), image))
    assert all(node.op_type != "ArgMax" for node in source.model.graph.node)


def sigmoid_of_one(score: str, making: Making) -> tuple[str, Dims]:
    return making.op("Sigmoid", score), ("N", 1)


def sigmoid_of_a_row(score: str, making: Making) -> tuple[str, Dims]:
    return making.op("Sigmoid", making.op("Squeeze", score, making.constant([1], np.int64))), ("N",)


def sigmoid_beside_its_rest(score: str, making: Making) -> tuple[str, Dims]:
    yes = making.op("Sigmoid", score)
    return making.op("Concat", making.op("Sub", making.constant(1.0), yes), yes, axis=1), ("N", 2)


@pytest.mark.parametrize("ending", [sigmoid_of_one, sigmoid_of_a_row, sigmoid_beside_its_rest])
def test_one_score_behind_a_sigmoid_makes_two_classes(ending: Callable[[str, Making], tuple[str, Dims]]) -> None:
    """No and yes: the softmax of the two is the sigmoid."""
    making = Making()
    score = making.head(making.conv(making.input(("N", 1, 6, 6)), 1, 4), 4, 1)
    given, dims = ending(score, making)
    model = making.model(given, dims=dims)
    image = 9 * np.random.default_rng(0).standard_normal((4, 1, 6, 6)).astype(np.float32)
    source = parsed(model)
    assert source.classes == 2
    odds = np.exp(answers(source.model, image)[0])
    yes = answers(model, image)[0].reshape(4, -1)[:, -1]
    np.testing.assert_allclose(odds[:, 1] / odds.sum(1), yes, rtol=1e-5)


def test_probabilities_that_no_softmax_gave_become_their_logarithms() -> None:
    """Or exits would take sure answers for unsure ones: the softmax of probabilities is nearly flat."""
    making = Making()
    scores = making.op("Exp", making.head(making.conv(making.input(("N", 1, 6, 6)), 1, 4), 4))
    total = making.op("ReduceSum", scores, making.constant([1], np.int64), keepdims=1)
    model = making.model(making.op("Div", scores, total))
    image = np.random.default_rng(0).standard_normal((4, 1, 6, 6)).astype(np.float32)
    (logits,), (given,) = answers(parsed(model).model, image), answers(model, image)
    np.testing.assert_allclose(np.exp(logits) / np.exp(logits).sum(1, keepdims=True), given, rtol=1e-5)


def test_weights_among_the_inputs_are_no_inputs() -> None:
    """As files of before version 4 of the format have them, and as they are converted."""
    model = small()
    for tensor in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    model.ir_version, model.opset_import[0].version = 3, 8
    source = parsed(model)
    assert [*source.inputs] == ["pixels"]
    assert source.model.opset_import[0].version == 18


def test_functions_are_taken_apart_and_dead_nodes_and_weights_go() -> None:
    model = small()
    model.graph.node.append(helper.make_node("Relu", [model.graph.node[0].output[0]], ["dead"]))
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(9, np.float32), "unused"))
    twice = helper.make_function(
        "own", "Twice", ["x"], ["y"], [helper.make_node("Add", ["x", "x"], ["y"])], [helper.make_opsetid("", 18)]
    )
    model.functions.append(twice)
    model.opset_import.append(helper.make_opsetid("own", 1))
    model.graph.node.append(helper.make_node("Twice", [model.graph.output[0].name], ["out"], domain="own"))
    model.graph.output[0].name = "out"
    source = parsed(model)
    assert not source.model.functions
    assert "Twice" not in {node.op_type for node in source.model.graph.node}
    assert "dead" not in {name for node in source.model.graph.node for name in node.output}
    assert "unused" not in {tensor.name for tensor in source.model.graph.initializer}


def test_a_shape_fixes_what_the_file_leaves_free() -> None:
    """Paddle writes -1 for a free size."""
    model = small()
    for axis in (2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = -1
    assert parsed(model, (1, 8, 10)).inputs["pixels"].shape == (1, 8, 10)
    assert refused(model) == (
        "it.onnx: its input 'pixels' (N, 1, ?, ?) leaves more free than the batch. Say the shape of one sample: "
        "--shape 1x224x224, or shape= in Python."
    )
    assert refused(model, (3, 8, 8)) == (
        "it.onnx: its input 'pixels' is (N, 1, ?, ?), and the shape given is (3, 8, 8). Give one that fits, of one "
        "sample, or none."
    )


def test_scores_in_maps_of_one_become_rows() -> None:
    """(N, classes, 1, 1), as fully convolutional networks answer."""
    making = Making()
    scores = making.op("GlobalAveragePool", making.conv(making.input(("N", 1, 6, 6)), 1, CLASSES))
    source = parsed(making.model(scores, dims=("N", CLASSES, 1, 1)))
    assert answers(source.model, np.zeros((2, 1, 6, 6), np.float32))[0].shape == (2, CLASSES)


def test_nodes_in_any_order_are_put_into_theirs() -> None:
    """Some tools append what they add, such as casts to fp16 and back; onnxruntime takes that."""
    model = small()
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    image = np.random.default_rng(0).random((4, 1, 6, 6), np.float32)
    np.testing.assert_array_equal(answers(parsed(model).model, image)[0], answers(small(), image)[0])


def test_nodes_that_wait_for_each_other_are_onnxruntimes_own_word() -> None:
    model = small()
    model.graph.node[0].input[0] = model.graph.node[1].output[0]
    assert refused(model).startswith("it.onnx: ")


@pytest.mark.parametrize("cast", [False, True])
def test_what_is_in_fp16_is_computed_in_fp32(cast: bool) -> None:
    """With casts at its ends or without: each place that rounds no more can be cut, and answers stay near."""
    making = Making()
    kind = TensorProto.FLOAT if cast else TensorProto.FLOAT16
    now = making.input(("N", 2, 8, 8), kind=kind)
    now = making.op("Cast", now, to=TensorProto.FLOAT16) if cast else now
    for before in (2, 4, 4):
        now = making.op("Conv", now, making.constant(making.made.standard_normal((4, before, 3, 3)), np.float16))
        now = making.op("Mul", making.op("Relu", now), making.constant(0.3, np.float16))
    pooled = making.op("Flatten", making.op("GlobalAveragePool", now))
    scores = making.op("MatMul", pooled, making.constant(making.made.standard_normal((4, CLASSES)), np.float16))
    model = making.model(making.op("Cast", scores, to=TensorProto.FLOAT) if cast else scores)
    model.graph.output[0].type.tensor_type.elem_type = kind
    source = parsed(model)
    assert {tensor.data_type for tensor in source.model.graph.initializer} == {TensorProto.FLOAT}
    assert [info.dtype for info in source.inputs.values()] == [np.float32]
    found = find_boundaries(source)
    assert len(found.offered) >= 6
    assert max(one.tolerance for one in found.offered) < 1e-6
    image = np.random.default_rng(0).random((4, 2, 8, 8), np.float32)
    (expected,) = answers(model, image if cast else image.astype(np.float16))
    np.testing.assert_allclose(answers(source.model, image)[0], expected, rtol=0, atol=1e-2 * np.abs(expected).max())


def test_an_older_opset_is_converted_with_the_same_answers() -> None:
    making = Making()
    squeezed = making.op("Squeeze", making.op("GlobalAveragePool", making.conv(making.input(("N", 1, 6, 6)), 1, 4)),
                         axes=[2, 3])  # fmt: skip
    model = making.model(making.linear(squeezed, 4, CLASSES), opset=9)
    model.ir_version = 4
    image = np.random.default_rng(0).random((4, 1, 6, 6), np.float32)
    source = parsed(model)
    assert source.model.opset_import[0].version == 18
    np.testing.assert_allclose(answers(source.model, image)[0], answers(model, image)[0], rtol=1e-6)


def with_batch(batch: int | None) -> onnx.ModelProto:
    """With a fixed batch, or none at all."""
    model = small()
    for value in (*model.graph.input, *model.graph.output):
        dims = value.type.tensor_type.shape.dim
        if batch is None:
            del dims[0]
        else:
            dims[0].dim_value = batch
    return model


def with_node(*arguments: object, **attributes: object) -> onnx.ModelProto:
    """With one more node at its end, which takes the logits."""
    model = small()
    kind, *_ = arguments
    model.graph.node.append(helper.make_node(kind, [model.graph.output[0].name], ["out"], name="last", **attributes))
    model.graph.output[0].name = "out"
    return model


def with_branch() -> onnx.ModelProto:
    model = small()
    logits = model.graph.output[0].name
    branch = helper.make_graph(
        [helper.make_node("Identity", [logits], ["inner"])], "b", [],
        [helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)],
    )  # fmt: skip
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    model.graph.node.append(
        helper.make_node("If", ["yes"], ["out"], name="maybe", then_branch=branch, else_branch=branch)
    )
    model.graph.output[0].name = "out"
    return model


def with_weight(value: float) -> onnx.ModelProto:
    model = small()
    values = numpy_helper.to_array(model.graph.initializer[0]).copy()
    values[0, 0, 0, 0] = value
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(values, "c0"))
    return model


def with_two_outputs() -> onnx.ModelProto:
    model = small()
    model.graph.output.append(helper.make_tensor_value_info("v1", TensorProto.FLOAT, None))
    return model


def with_opset(version: int) -> onnx.ModelProto:
    model = small()
    model.opset_import[0].version = version
    return model


def in_training() -> onnx.ModelProto:
    """With dropout that drops."""
    model = small()
    model.graph.initializer.append(numpy_helper.from_array(np.array(0.5, np.float32), "share"))
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "training"))
    logits = model.graph.output[0].name
    model.graph.node.append(helper.make_node("Dropout", [logits, "share", "training"], ["out"], name="drop"))
    model.graph.output[0].name = "out"
    return model


def of_one_score() -> onnx.ModelProto:
    making = Making()
    return making.model(making.head(making.conv(making.input(("N", 1, 6, 6)), 1, 4), 4, 1), dims=("N", 1))


def over_the_batch() -> onnx.ModelProto:
    """Whose answers are of what the batch holds, as by batch normalization in training mode."""
    model = small()
    logits = model.graph.output[0].name
    model.graph.initializer.append(numpy_helper.from_array(np.array([0], np.int64), "first"))
    model.graph.node.append(helper.make_node("ReduceMean", [logits, "first"], ["mean"]))
    model.graph.node.append(helper.make_node("Sub", [logits, "mean"], ["out"]))
    model.graph.output[0].name = "out"
    return model


def of_type(kind: int) -> onnx.ModelProto:
    """With inputs and weights of another type."""
    making = Making()
    making.conv(making.input(("N", 1, 6, 6), kind=kind), 1, 4)
    model = making.model(making.op("Flatten", "v0"))
    model.graph.initializer[0].data_type = kind
    values = numpy_helper.to_array(small().graph.initializer[0])
    model.graph.initializer[0].CopyFrom(helper.make_tensor("c0", kind, values.shape, values.ravel()))
    return model


def quantized_by_the_batch() -> onnx.ModelProto:
    model = over_the_batch()
    output = model.graph.output[0].name
    names = ["small", "scale", "zero"]
    model.graph.node.append(helper.make_node("DynamicQuantizeLinear", [output], names))
    model.graph.node.append(helper.make_node("DequantizeLinear", names, ["again"]))
    model.graph.output[0].name = "again"
    return model


FREE = "dynamic_shapes={'pixels': {0: 'batch'}}, or dynamic_axes with the older exporter"
UNFIT: dict[str, tuple[Callable[[], onnx.ModelProto], str]] = {
    "control flow": (
        with_branch,
        "it.onnx: node 'maybe' is If, control flow, and a graph that takes one way or another cannot be cut. Export it "
        "again with its shapes fixed, or by the newer exporter (dynamo=True).",
    ),
    "two outputs": (
        with_two_outputs,
        "it.onnx: 2 outputs (v6, v1), and a classifier has one, (N, classes). Export it again with the logits alone, "
        "or call them logits.",
    ),
    "no batch": (
        lambda: with_batch(None),
        f"it.onnx: its input 'pixels' (1, 6, 6) has no batch axis. Export it again with one in front, free: {FREE}.",
    ),
    "fixed batch": (
        lambda: with_batch(8),
        "it.onnx: its input 'pixels' (8, 1, 6, 6) has a fixed batch of 8, and nodes send any. Export it again with a "
        f"free one: {FREE}.",
    ),
    "NaN": (
        lambda: with_weight(float("nan")),
        "it.onnx: 1 of 36 values of 'c0' are not numbers (NaN). The training that made them diverged, or the file was "
        "damaged: take an earlier checkpoint.",
    ),
    "infinite": (
        lambda: with_weight(float("-inf")),
        "it.onnx: 1 of 36 values of 'c0' are not numbers (infinite). The training that made them diverged, or the file "
        "was damaged: take an earlier checkpoint.",
    ),
    "random": (
        lambda: with_node("RandomNormalLike"),
        "it.onnx: node 'last' is RandomNormalLike: its answers are of chance. Export it again in evaluation mode.",
    ),
    "training": (
        in_training,
        "it.onnx: node 'drop' is Dropout as in training: an answer would depend on chance, or on what else is "
        "in its batch. Export it again in evaluation mode (model.eval()).",
    ),
    "foreign op": (
        lambda: with_node("Magic", domain="example.org"),
        "it.onnx: node 'last' is Magic of the domain 'example.org', which onnxruntime does not have. Export it again "
        "with ops of ONNX alone.",
    ),
    "laid out for one machine": (
        lambda: with_node("Conv", domain="com.microsoft.nchwc"),
        "it.onnx: node 'last' is laid out for one processor, as onnxruntime writes a graph that it has optimized for "
        "the machine it is on. Give the file from which that was made, or optimize it no further than extended.",
    ),
    "classes as integers": (
        lambda: with_node("Cast", to=TensorProto.INT64),
        "it.onnx: its output 'out' is of type int64, and logits are floats. Export it again with its scores, not with "
        "the class that they make.",
    ),
    "one score": (
        of_one_score,
        "it.onnx: its output is (N, 1), and a classifier's is (N, classes) with 2 classes or more. A network with one "
        "score needs a sigmoid behind it, or a second: stack 0 and the score.",
    ),
    "bfloat16": (
        lambda: of_type(TensorProto.BFLOAT16),
        "it.onnx: node 'n0' is Conv with weights in bfloat16, which onnxruntime does not have on processors. Export it "
        "again in fp32: model.float().",
    ),
    "double": (
        lambda: of_type(TensorProto.DOUBLE),
        "it.onnx: node 'n0' is Conv with weights in double, which onnxruntime does not have on processors. Export it "
        "again in fp32: model.float().",
    ),
}


@pytest.mark.parametrize("what", UNFIT)
def test_what_is_unfit_is_said_with_what_mends_it(what: str) -> None:
    make, message = UNFIT[what]
    assert refused(make()) == message


def test_an_answer_that_depends_on_the_rest_of_its_batch_is_refused() -> None:
    message = refused(over_the_batch())
    assert message.startswith("it.onnx: a sample's answer depends on what else is in its batch (by ")
    assert message.endswith("Export it again in evaluation mode (model.eval()).")


def test_quantization_that_goes_by_the_batch_is_told_from_training() -> None:
    message = refused(quantized_by_the_batch())
    assert message.startswith("it.onnx: a sample's answer depends on what else is in its batch (by ")
    assert message.endswith("goes by the whole batch: quantize it statically, or give it as it was before.")


def test_an_op_of_a_known_domain_that_is_not_there_is_onnxruntimes_own_word() -> None:
    message = refused(with_node("NoSuchOp"))
    assert message.startswith(f"it.onnx: onnxruntime {ort.__version__} does not take it (")
    assert "NoSuchOp" in message


def test_an_opset_of_tomorrow_is_refused_by_its_number() -> None:
    most = onnx.defs.onnx_opset_version()
    assert refused(with_opset(most + 1)) == (
        f"it.onnx: opset {most + 1}, and the installed onnx {onnx.__version__} knows them up to {most}. Export it "
        "again with opset_version=18, or install a newer onnx and onnxruntime."
    )


def test_minus_infinity_in_a_mask_is_no_fault() -> None:
    making = Making()
    scores = making.head(making.conv(making.input(("N", 1, 6, 6)), 1, 4), 4)
    never = making.constant(np.array([0, -np.inf, -np.inf], np.float32))
    model = making.model(making.op("Max", scores, never))
    assert parsed(model).classes == CLASSES


def test_a_network_that_takes_logarithms_is_tried_on_what_it_takes() -> None:
    """Noise goes below zero, and what it answers there is no fault of its own."""
    making = Making()
    loud = making.op("Log", making.op("Add", making.input(("N", 1, 6, 6)), making.constant(0.01)))
    source = parsed(making.model(making.head(making.conv(loud, 1, 4), 4)))
    assert find_boundaries(source).offered


def test_a_list_as_output_is_refused() -> None:
    model = with_node("SequenceConstruct")
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    model.graph.output[0].CopyFrom(helper.make_value_info("out", kind))
    assert refused(model) == (
        "it.onnx: its output 'out' is a list or a map, and a classifier's is one tensor (N, classes). Export it again "
        "with its scores alone."
    )


def test_a_fixed_batch_is_told_where_the_output_has_no_shape() -> None:
    """An example of onnxruntime's own of a classifier from scikit-learn: a fixed batch, and a list of maps."""
    path = Path(ort.__file__).parent / "datasets" / "logreg_iris.onnx"
    if not path.is_file():
        pytest.skip("this onnxruntime comes without its examples")
    with pytest.raises(InputError, match="has a fixed batch of 3, and nodes send any"):
        read_graph(path)


def test_a_file_that_is_no_graph_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "it.onnx").write_bytes(b"PK\x03\x04 not a graph")
    with pytest.raises(ArtifactDamagedError, match="not an ONNX file"):
        read_graph(tmp_path / "it.onnx")
    with pytest.raises(ArtifactMissingError, match="no such file"):
        read_graph(tmp_path / "gone.onnx")
    (tmp_path / "empty.onnx").write_bytes(b"")
    with pytest.raises(ArtifactDamagedError, match="not an ONNX file with a graph in it"):
        read_graph(tmp_path / "empty.onnx")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A graph whose weights lie in a file beside it."""
    model = small()
    convert_model_to_external_data(model, location="weights.bin", size_threshold=0)
    onnx.save(model, tmp_path / "it.onnx")
    return tmp_path / "it.onnx"


def test_weights_beside_the_file_are_read_in(outside: Path) -> None:
    source = read_graph(outside)
    assert all(not tensor.external_data for tensor in source.model.graph.initializer)
    image = np.random.default_rng(0).random((2, 1, 6, 6), np.float32)
    np.testing.assert_array_equal(answers(source.model, image)[0], answers(small(), image)[0])


def test_weights_that_are_not_there_are_missed(outside: Path) -> None:
    (outside.parent / "weights.bin").unlink()
    with pytest.raises(ArtifactMissingError) as caught:
        read_graph(outside)
    assert str(caught.value) == (
        f"{outside}: its weights 'c0' lie in 'weights.bin', which is not beside it. Copy that file as well."
    )


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/hostname"])
def test_weights_outside_of_the_folder_are_not_followed(outside: Path, location: str) -> None:
    model = onnx.load(outside, load_external_data=False)
    for tensor in model.graph.initializer:
        next(entry for entry in tensor.external_data if entry.key == "location").value = location
    outside.write_bytes(model.SerializeToString())
    (outside.parent.parent / "weights.bin").write_bytes(bytes(4096))
    with pytest.raises(InputError) as caught:
        read_graph(outside)
    assert str(caught.value) == (
        f"{outside}: its weights 'c0' lie outside of its folder, in {location!r}. Such a file is not followed: put the "
        "weights beside it."
    )


def test_a_link_out_of_the_folder_is_not_followed(outside: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "weights.bin"
    (outside.parent / "weights.bin").rename(elsewhere)
    (outside.parent / "weights.bin").symlink_to(elsewhere)
    with pytest.raises(InputError, match="lie outside of its folder"):
        read_graph(outside)


def test_a_content_alone_must_hold_its_weights(outside: Path) -> None:
    with pytest.raises(InputError, match="Give the path of the ONNX file, not its content"):
        parse_graph(outside.read_bytes(), "it.onnx")


def test_two_gigabytes_are_refused_before_they_are_read(outside: Path) -> None:
    """A file with a hole in it: as long as it says, and nothing on the disk."""
    with (outside.parent / "large.onnx").open("wb") as file:
        file.truncate(external.MOST + 1)
    with pytest.raises(InputError, match=r"large.onnx: 2.0 GiB with its weights, and a bundle's graph is one file of"):
        read_graph(outside.parent / "large.onnx")
    model = onnx.load(outside, load_external_data=False)
    for tensor in model.graph.initializer:
        next(entry for entry in tensor.external_data if entry.key == "length").value = str(2**30)
    outside.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match=r"it.onnx: 2.0 GiB with its weights"):
        read_graph(outside)
