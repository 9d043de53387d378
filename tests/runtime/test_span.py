"""Spans of a bundle: cut anywhere, they compute what the whole computes."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.engine import Engine
from offramp.artifacts.manifest import GRAPH
from offramp.artifacts.stages import features_name, logits_name
from offramp.data.image_set import Splits
from offramp.errors import ArtifactDamagedError, InputError
from offramp.runtime.cut import extract
from offramp.runtime.onnx_span import OnnxSpan
from offramp.runtime.open import open_span
from offramp.runtime.span import SpanSpec, Tensors

LAST = 9
EVERY_SPAN = [(start, end) for start in range(LAST + 1) for end in range(start, LAST + 1)]


def agree(found: npt.NDArray[np.float32], expected: npt.NDArray[np.float32], name: str = "") -> None:
    """Equal to a hundred-thousandth of the tensor's largest value."""
    assert found.dtype == expected.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * max(1.0, np.abs(expected).max()), err_msg=name)


@pytest.fixture(scope="module")
def image(bundle: Bundle, digits: Splits) -> npt.NDArray[np.float32]:
    """A small batch."""
    return bundle.manifest.preprocessing.from_uint8(digits.test.images[:5])


@pytest.fixture(scope="module")
def whole(bundle: Bundle, image: npt.NDArray[np.float32]) -> Tensors:
    """Every boundary and every exit of the uncut graph, the image among them."""
    names = [*map(features_name, range(1, LAST + 1)), *map(logits_name, range(1, LAST + 1))]
    return {"image": image} | OnnxSpan(bundle.graph, ("image",), {name: name for name in names}).run(image)


@pytest.mark.parametrize(("start", "end"), EVERY_SPAN)
def test_every_span_computes_what_the_whole_does_between_its_boundaries(
    bundle: Bundle, whole: Tensors, start: int, end: int
) -> None:
    """Given the features at its start: those at its end, and the logits of each exit from start to end."""
    exits = tuple(range(max(start, 1), end + 1))
    found = open_span(bundle, SpanSpec(start, end, exits, gives="fp32")).run(whole[features_name(start)])
    assert list(found) == [*map(logits_name, exits), features_name(end)]
    for name, values in found.items():
        agree(values, whole[name], name)


@settings(max_examples=30)
@given(st.sets(st.integers(1, LAST - 1)))
def test_spans_chained_at_any_cuts_are_the_whole_graph(
    bundle: Bundle, image: npt.NDArray[np.float32], whole: Tensors, cuts: set[int]
) -> None:
    """However many nodes the network is spread over."""
    features = image
    for start, end in pairwise([0, *sorted(cuts), LAST]):
        outputs = open_span(bundle, SpanSpec(start, end, (end,), gives="fp32")).run(features)
        agree(outputs[logits_name(end)], whole[logits_name(end)])
        features = outputs[features_name(end)]
    agree(features, whole[features_name(LAST)])


def test_a_span_gives_what_is_asked_and_nothing_else(bundle: Bundle, image: npt.NDArray[np.float32]) -> None:
    """Exits in the order asked, features only if wanted."""
    assert list(open_span(bundle, SpanSpec(0, 4, (3, 1))).run(image)) == ["logits_3", "logits_1"]
    assert list(open_span(bundle, SpanSpec(0, 4, gives="fp32")).run(image)) == ["features_4"]


@settings(max_examples=20)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=40))
def test_a_samples_answer_does_not_depend_on_its_batch(
    bundle: Bundle, image: npt.NDArray[np.float32], whole: Tensors, rows: list[int]
) -> None:
    """Any batch of any size, in any order, with repetition."""
    found = _whole_span(bundle).run(image[rows])["logits_9"]
    agree(found, whole["logits_9"][rows])


def test_a_spans_graph_holds_its_own_part_only(bundle: Bundle) -> None:
    """What a small device does not run it does not hold: stage 9 alone has two convolutions of the eighteen."""
    part = extract(bundle.graph, ["features_8"], ["features_9"], "x")
    assert [node.op_type for node in part.graph.node if node.op_type == "Conv"] == ["Conv"] * 2
    assert part.ByteSize() < 0.4 * len(bundle.graph)


def test_one_session_answers_several_threads_at_once(
    bundle: Bundle, digits: Splits, image: npt.NDArray[np.float32]
) -> None:
    """Each gets its own batch's answer, the one that it gets alone."""
    span = _whole_span(bundle)
    pixels = bundle.manifest.preprocessing.from_uint8(digits.test.images)
    batches = [pixels[start : start + 1 + start % 7] for start in range(0, 300, 3)]
    alone = [span.run(batch)["logits_9"] for batch in batches]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda batch: span.run(batch)["logits_9"], batches, timeout=120))
    for found, expected in zip(together, alone, strict=True):
        agree(found, expected)
    assert not np.allclose(alone[0][0], alone[1][0])


def test_a_span_computes_on_its_engines_threads(bundle: Bundle) -> None:
    """And on no other number, which a node's share of the machine rests on."""
    spans = [open_span(bundle, SpanSpec(0, 2, (2,)), Engine(threads=threads)) for threads in (1, 3)]
    used = [span.session.get_session_options().intra_op_num_threads for span in spans if isinstance(span, OnnxSpan)]
    assert used == [1, 3]


@pytest.mark.parametrize("threads", [0, 1, 2])
def test_the_number_of_threads_changes_no_answer(
    bundle: Bundle, image: npt.NDArray[np.float32], whole: Tensors, threads: int
) -> None:
    """It is a matter of speed."""
    found = open_span(bundle, SpanSpec(0, LAST, (LAST,)), Engine(threads=threads)).run(image)
    agree(found["logits_9"], whole["logits_9"])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (SpanSpec(3, 2, (3,)), "span [3, 2): expected 0 <= start <= end <= 9."),
        (SpanSpec(-1, 2, (1,)), "span [-1, 2): expected 0 <= start <= end <= 9."),
        (SpanSpec(0, 10, (9,)), "span [0, 10): expected 0 <= start <= end <= 9."),
        (SpanSpec(0, 9, (10,)), "exit 10: mem has the exits 1, 2, 3, 4, 5, 6, 7, 8, 9. Choose one of them."),
        (SpanSpec(0, 9, (0,)), "exit 0: mem has the exits 1, 2, 3, 4, 5, 6, 7, 8, 9. Choose one of them."),
        (SpanSpec(3, 5, (2,)), "span [3, 5): exit 2 lies outside of it."),
        (SpanSpec(3, 5, (4, 6)), "span [3, 5): exit 6 lies outside of it."),
        (SpanSpec(3, 5), "span [3, 5): nothing is asked of it. Name exits, or want its features."),
        (
            SpanSpec(0, 9, gives="uint8"),
            "cut 9: mem can be cut at 0, 1, 2, 3, 4, 5, 6, 7, 8. Choose one of them.",
        ),
    ],
)
def test_a_span_that_cannot_be_is_refused(bundle: Bundle, spec: SpanSpec, message: str) -> None:
    """The message repeats the span and says what would do."""
    with pytest.raises(InputError) as caught:
        open_span(bundle, spec)
    assert str(caught.value) == message


@pytest.mark.parametrize("length", [0, 100, -1])
def test_a_graph_that_is_cut_short_is_named(bundle: Bundle, length: int) -> None:
    """A bundle that is opened is checked by its hash first; this is what a span says that was handed one unchecked."""
    message = refusal(replace(bundle, graph=bundle.graph[:length]))
    assert message.startswith(f"{bundle.path / GRAPH}: cannot cut ['image'] to ['logits_2'] out of it (")


def test_a_graph_without_the_boundary_is_named(bundle: Bundle) -> None:
    """Some other program's graph."""
    model = onnx.load_model_from_string(bundle.graph)
    for output in model.graph.output:
        output.name = output.name.replace("logits", "scores")
    message = refusal(replace(bundle, graph=model.SerializeToString()))
    assert message.startswith(f"{bundle.path / GRAPH}: cannot cut ['image'] to ['logits_2'] out of it (")


@pytest.mark.parametrize("damage", ["operator", "weights", "node"])
def test_a_graph_that_cannot_be_run_is_named(bundle: Bundle, damage: str) -> None:
    """An operator that onnxruntime does not know, weights of the wrong size, a node that is missing."""
    model = onnx.load_model_from_string(bundle.graph)
    convolution = next(position for position, node in enumerate(model.graph.node) if node.op_type == "Conv")
    if damage == "operator":
        model.graph.node[convolution].op_type = "Convolve"
    elif damage == "weights":
        name = model.graph.node[convolution].input[1]
        weights = next(tensor for tensor in model.graph.initializer if tensor.name == name)
        weights.raw_data = weights.raw_data[:-4]
    else:
        del model.graph.node[convolution]
    message = refusal(replace(bundle, graph=model.SerializeToString()))
    assert message.startswith(f"{bundle.path / GRAPH}: onnxruntime cannot run span [0, 2) of it (")


def _whole_span(bundle: Bundle) -> OnnxSpan:
    span = open_span(bundle, SpanSpec(0, LAST, (LAST,)))
    assert isinstance(span, OnnxSpan)
    return span


def refusal(bundle: Bundle) -> str:
    """The message with which a damaged graph is refused."""
    with pytest.raises(ArtifactDamagedError) as caught:
        open_span(bundle, SpanSpec(0, 2, (2,)))
    return str(caught.value)


@pytest.mark.parametrize("where", ["an initializer", "a constant", "a branch"])
def test_a_tensor_in_a_file_of_its_own_is_refused(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """In the bundle's folder or out of it: no manifest has its hash. The file that it names is not opened."""
    model = onnx.load_from_string(bundle.graph)
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name and len(tensor.dims) > 1)
    (tmp_path / "outside.bin").write_bytes(onnx.numpy_helper.to_array(tensor).tobytes())
    moved = onnx.TensorProto.FromString(tensor.SerializeToString())
    onnx.external_data_helper.set_external_data(moved, "../outside.bin")
    moved.ClearField("raw_data")
    moved.data_location = onnx.TensorProto.EXTERNAL
    made = onnx.helper.make_node("Constant", [], ["beside"], value=moved)
    if where == "an initializer":
        tensor.CopyFrom(moved)
    elif where == "a constant":
        model.graph.node.append(made)
    else:
        branch = onnx.helper.make_graph([made], "branch", [], [onnx.helper.make_tensor_value_info("beside", 1, None)])
        model.graph.node.append(
            onnx.helper.make_node("If", ["whether"], ["either"], then_branch=branch, else_branch=branch)
        )
    inside = tmp_path / "folder"
    inside.mkdir()
    monkeypatch.chdir(inside)  # from where the name leads to the file
    with pytest.raises(ArtifactDamagedError, match=f"its tensor '{tensor.name}' lies in a file of its own"):
        open_span(replace(bundle, graph=model.SerializeToString()), SpanSpec(0, LAST, exits=(LAST,)))
