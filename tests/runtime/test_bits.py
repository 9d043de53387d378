"""One bit a value, in the graph, against numpy's own packing."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from offramp.artifacts.codec import carried
from offramp.artifacts.cut import Levels
from offramp.runtime.codec import Form, append_encoder, prepend_decoder
from offramp.runtime.onnx_messages import ModelProto
from offramp.runtime.onnx_span import OnnxSpan

Floats = npt.NDArray[np.float32]


def graph(shape: tuple[int, ...]) -> bytes:
    """What comes in goes out, under another name."""
    dims = ["batch", *shape]
    value = helper.make_tensor_value_info
    made = helper.make_graph(
        [helper.make_node("Identity", ["given"], ["features"])],
        "copy",
        [value("given", TensorProto.FLOAT, dims)],
        [value("features", TensorProto.FLOAT, dims)],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


def encoder(form: Form) -> OnnxSpan:
    model = ModelProto.FromString(graph(form.shape))
    append_encoder(model, "features", form)
    onnx.checker.check_model(onnx.load_from_string(model.SerializeToString()), full_check=True)
    return OnnxSpan(model.SerializeToString(), ("given",), {"features": "features_1bit"})


def decoder_graph(form: Form) -> bytes:
    model = ModelProto.FromString(graph(form.shape))
    prepend_decoder(model, "given", form)
    onnx.checker.check_model(onnx.load_from_string(model.SerializeToString()), full_check=True)
    content: bytes = model.SerializeToString()
    return content


def form(shape: tuple[int, ...], levels: Levels) -> Form:
    axis = 0 if len(shape) > 2 else len(shape) - 1
    return Form("1bit", axis=axis, rank=len(shape), bits=levels, shape=shape)


SIGNS = Levels(above=(0.0,), low=(-1.0,), high=(1.0,))


@settings(max_examples=25)
@given(
    shape=st.one_of(st.tuples(st.integers(1, 20)), st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(1, 4))),
    rows=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_signs_are_packed_as_numpy_packs_them_and_come_back(shape: tuple[int, ...], rows: int, seed: int) -> None:
    """Whatever the shape: what is missing to the last byte is zeros, and is not there afterwards."""
    values: Floats = np.random.default_rng(seed).normal(size=(rows, *shape)).astype(np.float32)
    values.flat[0] = 0.0  # not above 0
    sent = encoder(form(shape, SIGNS)).run(values)["features"]
    assert sent.dtype == np.uint8
    assert sent.shape == (rows, *carried("1bit", shape))
    np.testing.assert_array_equal(sent, np.packbits(values.reshape(rows, -1) > 0, axis=1))
    back = OnnxSpan(decoder_graph(form(shape, SIGNS)), ("given_1bit",), {"features": "features"}).run(sent)["features"]
    np.testing.assert_array_equal(back, np.where(values > 0, 1, -1))


def test_levels_are_each_channels_own() -> None:
    """Above its threshold the high one, else the low one."""
    levels = Levels(above=(0.5, 2.0), low=(0.1, 1.0), high=(0.9, 3.0))
    values = np.array([[[[0.4, 0.6]], [[1.9, 2.1]]]], np.float32)
    of = form((2, 1, 2), levels)
    sent = encoder(of).run(values)["features"]
    assert sent.tolist() == [[0b01010000]]
    back = OnnxSpan(decoder_graph(of), ("given_1bit",), {"features": "features"}).run(sent)["features"]
    np.testing.assert_allclose(back, [[[[0.1, 0.9]], [[1.0, 3.0]]]], rtol=1e-6)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_openvino_unpacks_the_same(precision: str, tmp_path: Path) -> None:
    """In bf16 too, where values up to 255 are exact."""
    pytest.importorskip("openvino")
    from offramp.runtime.openvino_span import OpenVinoSpan

    values = np.arange(256, dtype=np.uint8)[:, None]
    of = form((8,), SIGNS)
    outputs = {"features": "features"}
    expected = OnnxSpan(decoder_graph(of), ("given_1bit",), outputs).run(values)["features"]
    assert len(np.unique(expected, axis=0)) == 256
    span = OpenVinoSpan(decoder_graph(of), ("given_1bit",), outputs, 1, precision)  # type: ignore[arg-type]
    np.testing.assert_array_equal(span.run(values)["features"], expected)
