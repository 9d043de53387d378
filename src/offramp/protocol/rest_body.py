"""The protocol's REST form: a request's body to tensors, tensors to a response's body.

JSON, and behind it the raw contents of the tensors that name a `binary_data_size` (Triton's binary tensor data
extension; the length of the JSON then stands in a header). Knows neither sockets nor models.
"""

import base64
import math
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import orjson

from offramp.errors import InputError
from offramp.protocol.classification import classes_asked
from offramp.protocol.datatypes import DTYPES, NAMES
from offramp.protocol.served import Array, Parameters, Served
from offramp.protocol.shared_memory import OFFSET, REGION, SIZE, Held, Placed, Regions, placed, write
from offramp.protocol.tensors import (
    decode,
    encode,
    extents_of,
    objects,
    shaped,
)

Json = dict[str, Any]
STATED = re.compile(rb'"timeout"\s*:\s*(\d{1,18})\b')
HEADS, LONGEST = 256, 4096  # what is said before raw contents is kept so often, where it has no more bytes
SHORT = 1 << 16  # bytes of JSON that are looked through for it
BASE64 = "base64"  # a tensor's content type in MLServer's words: how bytes that are no text stand in JSON
KINDS = {"b": "true or false", "i": "whole numbers", "u": "whole numbers", "f": "numbers", "O": "strings"}


@dataclass(frozen=True)
class Asked:
    """A request, decoded."""

    id: str
    inputs: dict[str, Array]
    parameters: Parameters
    outputs: dict[str, bool]  # those asked for, and whether in binary form; empty: all of them
    binary: bool = False  # the form of those that nobody asked for by name
    classes: dict[str, int] = field(default_factory=dict)  # of those asked for, how many of their classes; 0: as it is
    places: dict[str, Held] = field(default_factory=dict)  # of those asked for that go to shared memory


def read_request(body: bytes, header_length: int | None, memory: Regions | None = None) -> Asked:
    """Decode a request; `header_length` of JSON stand before raw contents, None: it is all JSON."""
    if header_length is not None and not 0 < header_length <= len(body):
        raise InputError(
            f"Inference-Header-Content-Length {header_length}: expected the length of the JSON part, from 1 to the "
            f"{len(body)} bytes of the body."
        )
    if header_length is None:
        head, position = _head(body, memory is not None), len(body)
    else:
        read, position = _known_head if header_length <= LONGEST else _head, header_length
        head = read(body[:header_length], memory is not None)
    inputs: dict[str, Array] = {}
    contents = {} if memory is None or not head.placed else memory.read(head.placed)
    for name, datatype, shape, size, tensor in head.tensors:
        if name in contents:
            inputs[name] = decode(name, datatype, shape, contents[name])
            continue
        if size is None:
            inputs[name] = _values(name, datatype, shape, tensor)
            if (tensor.get("parameters") or {}).get("content_type") == BASE64:
                inputs[name] = _from_base64(name, inputs[name])
            continue
        if position + size > len(body):
            raise InputError(
                f"{name}: binary_data_size {size}: {len(body) - position} bytes are left of the body behind its JSON. "
                "Is Inference-Header-Content-Length the length of the JSON?"
            )
        inputs[name] = decode(name, datatype, shape, memoryview(body)[position : position + size])
        position += size
    if position != len(body):
        raise InputError(
            f"body: {len(body) - position} bytes are left behind the inputs. Name the size of each one's in its "
            "binary_data_size."
        )
    places = {} if memory is None or not head.places else memory.hold(head.places)
    return Asked(head.id, inputs, dict(head.parameters), head.outputs, head.binary, head.classes, places)


@dataclass(frozen=True)
class _Head:
    """What the JSON of a request says: of each tensor its name, datatype, shape and size, None where it has `data`."""

    id: str
    tensors: tuple[tuple[str, str, tuple[int, ...], int | None, Json], ...]
    parameters: Parameters
    outputs: dict[str, bool]
    binary: bool
    classes: dict[str, int]
    placed: dict[str, Placed]  # of the tensors
    places: dict[str, Placed]  # of the outputs


def _head(text: bytes, offered: bool) -> _Head:
    """Read the JSON part of a request; whether its tensors may lie in shared memory."""
    header = _object(_parse(text), "body")
    tensors: dict[str, tuple[str, str, tuple[int, ...], int | None, Json]] = {}
    lying: dict[str, Placed] = {}
    for tensor in _tensors(header, "inputs"):
        name = tensor["name"]
        if name in tensors:
            raise InputError(f"input {name!r}: sent twice. Send it once.")
        datatype, shape = _datatype(tensor), _shape(tensor)
        own = read_parameters(tensor.get("parameters"))
        if REGION in own:
            lying[name] = placed(name, own, offered=offered)
        size = own.get("binary_data_size")
        if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 0):
            raise InputError(f"{name}: binary_data_size: expected a whole number of bytes, got {size!r}.")
        typed = tensor.get("data") is not None
        if size is not None and typed:
            raise InputError(f"input {name!r}: both raw and typed contents. Send one of the two.")
        if name in lying and (size is not None or typed):
            raise InputError(f"input {name!r}: contents both in the request and in shared memory. Leave one out.")
        tensors[name] = name, datatype, shape, size, tensor
    parameters = read_parameters(header.get("parameters"))
    binary = parameters.pop("binary_data_output", False) is True
    if not isinstance(name := header.get("id"), str | None):
        raise InputError(f"id: expected a string, got {_short(name)}.")
    outputs, classes, places = _outputs(header, binary, offered)
    return _Head(name or "", tuple(tensors.values()), parameters, outputs, binary, classes, lying, places)


_known_head = lru_cache(HEADS)(_head)  # a client says the same of one batch after another


def read_registration(body: bytes) -> tuple[str, int, int]:
    """The key, offset and size of a region of shared memory."""
    said = _object(_parse(body), "body")
    key, numbers = said.get("key"), [said.get("offset", 0), said.get("byte_size")]
    if not isinstance(key, str) or any(type(one) is not int for one in numbers):
        raise InputError(
            f"body: expected a key, and a byte_size and an offset that are whole numbers, got {_short(said)}."
        )
    return key, *numbers


def stated_timeout(body: bytes, header_length: int | None) -> float:
    """The seconds that a request states as its deadline, found without decoding it; infinity where that says none.

    For who has to decide at once; `read_request` says what is wrong with it.
    """
    found = STATED.search(body, 0, min(len(body) if header_length is None else header_length, SHORT))
    return math.inf if found is None else int(found[1]) / 1e6


def read_raw(body: bytes, model: Served, *, binary: bool) -> Asked:
    """Decode a request that is nothing but the contents of a model's one input; it asks for every output.

    That is an encoded image where the model takes those, whatever else it takes; else as many samples as there are.
    """
    if len(model.inputs) != 1:
        raise InputError(f"{model.name}: takes {len(model.inputs)} inputs, and raw contents are of one. Send JSON.")
    (spec,) = model.inputs
    if "BYTES" in (spec.datatype, *spec.forms):
        found = objects([body])
    else:
        size = DTYPES[spec.datatype].itemsize * math.prod(extent for extent in spec.shape if extent >= 0)
        samples, left = divmod(len(body), size)
        if left or not samples or spec.shape.count(-1) > 1:
            raise InputError(
                f"{spec.name}: {len(body)} bytes of raw contents: a sample of {spec.datatype} takes {size}. Send whole "
                "samples, or say more in JSON."
            )
        found = decode(spec.name, spec.datatype, [samples if extent < 0 else extent for extent in spec.shape], body)
    names = [output.name for output in model.outputs]
    return Asked("", {spec.name: found}, {}, dict.fromkeys(names, binary), binary, dict.fromkeys(names, 0))


def write_response(
    model: str,
    version: str,
    asked: Asked,
    outputs: dict[str, Array],
    parameters: Parameters,
) -> tuple[bytes, int | None]:
    """Encode a response's body; with it the length of its JSON part, None where it is all JSON.

    A number that JSON does not know (NaN, infinity) is null there.
    """
    described, raws = [], []
    for name, array in outputs.items():
        tensor: Json = {"name": name, "datatype": NAMES[array.dtype], "shape": array.shape}
        if name in asked.places:
            place = write(name, asked.places[name], encode(array))
            tensor["parameters"] = {REGION: place.region, OFFSET: place.offset, SIZE: place.size}
        elif asked.outputs.get(name, asked.binary):
            raws.append(encode(array))
            tensor["parameters"] = {"binary_data_size": len(raws[-1])}
        else:
            tensor["data"] = _data(name, array)
        described.append(tensor)
    response: Json = {"model_name": model, "model_version": version, "outputs": described}
    if asked.id:
        response["id"] = asked.id
    if parameters:
        response["parameters"] = parameters
    header = to_json(response)
    return (b"".join((header, *raws)), len(header)) if raws else (header, None)


def to_json(value: Any) -> bytes:
    """Write JSON."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def read_parameters(source: Any) -> dict[str, bool | int | float | str]:
    """Check a JSON object of parameters; one that is null is none."""
    given = {} if source is None else _object(source, "parameters")
    parameters = {name: value for name, value in given.items() if value is not None}
    for name, value in parameters.items():
        if not isinstance(value, bool | int | float | str):
            raise InputError(f"parameter {name!r}: expected a string, a number, true or false, got {_short(value)}.")
    return parameters


def _parse(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InputError(
            f"body: not JSON ({error}). Where raw contents stand behind it, give its length in the header "
            "Inference-Header-Content-Length."
        ) from error


def _object(value: Any, what: str) -> Json:
    if not isinstance(value, dict):
        raise InputError(f"{what}: expected a JSON object, got {_short(value)}.")
    return value


def _tensors(header: Json, key: str) -> list[Json]:
    tensors = header.get(key)
    if not isinstance(tensors, list):
        raise InputError(f"{key}: expected a list of tensors, got {_short(tensors)}.")
    for tensor in tensors:
        if not isinstance(_object(tensor, key).get("name"), str):
            raise InputError(f"{key}: expected a name for each tensor, got {_short(tensor.get('name'))}.")
    return tensors


def _datatype(tensor: Json) -> str:
    datatype = tensor.get("datatype")
    if not isinstance(datatype, str) or datatype not in DTYPES:
        raise InputError(
            f"{tensor['name']}: datatype {_short(datatype)} is unknown. Expected one of {', '.join(DTYPES)}."
        )
    return datatype


def _shape(tensor: Json) -> tuple[int, ...]:
    shape = tensor.get("shape")
    if not isinstance(shape, list) or any(type(extent) is not int for extent in shape):
        raise InputError(f"{tensor['name']}: shape: expected a list of whole numbers, got {_short(shape)}.")
    return extents_of(tensor["name"], shape)


def _outputs(header: Json, binary: bool, offered: bool) -> tuple[dict[str, bool], dict[str, int], dict[str, Placed]]:
    """The outputs asked for: whether in binary form, as how many of their classes, and in which shared memory."""
    asked: dict[str, bool] = {}
    places: dict[str, Placed] = {}
    classes: dict[str, int] = {}
    for tensor in [] if header.get("outputs") is None else _tensors(header, "outputs"):
        name, own = tensor["name"], read_parameters(tensor.get("parameters"))
        if REGION in own:
            places[name] = placed(name, own, offered=offered)
        asked[name], classes[name] = own.get("binary_data", binary) is True, classes_asked(name, own)
    return asked, classes, places


def _values(name: str, datatype: str, shape: tuple[int, ...], tensor: Json) -> Array:
    """The tensor of `data`, flat or nested."""
    data = tensor.get("data")
    if not isinstance(data, list):
        raise InputError(f"{name}: data: expected a list of values, got {_short(data)}. Or send raw contents.")
    dtype = DTYPES[datatype]
    while data and isinstance(data[0], list):
        if not all(isinstance(row, list) for row in data):
            raise InputError(f"{name}: data: some values are nested deeper than others.")
        data = [value for row in data for value in row]
    if len(data) != math.prod(shape):
        raise InputError(f"{name}: shape {list(shape)} holds {math.prod(shape)} elements, got {len(data)} in data.")
    kinds = set(map(type, data))
    if not kinds <= _TAKES[dtype.kind]:
        strange = next(value for value in data if type(value) not in _TAKES[dtype.kind])
        raise InputError(f"{name}: data: expected {KINDS[dtype.kind]} for {datatype}, got {_short(strange)}.")
    return shaped(name, _array(name, datatype, dtype, data), shape)


_TAKES: dict[str, set[type]] = {"b": {bool}, "i": {int}, "u": {int}, "f": {int, float}, "O": {str}}


def _array(name: str, datatype: str, dtype: np.dtype[Any], data: list[Any]) -> Array:
    if dtype == np.object_:
        return objects([value.encode() for value in data])
    try:
        with np.errstate(over="raise"):
            return np.array(data, dtype)
    except (OverflowError, FloatingPointError) as error:
        raise InputError(f"{name}: a value does not fit {datatype}.") from error


def _from_base64(name: str, strings: Array) -> Array:
    if strings.dtype != np.object_:
        raise InputError(f"{name}: content_type {BASE64!r} is of BYTES, and this is {NAMES[strings.dtype]}.")
    decoded = np.empty_like(strings)
    for place, text in np.ndenumerate(strings):
        try:
            decoded[place] = base64.b64decode(text, validate=True)
        except ValueError as error:
            raise InputError(f"{name}: element {list(place)} is not base64 ({error}).") from error
    return decoded


def _data(name: str, array: Array) -> Any:
    if array.dtype != np.object_:
        return np.ascontiguousarray(array).ravel()
    try:
        return [value.decode() for value in array.ravel()]
    except UnicodeDecodeError as error:
        raise InputError(f"output {name!r}: holds bytes that JSON cannot. Ask for it with binary_data.") from error


def _short(value: Any) -> str:
    """A value as JSON, cut where it is long."""
    if value is None:
        return "nothing"
    text = orjson.dumps(value).decode()
    return text if len(text) <= 40 else f"{text[:37]}..."
