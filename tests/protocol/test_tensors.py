"""Tensors to messages of the protocol and back: raw, typed, and what does not hold together."""

import struct
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2 as pb

from offramp.errors import InputError
from offramp.protocol.datatypes import DTYPES
from offramp.protocol.served import Array
from offramp.protocol.tensors import (
    TYPED_FIELDS,
    decode,
    decode_bytes,
    encode,
    encode_bytes,
    extents_of,
    read_inputs,
    read_outputs,
    read_parameters,
    serialized_response,
    write_request,
    write_response,
)

NUMERIC = [name for name in DTYPES if name != "BYTES"]
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


def same(left: Array, right: Array) -> bool:
    """Bit for bit."""
    return left.dtype == right.dtype and left.shape == right.shape and encode(left) == encode(right)


def strings(values: list[bytes]) -> Array:
    """A BYTES tensor."""
    array = np.empty(len(values), np.object_)
    array[:] = values
    return array


@pytest.mark.parametrize("datatype", NUMERIC)
@settings(max_examples=25)
@given(data=st.data())
def test_a_tensor_comes_back_from_its_raw_contents(datatype: str, data: st.DataObject) -> None:
    """Every numeric datatype, every shape, NaN and infinity too: bit for bit."""
    array = data.draw(hnp.arrays(DTYPES[datatype], SHAPES))
    assert same(decode("x", datatype, array.shape, encode(array)), array)


@given(st.lists(st.binary(max_size=20), max_size=10))
def test_bytes_come_back_from_their_raw_contents(values: list[bytes]) -> None:
    """Elements of any length, empty ones too."""
    array = strings(values)
    assert list(decode("x", "BYTES", [len(values)], encode(array))) == values


def test_bytes_are_written_as_the_protocol_says() -> None:
    """Four bytes of length, little-endian, before each element."""
    assert encode_bytes(strings([b"ab", b""])) == b"\x02\x00\x00\x00ab\x00\x00\x00\x00"


def test_raw_contents_are_little_endian_and_in_row_order() -> None:
    """Whatever order the array has in memory."""
    assert encode(np.array([[1, 2], [3, 4]], np.int16).T) == struct.pack("<4h", 1, 3, 2, 4)


@pytest.mark.parametrize("datatype", NUMERIC)
@settings(max_examples=25)
@given(data=st.data())
def test_a_request_is_read_as_it_was_written(datatype: str, data: st.DataObject) -> None:
    """Several inputs keep their names, order, shapes and values."""
    array = data.draw(hnp.arrays(DTYPES[datatype], SHAPES))
    inputs = {"x": array, "words": strings([b"one", b""])}
    read = read_inputs(write_request("m", "1", inputs))
    assert list(read) == ["x", "words"]
    assert all(same(read[name], inputs[name]) for name in inputs)


@pytest.mark.parametrize("datatype", [name for name in NUMERIC if name in TYPED_FIELDS])
@settings(max_examples=25)
@given(data=st.data())
def test_a_tensor_comes_back_from_its_typed_contents(datatype: str, data: st.DataObject) -> None:
    """Every datatype that has a typed form, up to its largest values."""
    array = data.draw(hnp.arrays(DTYPES[datatype], SHAPES, elements=_numbers(datatype)))
    request = pb.ModelInferRequest()
    tensor = request.inputs.add(name="x", datatype=datatype, shape=array.shape)
    getattr(tensor.contents, TYPED_FIELDS[datatype][0]).extend(array.ravel().tolist())
    assert same(read_inputs(request)["x"], array)


@given(st.lists(st.binary(max_size=20), max_size=10))
def test_bytes_come_back_from_their_typed_contents(values: list[bytes]) -> None:
    """As elements of `bytes_contents`."""
    request = pb.ModelInferRequest()
    request.inputs.add(name="x", datatype="BYTES", shape=[len(values)]).contents.bytes_contents.extend(values)
    assert list(read_inputs(request)["x"]) == values


def test_a_response_is_read_as_it_was_written() -> None:
    """Names, versions and ids travel with the tensors."""
    response = write_response("m", "7", {"y": np.arange(3)}, {"rows": 3}, "name")
    assert (response.model_name, response.model_version, response.id) == ("m", "7", "name")
    assert same(read_outputs(response)["y"], np.arange(3))
    assert read_parameters(response.parameters) == {"rows": 3}


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=5),
        st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=5),
    )
)
def test_parameters_come_back_with_their_kinds(parameters: dict[str, Any]) -> None:
    """True stays true and is no 1; numbers of 64 bits, with a sign or without, keep every digit."""
    read = read_parameters(write_request("m", "", {}, parameters).parameters)
    assert read == parameters
    assert {name: type(value) for name, value in read.items()} == {n: type(v) for n, v in parameters.items()}


@given(
    words=st.tuples(st.text(max_size=5), st.text(max_size=5), st.text(max_size=200)),
    outputs=st.dictionaries(
        st.text(max_size=4), hnp.arrays(hnp.scalar_dtypes(), SHAPES) | st.just(strings([b"a", b""]))
    ),
    parameters=st.dictionaries(st.text(max_size=4), st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats()),
    long=st.integers(0, 70_000),
)
def test_a_responses_bytes_are_protobufs_own(
    words: tuple[str, str, str], outputs: dict[str, Array], parameters: dict[str, Any], long: int
) -> None:
    """Whatever is in it, of any length: put together of parts that are kept, it is what protobuf serializes."""
    model, version, request = words
    outputs = {name: array for name, array in outputs.items() if array.dtype in DTYPES.values()}
    outputs |= {"long": np.zeros(long, np.uint8)}
    written = write_response(model, version, outputs, parameters, request)
    assert serialized_response(model, version, outputs, parameters, request) == written.SerializeToString()


def test_a_parameter_that_holds_nothing_is_none() -> None:
    """The protocol's choice of kinds may be left empty."""
    request = pb.ModelInferRequest()
    request.parameters["empty"].CopyFrom(pb.InferParameter())
    assert read_parameters(request.parameters) == {}


BAD: dict[str, tuple[dict[str, Any], list[bytes], str]] = {
    "raw contents too few": (
        {"datatype": "FP32", "shape": [2, 2]},
        [b"1234"],
        "x: shape [2, 2] of FP32 takes 16 bytes, got 4.",
    ),
    "raw contents too many": (
        {"datatype": "INT8", "shape": [1]},
        [b"12"],
        "x: shape [1] of INT8 takes 1 bytes, got 2.",
    ),
    "unknown datatype": (
        {"datatype": "BF16", "shape": [1]},
        [b"12"],
        "x: datatype 'BF16' is unknown. Expected one of BOOL, UINT8, UINT16, UINT32, UINT64, INT8, INT16, INT32, "
        "INT64, FP16, FP32, FP64, BYTES.",
    ),
    "negative extent": ({"datatype": "INT8", "shape": [-1, 2]}, [b""], "x: shape [-1, 2] has a negative extent."),
    "bytes cut short": (
        {"datatype": "BYTES", "shape": [1]},
        [b"\x05\x00\x00\x00abc"],
        "x: BYTES contents are cut short: an element of 5 bytes at byte 0 of 7.",
    ),
    "bytes whose length is cut short": (
        {"datatype": "BYTES", "shape": [1]},
        [b"\x01\x00\x00\x00a\x05\x00"],
        "x: BYTES contents are cut short: an element of 7 bytes at byte 5 of 7.",
    ),
    "more bytes elements": (
        {"datatype": "BYTES", "shape": [1]},
        [b"\x00\x00\x00\x00" * 2],
        "x: shape [1] holds 1 elements, got 2.",
    ),
    "typed contents too few": (
        {"datatype": "FP32", "shape": [2], "contents": {"fp32_contents": [1.0]}},
        [],
        "x: shape [2] holds 2 elements, got 1 in fp32_contents.",
    ),
    "typed contents of another type": (
        {"datatype": "FP32", "shape": [2], "contents": {"int_contents": [1, 2]}},
        [],
        "x: shape [2] holds 2 elements, got 0 in fp32_contents.",
    ),
    "typed fp16": ({"datatype": "FP16", "shape": [1]}, [], "x: FP16 has no typed contents. Send it raw."),
    "typed unknown": (
        {"datatype": "float32", "shape": [1]},
        [],
        "x: datatype 'float32' is unknown. Expected one of BOOL, UINT8, UINT16, UINT32, UINT64, INT8, INT16, INT32, "
        "INT64, FP16, FP32, FP64, BYTES.",
    ),
    "typed value too large": (
        {"datatype": "UINT8", "shape": [2], "contents": {"uint_contents": [1, 256]}},
        [],
        "x: a value does not fit UINT8.",
    ),
    "typed value too small": (
        {"datatype": "INT16", "shape": [1], "contents": {"int_contents": [-40_000]}},
        [],
        "x: a value does not fit INT16.",
    ),
    "both forms": (
        {"datatype": "FP32", "shape": [1], "contents": {"fp32_contents": [1.0]}},
        [b"1234"],
        "input 'x': both raw and typed contents. Send one of the two.",
    ),
    "raw contents for another count": (
        {"datatype": "INT8", "shape": [1]},
        [b"1", b"2"],
        "inputs: 1 are declared and 2 raw contents sent; expected one for each.",
    ),
    "shared memory": (
        {"datatype": "INT8", "shape": [1], "parameters": {"shared_memory_region": pb.InferParameter(string_param="r")}},
        [],
        "x: shared memory is not offered. Send the tensor in the request.",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_an_input_that_does_not_hold_together_is_said(case: str) -> None:
    """What, how much of it was expected, how much came."""
    fields, raws, message = BAD[case]
    request = pb.ModelInferRequest(
        inputs=[pb.ModelInferRequest.InferInputTensor(name="x", **fields)], raw_input_contents=raws
    )
    with pytest.raises(InputError) as caught:
        read_inputs(request)
    assert str(caught.value) == message


def test_empty_typed_contents_beside_raw_ones_are_nothing() -> None:
    """Some servers send them."""
    response = write_response("m", "", {"y": np.zeros(1)}, {}, "")
    response.outputs[0].contents.SetInParent()
    assert response.outputs[0].HasField("contents")
    assert same(read_outputs(response)["y"], np.zeros(1))


def test_an_input_that_is_sent_twice_is_said() -> None:
    """The second would silently replace the first."""
    request = write_request("m", "", {"x": np.zeros(1)})
    request.inputs.add().CopyFrom(request.inputs[0])
    request.raw_input_contents.append(request.raw_input_contents[0])
    with pytest.raises(InputError) as caught:
        read_inputs(request)
    assert str(caught.value) == "input 'x': sent twice. Send it once."


def test_outputs_that_do_not_hold_together_are_called_outputs() -> None:
    """The same rules hold for what another server answers."""
    response = write_response("m", "", {"y": np.zeros(1), "z": np.zeros(1)}, {}, "")
    del response.raw_output_contents[1]
    with pytest.raises(InputError) as caught:
        read_outputs(response)
    assert str(caught.value) == "outputs: 2 are declared and 1 raw contents sent; expected one for each."


def test_more_axes_than_an_array_can_have_are_refused() -> None:
    """An empty tensor may claim any shape: numpy's own bound is said as ours."""
    with pytest.raises(InputError) as caught:
        decode("x", "INT8", [1] * 65, b"1")
    assert str(caught.value).startswith("x: shape [1, 1, 1, 1, 1, 1, 1, 1] is none that a tensor can have (")


def test_extents_that_no_array_can_have_are_refused() -> None:
    """A tensor of no elements takes no memory, whatever it claims."""
    with pytest.raises(InputError, match=r"^x: shape \[0, 9223372036854775807, 9223372036854775807\] is none"):
        decode("x", "FP64", [0, 2**63 - 1, 2**63 - 1], b"")


def test_a_shape_comes_back_as_a_tuple() -> None:
    """Zero is an extent."""
    assert extents_of("x", [0, 3]) == (0, 3)


def test_an_empty_tensor_of_bytes_is_empty() -> None:
    """No contents, no elements."""
    assert decode_bytes(b"", "x").shape == (0,)


def _numbers(datatype: str) -> st.SearchStrategy[Any] | None:
    # A NaN's other bits do not survive Python's floats, which the typed form is made of here.
    return st.floats(width=32 if datatype == "FP32" else 64, allow_nan=False) if datatype in {"FP32", "FP64"} else None
