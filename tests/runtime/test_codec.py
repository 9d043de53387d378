"""Codecs in the graph against numpy."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.codec import CODECS, Codec
from offramp.artifacts.stages import features_name
from offramp.data.image_set import Splits
from offramp.runtime.codec import encoded_name, name_input
from offramp.runtime.cut import cut_out
from offramp.runtime.onnx_span import OnnxSpan
from offramp.runtime.open import open_span
from offramp.runtime.span import SpanSpec

BOUNDARIES = range(1, 9)
TYPES = {"fp32": np.float32, "fp16": np.float16, "uint8": np.uint8}


@pytest.fixture(scope="module")
def image(bundle: Bundle, digits: Splits) -> npt.NDArray[np.float32]:
    """A batch of samples that the scales were not taken from."""
    return bundle.manifest.preprocessing.from_uint8(digits.test.images[:40])


def steps(bundle: Bundle, boundary: int) -> npt.NDArray[np.float32]:
    """The uint8 scale of each channel, to be multiplied with features `(N, C, H, W)`."""
    return np.array(bundle.manifest.cut(boundary).scale, np.float32)[:, None, None]


def features(bundle: Bundle, boundary: int, image: npt.NDArray[np.float32], codec: Codec) -> npt.NDArray[Any]:
    """Features at a boundary in the form in which they travel."""
    return open_span(bundle, SpanSpec(0, boundary, gives=codec)).run(image)[features_name(boundary)]


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_fp16_is_a_cast(bundle: Bundle, image: npt.NDArray[np.float32], boundary: int) -> None:
    """Of the features, nothing else."""
    sent = features(bundle, boundary, image, "fp16")
    assert sent.dtype == np.float16
    plain = features(bundle, boundary, image, "fp32")
    np.testing.assert_allclose(sent.astype(np.float32), plain, rtol=1e-3, atol=1e-4)
    assert np.mean(sent == plain.astype(np.float16)) > 0.99


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_uint8_counts_steps_of_its_channels_scale(
    bundle: Bundle, image: npt.NDArray[np.float32], boundary: int
) -> None:
    """Rounded to the nearest step, from 0 to 255; what lies above the calibrated range is held at 255."""
    sent = features(bundle, boundary, image, "uint8")
    assert sent.dtype == np.uint8
    plain = features(bundle, boundary, image, "fp32")
    by_hand = np.rint(plain / steps(bundle, boundary)).clip(0, 255)
    assert np.abs(sent - by_hand).max() <= 1
    assert np.mean(sent == by_hand) > 0.99
    assert sent.max() > 128


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_the_receiver_computes_with_the_features_that_were_sent(
    bundle: Bundle, image: npt.NDArray[np.float32], boundary: int, codec: Codec
) -> None:
    """Its logits are those of a span without codec that is given the decoded features."""
    sent = features(bundle, boundary, image, codec)
    decoded = sent.astype(np.float32) * (steps(bundle, boundary) if codec == "uint8" else 1)
    found = open_span(bundle, SpanSpec(boundary, 9, (9,), takes=codec)).run(sent)["logits_9"]
    expected = open_span(bundle, SpanSpec(boundary, 9, (9,))).run(decoded)["logits_9"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


def test_an_8_bit_image_comes_through_uint8_exactly(bundle: Bundle, digits: Splits) -> None:
    """At boundary 0 the scale is a 255th: what was an 8-bit image before is the same afterwards."""
    pixels = digits.test.images[:40]
    sent = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    found = open_span(bundle, SpanSpec(0, 9, (9,), takes="uint8")).run(sent)["logits_9"]
    image = bundle.manifest.preprocessing.from_uint8(pixels)
    expected = open_span(bundle, SpanSpec(0, 9, (9,))).run(image)["logits_9"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("takes", CODECS)
@pytest.mark.parametrize("gives", CODECS)
def test_a_span_may_take_one_codec_and_give_another(
    bundle: Bundle, image: npt.NDArray[np.float32], takes: Codec, gives: Codec
) -> None:
    """A node between two others; an empty span only translates."""
    sent = features(bundle, 3, image, takes)
    for end in (5,) if takes == gives else (3, 5):
        given = open_span(bundle, SpanSpec(3, end, gives=gives, takes=takes)).run(sent)[features_name(end)]
        assert given.dtype == TYPES[gives]
        value = given.astype(np.float32) * (steps(bundle, end) if gives == "uint8" else 1)
        plain = features(bundle, end, image, "fp32")
        assert np.abs(value - plain).mean() < 0.02 * np.abs(plain).max()


def test_a_tensor_is_named_by_its_codec(bundle: Bundle) -> None:
    """So that a graph says in which form its input is expected."""
    assert [encoded_name("features_3", codec) for codec in CODECS] == [
        "features_3",
        "features_3_fp16",
        "features_3_uint8",
    ]


@pytest.mark.parametrize("takes", CODECS)
def test_a_graph_for_another_server_takes_its_input_by_the_request_s_name(
    bundle: Bundle, image: npt.NDArray[np.float32], takes: Codec
) -> None:
    """Whatever the codec, and it computes the same."""
    sent, spec = features(bundle, 3, image, takes), SpanSpec(3, 9, (9,), takes=takes)
    graph, (found,), outputs = cut_out(bundle, spec)
    renamed = OnnxSpan(name_input(graph, found, "features_3"), ("features_3",), outputs)
    assert [value.name for value in renamed.session.get_inputs()] == ["features_3"]
    assert np.array_equal(renamed.run(sent)["logits_9"], open_span(bundle, spec).run(sent)["logits_9"])


def test_a_graph_that_gives_what_it_takes_keeps_its_names(bundle: Bundle) -> None:
    """Two tensors cannot have one name."""
    graph, (found,), _ = cut_out(bundle, SpanSpec(3, 3, gives="fp32", takes="uint8"))
    assert name_input(graph, found, "features_3") == graph
