"""The protocol's REST form: JSON, raw contents behind it, and what does not hold together."""

from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.errors import InputError
from offramp.protocol.datatypes import DTYPES, NAMES
from offramp.protocol.rest_body import Asked, read_request, to_json, write_response
from offramp.protocol.served import Array
from offramp.protocol.tensors import encode

NUMERIC = [name for name in DTYPES if name != "BYTES"]
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3)


def body(**fields: Any) -> bytes:
    """A request."""
    return orjson.dumps(fields)


def read(data: Any, shape: list[int], datatype: str = "INT64") -> Array:
    """The tensor that JSON `data` of a shape makes."""
    return read_request(body(inputs=[{"name": "x", "shape": shape, "datatype": datatype, "data": data}]), None).inputs[
        "x"
    ]


def answered(asked: Asked, outputs: dict[str, Array]) -> Asked:
    """A response, read as if it were a request: they describe tensors in the same way."""
    content, length = write_response("m", "1", asked, outputs, {})
    header = orjson.loads(content if length is None else content[:length])
    header["inputs"] = header.pop("outputs")
    described = orjson.dumps(header)
    return read_request(
        described if length is None else described + content[length:], None if length is None else len(described)
    )


def same(left: Array, right: Array) -> bool:
    """Bit for bit."""
    return left.dtype == right.dtype and left.shape == right.shape and encode(left) == encode(right)


@pytest.mark.parametrize("datatype", NUMERIC)
@settings(max_examples=25)
@given(data=st.data())
def test_an_answer_in_binary_form_says_what_was_answered(datatype: str, data: st.DataObject) -> None:
    """Bit for bit, NaN and infinity too."""
    array = data.draw(hnp.arrays(DTYPES[datatype], SHAPES))
    assert same(answered(Asked("", {}, {}, {}, binary=True), {"y": array}).inputs["y"], array)


@pytest.mark.parametrize("datatype", NUMERIC)
@settings(max_examples=25)
@given(data=st.data())
def test_an_answer_in_json_says_what_was_answered(datatype: str, data: st.DataObject) -> None:
    """Shortest decimals come back as the same floats of 16, 32 and 64 bits."""
    dtype = DTYPES[datatype]
    finite = (
        st.floats(width=dtype.itemsize * 8, allow_nan=False, allow_infinity=False) if dtype.kind == "f" else None  # type: ignore[arg-type]
    )
    array = data.draw(hnp.arrays(dtype, SHAPES, elements=finite))
    assert same(answered(Asked("", {}, {}, {}), {"y": array}).inputs["y"], array)


@settings(max_examples=50)
@given(texts=st.lists(st.text(max_size=8), max_size=5), binary=st.booleans())
def test_strings_come_back_in_both_forms(texts: list[str], binary: bool) -> None:
    """As UTF-8."""
    array = np.empty(len(texts), np.object_)
    array[:] = [text.encode() for text in texts]
    assert list(answered(Asked("", {}, {}, {}, binary), {"y": array}).inputs["y"]) == list(array)


def test_each_output_takes_the_form_that_was_asked_for() -> None:
    """One in JSON beside one in binary form; the rest by the request's default."""
    asked = Asked("id", {}, {}, {"a": True, "b": False, "c": True}, binary=False)
    outputs = {"a": np.array([1], np.int8), "b": np.array([2], np.int8), "c": np.array([3, 4], np.int8)}
    content, length = write_response("m", "1", asked, outputs, {"rows": 1})
    assert length is not None
    assert content[length:] == b"\x01\x03\x04"
    assert orjson.loads(content[:length]) == {
        "model_name": "m",
        "model_version": "1",
        "id": "id",
        "parameters": {"rows": 1},
        "outputs": [
            {"name": "a", "datatype": "INT8", "shape": [1], "parameters": {"binary_data_size": 1}},
            {"name": "b", "datatype": "INT8", "shape": [1], "data": [2]},
            {"name": "c", "datatype": "INT8", "shape": [2], "parameters": {"binary_data_size": 2}},
        ],
    }


def test_an_answer_without_an_id_or_parameters_names_none() -> None:
    """What was not sent is not made up."""
    content, length = write_response("m", "1", Asked("", {}, {}, {}), {}, {})
    assert length is None
    assert content == b'{"model_name":"m","model_version":"1","outputs":[]}'


def test_a_number_that_json_does_not_know_is_null() -> None:
    """NaN has no other form there."""
    content, _ = write_response("m", "1", Asked("", {}, {}, {}), {"y": np.array([np.nan, 1], np.float32)}, {})
    assert orjson.loads(content)["outputs"][0]["data"] == [None, 1.0]


def test_an_output_of_bytes_that_are_no_text_is_said() -> None:
    """They can be had in binary form."""
    array = np.empty(1, np.object_)
    array[0] = b"\xff\xd8"
    with pytest.raises(InputError) as caught:
        write_response("m", "1", Asked("", {}, {}, {}), {"y": array}, {})
    assert str(caught.value) == "output 'y': holds bytes that JSON cannot. Ask for it with binary_data."


@pytest.mark.parametrize("data", [[1, 2, 3, 4], [[1, 2], [3, 4]], [[[1], [2]], [[3], [4]]]])
def test_data_may_be_flat_or_nested(data: list[Any]) -> None:
    """The shape says what it is."""
    assert read(data, [2, 2]).tolist() == [[1, 2], [3, 4]]


def test_a_scalar_has_an_empty_shape() -> None:
    """One element."""
    assert read([7], []).shape == ()


def test_whole_numbers_are_floats_where_floats_are_expected() -> None:
    """JSON tells them apart by a point only."""
    assert same(read([1, 2.5], [2], "FP32"), np.array([1, 2.5], np.float32))


@pytest.mark.parametrize(("datatype", "values"), [("UINT64", [2**64 - 1, 1]), ("INT64", [-(2**63), 2**63 - 1])])
def test_the_largest_whole_numbers_keep_every_digit(datatype: str, values: list[int]) -> None:
    """None of them goes through a float."""
    assert read(values, [2], datatype).tolist() == values


def test_a_request_is_read_whole() -> None:
    """Id, parameters, and the outputs that were asked for, each with its form."""
    asked = read_request(
        body(
            id="one",
            parameters={"binary_data_output": True, "threshold": 0.5, "deep": True},
            inputs=[],
            outputs=[{"name": "a"}, {"name": "b", "parameters": {"binary_data": False}}],
        ),
        None,
    )
    assert asked == Asked(
        "one", {}, {"threshold": 0.5, "deep": True}, {"a": True, "b": False}, binary=True, classes={"a": 0, "b": 0}
    )


def test_a_request_that_asks_for_no_output_asks_for_all() -> None:
    """An empty list says the same as none."""
    assert read_request(body(inputs=[], outputs=[]), None).outputs == {}
    assert read_request(body(inputs=[]), None).outputs == {}


def test_inputs_of_both_forms_stand_side_by_side() -> None:
    """Raw contents follow in the order of the inputs that name their size."""
    header = body(
        inputs=[
            {"name": "a", "shape": [2], "datatype": "UINT8", "parameters": {"binary_data_size": 2}},
            {"name": "b", "shape": [1], "datatype": "INT8", "data": [5]},
            {"name": "c", "shape": [1], "datatype": "INT16", "parameters": {"binary_data_size": 2}},
        ]
    )
    inputs = read_request(header + b"\x01\x02\x03\x00", len(header)).inputs
    assert {name: array.tolist() for name, array in inputs.items()} == {"a": [1, 2], "b": [5], "c": [3]}


def test_what_is_null_is_absent_wherever_it_may_be() -> None:
    """Clients write every field of their classes; what is required is required all the same."""
    own = {"binary_data_size": None, "content_type": None, "shared_memory_region": None}
    said = {"name": "x", "shape": [2], "datatype": "INT8", "data": [1, 2], "parameters": own}
    asked = read_request(
        body(
            id=None,
            model_name=None,
            inputs=[said, {**said, "name": "y", "parameters": None}],
            parameters={"threshold": None, "binary_data_output": None, "mark": "a"},
            outputs=[{"name": "z", "parameters": {"binary_data": None, "classification": None}}],
        ),
        None,
    )
    assert {name: array.tolist() for name, array in asked.inputs.items()} == {"x": [1, 2], "y": [1, 2]}
    assert (asked.id, asked.parameters, asked.outputs, asked.binary) == ("", {"mark": "a"}, {"z": False}, False)
    assert read_request(body(inputs=[], parameters=None, outputs=None), None) == Asked("", {}, {}, {})
    raw = body(inputs=[{**said, "data": None, "parameters": {"binary_data_size": 2}}])
    assert read_request(raw + b"\x01\x02", len(raw)).inputs["x"].tolist() == [1, 2]
    for field in ("name", "shape", "datatype", "data"):
        with pytest.raises(InputError, match=r"nothing"):
            read_request(body(inputs=[{**said, field: None}]), None)


def tensor(**fields: Any) -> dict[str, Any]:
    """A good input but for some fields; None leaves one out."""
    whole = {"name": "x", "shape": [2], "datatype": "INT8", "data": [1, 2]} | fields
    return {name: value for name, value in whole.items() if value is not None}


BAD: dict[str, tuple[Any, str]] = {
    "a list": ([], "body: expected a JSON object, got []."),
    "no inputs": ({}, "inputs: expected a list of tensors, got nothing."),
    "inputs by name": ({"inputs": {"x": 1}}, 'inputs: expected a list of tensors, got {"x":1}.'),
    "an input that is none": ({"inputs": [5]}, "inputs: expected a JSON object, got 5."),
    "an input without a name": (
        {"inputs": [tensor(name=None)]},
        "inputs: expected a name for each tensor, got nothing.",
    ),
    "an input whose name is none": ({"inputs": [tensor(name=3)]}, "inputs: expected a name for each tensor, got 3."),
    "an input twice": ({"inputs": [tensor(), tensor()]}, "input 'x': sent twice. Send it once."),
    "an id that is none": ({"id": 5, "inputs": []}, "id: expected a string, got 5."),
    "no datatype": (
        {"inputs": [tensor(datatype=None)]},
        "x: datatype nothing is unknown. Expected one of BOOL, UINT8, UINT16, UINT32, UINT64, INT8, INT16, INT32, "
        "INT64, FP16, FP32, FP64, BYTES.",
    ),
    "an unknown datatype": (
        {"inputs": [tensor(datatype="float32")]},
        'x: datatype "float32" is unknown. Expected one of BOOL, UINT8, UINT16, UINT32, UINT64, INT8, INT16, INT32, '
        "INT64, FP16, FP32, FP64, BYTES.",
    ),
    "a datatype that is a list": (
        {"inputs": [tensor(datatype=["INT8"])]},
        'x: datatype ["INT8"] is unknown. Expected one of BOOL, UINT8, UINT16, UINT32, UINT64, INT8, INT16, INT32, '
        "INT64, FP16, FP32, FP64, BYTES.",
    ),
    "no shape": ({"inputs": [tensor(shape=None)]}, "x: shape: expected a list of whole numbers, got nothing."),
    "a shape of a fraction": (
        {"inputs": [tensor(shape=[2.0])]},
        "x: shape: expected a list of whole numbers, got [2.0].",
    ),
    "a shape of truth": (
        {"inputs": [tensor(shape=[True, 2])]},
        "x: shape: expected a list of whole numbers, got [true,2].",
    ),
    "a negative extent": ({"inputs": [tensor(shape=[-1])]}, "x: shape [-1] has a negative extent."),
    "no data": (
        {"inputs": [tensor(data=None)]},
        "x: data: expected a list of values, got nothing. Or send raw contents.",
    ),
    "data that are one value": (
        {"inputs": [tensor(data=5)]},
        "x: data: expected a list of values, got 5. Or send raw contents.",
    ),
    "too few data": ({"inputs": [tensor(data=[1])]}, "x: shape [2] holds 2 elements, got 1 in data."),
    "data nested unevenly": (
        {"inputs": [tensor(data=[[1], 2])]},
        "x: data: some values are nested deeper than others.",
    ),
    "data nested unevenly, later": (
        {"inputs": [tensor(data=[1, [2]])]},
        "x: data: expected whole numbers for INT8, got [2].",
    ),
    "a fraction for a whole number": (
        {"inputs": [tensor(data=[1, 2.5])]},
        "x: data: expected whole numbers for INT8, got 2.5.",
    ),
    "truth for a whole number": (
        {"inputs": [tensor(data=[1, True])]},
        "x: data: expected whole numbers for INT8, got true.",
    ),
    "a whole number for truth": (
        {"inputs": [tensor(datatype="BOOL", data=[1, 0])]},
        "x: data: expected true or false for BOOL, got 1.",
    ),
    "text for a number": (
        {"inputs": [tensor(datatype="FP32", data=["1", "2"])]},
        'x: data: expected numbers for FP32, got "1".',
    ),
    "truth for a number": (
        {"inputs": [tensor(datatype="FP32", data=[1.0, False])]},
        "x: data: expected numbers for FP32, got false.",
    ),
    "null for a number": (
        {"inputs": [tensor(datatype="FP32", data=[1.0, None])]},
        "x: data: expected numbers for FP32, got nothing.",
    ),
    "a number for text": (
        {"inputs": [tensor(datatype="BYTES", data=["a", 5])]},
        "x: data: expected strings for BYTES, got 5.",
    ),
    "a whole number too large": ({"inputs": [tensor(data=[1, 128])]}, "x: a value does not fit INT8."),
    "a negative number for none": (
        {"inputs": [tensor(datatype="UINT8", data=[1, -1])]},
        "x: a value does not fit UINT8.",
    ),
    "a float too large": (
        {"inputs": [tensor(datatype="FP32", data=[1, 1e300])]},
        "x: a value does not fit FP32.",
    ),
    "both forms": (
        {"inputs": [tensor(parameters={"binary_data_size": 0})]},
        "input 'x': both raw and typed contents. Send one of the two.",
    ),
    "a size that is none": (
        {"inputs": [tensor(parameters={"binary_data_size": "2"})]},
        "x: binary_data_size: expected a whole number of bytes, got '2'.",
    ),
    "a size that is truth": (
        {"inputs": [tensor(parameters={"binary_data_size": True})]},
        "x: binary_data_size: expected a whole number of bytes, got True.",
    ),
    "a negative size": (
        {"inputs": [tensor(parameters={"binary_data_size": -1})]},
        "x: binary_data_size: expected a whole number of bytes, got -1.",
    ),
    "a size and no raw contents": (
        {"inputs": [tensor(data=None, parameters={"binary_data_size": 2})]},
        "x: binary_data_size 2: 0 bytes are left of the body behind its JSON. Is Inference-Header-Content-Length the "
        "length of the JSON?",
    ),
    "parameters in a list": ({"parameters": [1], "inputs": []}, "parameters: expected a JSON object, got [1]."),
    "a parameter that is a list": (
        {"parameters": {"a": [1]}, "inputs": []},
        "parameter 'a': expected a string, a number, true or false, got [1].",
    ),
    "a long value": (
        {"inputs": [], "id": list(range(30))},
        "id: expected a string, got [0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,1....",
    ),
    "outputs by name": ({"inputs": [], "outputs": "y"}, 'outputs: expected a list of tensors, got "y".'),
    "an output without a name": (
        {"inputs": [], "outputs": [{}]},
        "outputs: expected a name for each tensor, got nothing.",
    ),
    "an output into shared memory": (
        {"inputs": [], "outputs": [{"name": "y", "parameters": {"shared_memory_region": "r"}}]},
        "y: shared memory is not offered. Send the tensor in the request.",
    ),
    "an input from shared memory": (
        {"inputs": [tensor(data=None, parameters={"shared_memory_region": "r"})]},
        "x: shared memory is not offered. Send the tensor in the request.",
    ),
    "an output as no classes": (
        {"inputs": [], "outputs": [{"name": "y", "parameters": {"classification": 0}}]},
        "output 'y': classification: expected how many classes, from 1, got 0.",
    ),
    "an output as true classes": (
        {"inputs": [], "outputs": [{"name": "y", "parameters": {"classification": True}}]},
        "output 'y': classification: expected how many classes, from 1, got True.",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_request_that_does_not_hold_together_is_said(case: str) -> None:
    """Where, what was expected, what came."""
    header, message = BAD[case]
    with pytest.raises(InputError) as caught:
        read_request(orjson.dumps(header), None)
    assert str(caught.value) == message


def test_a_body_that_is_no_json_is_said() -> None:
    """With the hint that helps those who sent raw contents."""
    with pytest.raises(orjson.JSONDecodeError) as why:
        orjson.loads(b"\x00\x01")
    with pytest.raises(InputError) as caught:
        read_request(b"\x00\x01", None)
    assert str(caught.value) == (
        f"body: not JSON ({why.value}). Where raw contents stand behind it, give its length in the header "
        "Inference-Header-Content-Length."
    )


@pytest.mark.parametrize("length", [0, 100])
def test_a_length_of_the_json_that_cannot_be_is_said(length: int) -> None:
    """Nothing, or more than the body."""
    with pytest.raises(InputError) as caught:
        read_request(b'{"inputs":[]}', length)
    assert str(caught.value) == (
        f"Inference-Header-Content-Length {length}: expected the length of the JSON part, from 1 to the 13 bytes of "
        "the body."
    )


def test_bytes_behind_the_inputs_are_said() -> None:
    """A client and a node that disagree about the frame should know at once."""
    with pytest.raises(InputError) as caught:
        read_request(b'{"inputs":[]}1234', 13)
    assert str(caught.value) == (
        "body: 4 bytes are left behind the inputs. Name the size of each one's in its binary_data_size."
    )


def test_raw_contents_that_do_not_fit_the_shape_are_said() -> None:
    """As over gRPC."""
    header = body(inputs=[{"name": "x", "shape": [2], "datatype": "FP32", "parameters": {"binary_data_size": 4}}])
    with pytest.raises(InputError) as caught:
        read_request(header + b"1234", len(header))
    assert str(caught.value) == "x: shape [2] of FP32 takes 8 bytes, got 4."


def test_names_of_datatypes_go_both_ways() -> None:
    """Each dtype has one name."""
    assert {name: NAMES[dtype] for name, dtype in DTYPES.items()} == {name: name for name in DTYPES}


def test_json_holds_numpy_numbers_too() -> None:
    """Statistics and answers are made of them."""
    assert to_json({"n": np.int64(3), "list": np.arange(2)}) == b'{"n":3,"list":[0,1]}'
