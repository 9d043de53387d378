"""A classifier's own preparation becomes its first nodes: what it answers stays what its pipeline made it answer."""

import re
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from classifiers import LONG, WORDS, convolution, made, reader
from offramp.artifacts.preprocessing import Preprocessing
from offramp.artifacts.stages import IMAGE
from offramp.artifacts.text import Text
from offramp.artifacts.values import Values
from offramp.errors import InputError
from offramp.graphs.boundaries import find_boundaries
from offramp.graphs.inputs import adapted, takes_of
from offramp.graphs.source import GraphSource, parse_graph
from offramp.graphs.spec import InputSpec
from offramp.graphs.stages import staged

DRAWN = np.random.default_rng(0)


def run(model: onnx.ModelProto | bytes, **fed: np.ndarray) -> np.ndarray:
    """What a graph answers."""
    content = model if isinstance(model, bytes) else model.SerializeToString()
    (found,) = ort.InferenceSession(content, providers=["CPUExecutionProvider"]).run(None, fed)
    return np.asarray(found)


def source(content: bytes) -> GraphSource:
    return parse_graph(content, "net")


MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)
PIXELS = np.random.default_rng(3).integers(0, 256, (5, 4, 6, 3), np.uint8)  # as any pipeline begins


@pytest.mark.parametrize(
    ("spec", "prepare"),
    [
        (InputSpec(), lambda x: x / 255),
        (InputSpec(mean=MEAN, std=STD), lambda x: (x / 255 - MEAN) / STD),
        (InputSpec(mean=(0.5,), std=(0.25,)), lambda x: (x / 255 - 0.5) / 0.25),
        (InputSpec(scale=255.0), lambda x: x),
        (InputSpec(scale=255.0, bgr=True, mean=(104, 117, 123)), lambda x: x[..., ::-1] - np.array([104, 117, 123])),
        (InputSpec.of_range(-1, 1), lambda x: x / 127.5 - 1),
        (InputSpec.of_range(0, 255), lambda x: x),
    ],
)
@pytest.mark.parametrize("shape", [(3, 4, 6), (4, 6, 3)])
@pytest.mark.parametrize("name", ["pixels", "image", "input:0"])
def test_an_image_in_0_to_1_is_answered_as_its_own_pipeline_s(
    spec: InputSpec, prepare: Any, shape: tuple[int, int, int], name: str
) -> None:
    """Order, range, mean and deviation, in either layout, whatever the input is called."""
    content = convolution(shape, name)
    x = prepare(PIXELS.astype(np.float64)).astype(np.float32)
    expected = run(content, **{name: x if shape[2] == 3 else x.transpose(0, 3, 1, 2)})
    found = adapted(source(content), spec)
    assert list(found.inputs) == [IMAGE]
    takes = takes_of(source(content), spec)
    assert takes == Preprocessing(channels=3, height=4, width=6)
    image = takes.from_uint8(PIXELS)
    np.testing.assert_allclose(run(found.model, image=image), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    again = parse_graph(found.model.SerializeToString(), "adapted")  # it is fit as any graph is
    assert (list(again.inputs), again.inputs[IMAGE].shape) == ([IMAGE], (3, 4, 6))


def test_a_grey_image_becomes_a_network_s_three_channels() -> None:
    """Each the same; one comes over the wire."""
    content = convolution()
    grey = PIXELS[..., :1]
    expected = run(content, pixels=np.repeat(grey, 3, axis=3).transpose(0, 3, 1, 2).astype(np.float32) / 255)
    spec = InputSpec(grey=True)
    takes = takes_of(source(content), spec)
    assert takes.shape == (1, 4, 6)
    assert isinstance(takes, Preprocessing)
    found = run(adapted(source(content), spec).model, image=takes.from_uint8(grey))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [TensorProto.UINT8, TensorProto.FLOAT16, TensorProto.DOUBLE])
def test_a_network_of_another_type_gets_that(kind: int) -> None:
    """8-bit values come back as they were; halves and doubles are casts."""
    content = convolution((4, 6, 3), kind=kind)
    expected = run(content, pixels=PIXELS.astype(helper.tensor_dtype_to_np_dtype(kind)))
    image = Preprocessing(channels=3, height=4, width=6).from_uint8(PIXELS)
    found = run(adapted(source(content), InputSpec(scale=255.0)).model, image=image)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize("kind", [TensorProto.INT64, TensorProto.INT32])
@pytest.mark.parametrize(("mask", "types"), [("attention_mask", "token_type_ids"), ("input_mask", "segment_ids")])
def test_of_text_the_ids_are_enough(kind: int, mask: str, types: str) -> None:
    """The mask is what is not padding, the types are zeros."""
    content = reader(mask=mask, types=types, kind=kind)
    ids = DRAWN.integers(1, WORDS, (4, LONG))
    ids[1, 3:], ids[2, 1:] = 7, 7
    fed = {"input_ids": ids.astype(helper.tensor_dtype_to_np_dtype(kind)), mask: (ids != 7).astype(np.int64)}
    expected = run(content, **fed, **{types: np.zeros_like(ids)})
    spec = InputSpec(kind="text", pad=7)
    found = adapted(source(content), spec)
    assert takes_of(source(content), spec) == Text(length=LONG, vocabulary=WORDS, pad=7, tokenizer=False)
    np.testing.assert_allclose(run(found.model, image=ids.astype(np.float32)), expected, rtol=1e-5)


def test_positions_are_counted() -> None:
    """Where a network asks for them."""
    nodes = [
        helper.make_node("Gather", ["words", "ids"], ["vectors"]),
        helper.make_node("Gather", ["places", "position_ids"], ["of_places"]),
        helper.make_node("Add", ["vectors", "of_places"], ["both"]),
        helper.make_node("Flatten", ["both"], ["flat"]),
        helper.make_node("MatMul", ["flat", "head"], ["answer"]),
    ]
    sizes = {"words": (WORDS, 2), "places": (LONG, 2), "head": (2 * LONG, 3)}
    weights = {key: np.random.default_rng(4).normal(size=size).astype(np.float32) for key, size in sizes.items()}
    content = made(nodes, dict.fromkeys(("ids", "position_ids"), (TensorProto.INT64, (LONG,))), weights)
    ids = DRAWN.integers(0, WORDS, (3, LONG))
    expected = run(content, ids=ids, position_ids=np.tile(np.arange(LONG), (3, 1)))
    found = adapted(source(content), InputSpec(kind="text"))
    np.testing.assert_allclose(run(found.model, image=ids.astype(np.float32)), expected, rtol=1e-5)


def test_values_come_as_they_are() -> None:
    """Of whatever shape; under the name that the rest knows."""
    weights = {"w": np.random.default_rng(5).normal(size=(8, 3))}
    content = made(
        [helper.make_node("Flatten", ["readings"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["wide"]),
         helper.make_node("Cast", ["wide"], ["answer"], to=TensorProto.FLOAT)],
        {"readings": (TensorProto.DOUBLE, (2, 4))},
        weights,
    )  # fmt: skip
    x = DRAWN.normal(size=(3, 2, 4)).astype(np.float32)
    found = adapted(source(content), InputSpec(kind="values"))
    assert takes_of(source(content), InputSpec(kind="values")) == Values(shape=(2, 4))
    np.testing.assert_allclose(run(found.model, image=x), run(content, readings=x.astype(np.float64)), rtol=1e-5)


@pytest.mark.parametrize("text", [False, True])
def test_an_adapted_network_is_cut_as_any(text: bool) -> None:
    """Its halves are the whole; a mask's ids travel beside the features where they are needed behind them."""
    spec = InputSpec(kind="text", pad=7) if text else InputSpec(scale=255.0, mean=(100, 110, 120), bgr=True)
    found = adapted(source(reader() if text else convolution((4, 6, 3))), spec)
    offered = find_boundaries(found).offered
    assert len(offered) >= 3
    assert any(len(one.tensors) == 2 for one in offered) == text
    assert staged(found, [offered[0], offered[-1]])


@pytest.mark.parametrize(
    ("content", "spec", "message"),
    [
        (convolution((2, 4, 6)), InputSpec(), "net: its input 'pixels' is (N, 2, 4, 6), of 2 channels; an image has "
         "1 or 3. If it takes no images, say so: values."),
        (reader(), InputSpec(), "net: has the inputs input_ids, attention_mask, token_type_ids, and a network of "
         "images or values has one. If it takes text, say so."),
        (reader(mask="one", types="two"), InputSpec(kind="text"), "net: of its inputs input_ids, one, two, one should "
         "be the token ids, and the others be called after what they are: a mask, types or positions. Export it with "
         "such names."),
        (reader(), InputSpec(kind="text", pad=WORDS), "net: what it is given is not possible: pad 11: "
         "not below the vocabulary's 11."),
        (convolution(), InputSpec(side=4), "net: what it is given is not possible: side 4: 4 x 6 cannot "
         "be cut out of it. Expected 6 or more."),
        (convolution(), InputSpec(kind="text"), "net: its input 'pixels' is (N, 3, 4, 6); token ids are (N, L)."),
        (convolution(), InputSpec(size=(8, 6)), "net: takes images of 4 x 6, and its configuration says 8 x 6. Give "
         "the one that belongs to it."),
    ],
)  # fmt: skip
def test_a_spec_that_does_not_fit_is_refused(content: bytes, spec: InputSpec, message: str) -> None:
    """By what the graph takes."""
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        adapted(source(content), spec)


def test_a_mean_for_each_of_other_channels_is_refused() -> None:
    """One number stands for all."""
    with pytest.raises(InputError, match=re.escape("mean: 3 numbers, and the network has 1 channels.")):
        adapted(source(convolution((1, 4, 6))), InputSpec(mean=MEAN))
    for bad in ({"std": (0.0,)}, {"scale": 0.0}, {"mean": (1, 2)}):
        with pytest.raises(InputError, match="xpected"):
            InputSpec(**bad)


def test_a_text_s_length_may_be_free() -> None:
    """One shape fixes it for the ids and for what stands beside them."""
    free = onnx.load_model_from_string(reader())
    for value in free.graph.input:
        value.type.tensor_type.shape.dim[1].dim_param = "words"
    found = parse_graph(free.SerializeToString(), "net", (LONG,))
    assert {info.shape for info in found.inputs.values()} == {(LONG,)}
    assert list(adapted(found, InputSpec(kind="text")).inputs) == [IMAGE]
