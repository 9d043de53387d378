"""Tensors to messages of the Open Inference Protocol and back."""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from offramp.errors import InputError
from offramp.protocol import messages as pb
from offramp.protocol.datatypes import DTYPES, NAMES
from offramp.protocol.served import Array, Parameters
from offramp.protocol.shared_memory import OFFSET, REGION, SIZE, Held, Placed, Regions, placed, write

Raw = bytes | memoryview

# Where the protocol's typed form keeps values of each datatype, and the datatype of that field. FP16 has no typed form.
TYPED_FIELDS = {
    "BOOL": ("bool_contents", "BOOL"),
    "UINT8": ("uint_contents", "UINT32"),
    "UINT16": ("uint_contents", "UINT32"),
    "UINT32": ("uint_contents", "UINT32"),
    "UINT64": ("uint64_contents", "UINT64"),
    "INT8": ("int_contents", "INT32"),
    "INT16": ("int_contents", "INT32"),
    "INT32": ("int_contents", "INT32"),
    "INT64": ("int64_contents", "INT64"),
    "FP32": ("fp32_contents", "FP32"),
    "FP64": ("fp64_contents", "FP64"),
    "BYTES": ("bytes_contents", "BYTES"),
}
INT64_MAX = 2**63 - 1
OBJECTS = np.dtype(np.object_)
RAW_CONTENTS = pb.ModelInferResponse.RAW_OUTPUT_CONTENTS_FIELD_NUMBER << 3 | 2  # the field's tag: 2, of known length
FINAL = "triton_final_response"  # Triton's name of the parameter that marks the last part of a streamed answer


def encode_bytes(values: Array) -> bytes:
    """Write an array of bytes objects as the protocol does: each with its length, little-endian, before it."""
    return b"".join([part for value in values.ravel().tolist() for part in (len(value).to_bytes(4, "little"), value)])


def decode_bytes(raw: Raw, name: str) -> Array:
    """Read what `encode_bytes` writes, flat."""
    values, position = [], 0
    while position < len(raw):
        end = position + 4
        size = int.from_bytes(raw[position:end], "little") if end <= len(raw) else len(raw)
        if end + size > len(raw):
            raise InputError(
                f"{name}: BYTES contents are cut short: an element of {size} bytes at byte {position} of {len(raw)}."
            )
        values.append(bytes(raw[end : end + size]))
        position = end + size
    return objects(values)


def objects(values: Sequence[Any]) -> Array:
    """An array of objects as they are, which numpy would make into something of its own."""
    array = np.empty(len(values), np.object_)
    array[:] = values
    return array


def encode(array: Array) -> bytes:
    """Raw contents of a tensor."""
    return encode_bytes(array) if array.dtype == OBJECTS else array.tobytes()


def decode(name: str, datatype: str, shape: Iterable[int], raw: Raw) -> Array:
    """Make a tensor of raw contents, with no copy where there need be none."""
    extents = extents_of(name, shape)
    dtype = _dtype(name, datatype)
    expected = math.prod(extents)
    if dtype == OBJECTS:
        values = decode_bytes(raw, name)
        if len(values) != expected:
            raise InputError(f"{name}: shape {list(extents)} holds {expected} elements, got {len(values)}.")
        return shaped(name, values, extents)
    if len(raw) != expected * dtype.itemsize:
        raise InputError(
            f"{name}: shape {list(extents)} of {datatype} takes {expected * dtype.itemsize} bytes, got {len(raw)}."
        )
    return shaped(name, np.frombuffer(raw, dtype), extents)


def read_inputs(request: pb.ModelInferRequest, memory: Regions | None = None) -> dict[str, Array]:
    """Decode a request's inputs, raw or typed, or in shared memory."""
    return _read(request.inputs, request.raw_input_contents, "input", memory)


def read_outputs(response: pb.ModelInferResponse) -> dict[str, Array]:
    """Decode a response's outputs, raw or typed."""
    return _read(response.outputs, response.raw_output_contents, "output")


def _read(tensors: Any, raws: Any, kind: str, memory: Regions | None = None) -> dict[str, Array]:
    places = places_of(tensors, memory)
    if raws and len(raws) != len(tensors) - len(places):
        raise InputError(
            f"{kind}s: {len(tensors)} are declared and {len(raws)} raw contents sent; expected one for each."
        )
    arrays: dict[str, Array] = {}
    contents = {} if memory is None or not places else memory.read(places)
    rest = iter(raws)
    for tensor in tensors:
        name = tensor.name
        if name in arrays:
            raise InputError(f"{kind} {name!r}: sent twice. Send it once.")
        if name in places:
            if tensor.HasField("contents") and tensor.contents.ByteSize():
                raise InputError(f"{kind} {name!r}: contents both in the request and in shared memory. Leave one out.")
            arrays[name] = decode(name, tensor.datatype, tensor.shape, contents[name])
        elif not raws:
            arrays[name] = _typed(tensor)
        elif tensor.HasField("contents") and tensor.contents.ByteSize():  # MLServer sends empty ones beside its raw
            raise InputError(f"{kind} {name!r}: both raw and typed contents. Send one of the two.")
        else:
            arrays[name] = decode(name, tensor.datatype, tensor.shape, next(rest))
    return arrays


def _typed(tensor: Any) -> Array:
    dtype, extents = _dtype(tensor.name, tensor.datatype), extents_of(tensor.name, tensor.shape)
    if tensor.datatype not in TYPED_FIELDS:
        raise InputError(f"{tensor.name}: {tensor.datatype} has no typed contents. Send it raw.")
    field, held = TYPED_FIELDS[tensor.datatype]
    values = getattr(tensor.contents, field)
    if len(values) != math.prod(extents):
        raise InputError(
            f"{tensor.name}: shape {list(extents)} holds {math.prod(extents)} elements, got {len(values)} in {field}."
        )
    if dtype == np.object_:
        return shaped(tensor.name, objects(list(values)), extents)
    wide = np.array(values, DTYPES[held])
    narrow = wide.astype(dtype, copy=False)
    if narrow is not wide and (wide != narrow).any():
        raise InputError(f"{tensor.name}: a value does not fit {tensor.datatype}.")
    return shaped(tensor.name, narrow, extents)


def _dtype(name: str, datatype: str) -> np.dtype[Any]:
    if datatype not in DTYPES:
        raise InputError(f"{name}: datatype {datatype!r} is unknown. Expected one of {', '.join(DTYPES)}.")
    return DTYPES[datatype]


def extents_of(name: str, shape: Iterable[int]) -> tuple[int, ...]:
    """Check a shape."""
    extents = tuple(shape)
    if extents and min(extents) < 0:
        raise InputError(f"{name}: shape {list(extents)} has a negative extent.")
    return extents


def shaped(name: str, values: Array, extents: tuple[int, ...]) -> Array:
    """Bring values that are as many as a shape holds into it."""
    try:
        return values.reshape(extents)
    except ValueError as error:  # numpy's own bounds: 64 axes, extents of 63 bits
        raise InputError(f"{name}: shape {list(extents)[:8]} is none that a tensor can have ({error}).") from error


def places_of(tensors: Any, memory: Regions | None) -> dict[str, Placed]:
    """Those tensors of a message that lie in shared memory, and where; InputError where none is offered."""
    places: dict[str, Placed] = {}
    for tensor in tensors:
        if REGION in tensor.parameters:
            places[tensor.name] = placed(tensor.name, read_parameters(tensor.parameters), offered=memory is not None)
    return places


def write_placed(response: pb.ModelInferResponse, places: Mapping[str, Held]) -> None:
    """Have outputs of a response lie in shared memory; in the message their contents are empty, and say where."""
    for position, tensor in enumerate(response.outputs):
        if tensor.name in places:
            content = response.raw_output_contents[position]
            place = write(tensor.name, places[tensor.name], content)
            response.raw_output_contents[position] = b""
            _write_parameters(tensor.parameters, {REGION: place.region, OFFSET: place.offset, SIZE: place.size})


def write_request(
    model: str, version: str, inputs: dict[str, Array], parameters: Parameters | None = None, request_id: str = ""
) -> pb.ModelInferRequest:
    """Make a request with raw contents."""
    request = pb.ModelInferRequest(model_name=model, model_version=version, id=request_id)
    _write(request.inputs, request.raw_input_contents, inputs)
    _write_parameters(request.parameters, parameters or {})
    return request


def serialized_response(
    model: str, version: str, outputs: dict[str, Array], parameters: Parameters, request_id: str
) -> bytes:
    """The bytes of what `write_response` makes, put together of those of its parts, most of which came before."""
    head = _serialized_head(model, version)
    tensors = _serialized_tensors(tuple([(name, array.dtype, array.shape) for name, array in outputs.items()]))
    beside = b""
    if request_id or parameters:
        message = pb.ModelInferResponse(id=request_id)
        _write_parameters(message.parameters, parameters)
        beside = message.SerializeToString()
    pieces = [head, beside, tensors]
    for array in outputs.values():
        raw = encode(array)
        pieces.append(_raw_head(len(raw)))
        pieces.append(raw)
    return b"".join(pieces)


@lru_cache(maxsize=256)
def _serialized_head(model: str, version: str) -> bytes:
    head: bytes = pb.ModelInferResponse(model_name=model, model_version=version).SerializeToString()
    return head


@lru_cache(maxsize=1024)
def _serialized_tensors(described: tuple[tuple[str, np.dtype[Any], tuple[int, ...]], ...]) -> bytes:
    """The description of outputs, without their contents."""
    response = pb.ModelInferResponse()
    for name, dtype, shape in described:
        response.outputs.add(name=name, datatype=NAMES[dtype], shape=shape)
    tensors: bytes = response.SerializeToString()
    return tensors


@lru_cache(maxsize=1024)
def _raw_head(size: int) -> bytes:
    """What stands before so many bytes of raw contents in a response: the field's tag, and the size as a varint."""
    head = bytearray((RAW_CONTENTS,))
    while size > 0x7F:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes((*head, size))


def write_response(
    model: str, version: str, outputs: dict[str, Array], parameters: Parameters, request_id: str
) -> pb.ModelInferResponse:
    """Make a response with raw contents."""
    response = pb.ModelInferResponse(model_name=model, model_version=version, id=request_id)
    _write(response.outputs, response.raw_output_contents, outputs)
    _write_parameters(response.parameters, parameters)
    return response


def _write(tensors: Any, raws: Any, arrays: dict[str, Array]) -> None:
    for name, array in arrays.items():
        tensors.add(name=name, datatype=NAMES[array.dtype], shape=array.shape)
        raws.append(encode(array))


def _write_parameters(target: Any, parameters: Parameters) -> None:
    for name, value in parameters.items():
        match value:
            case bool():
                target[name].bool_param = value
            case int() if value > INT64_MAX:
                target[name].uint64_param = value
            case int():
                target[name].int64_param = value
            case float():
                target[name].double_param = value
            case str():
                target[name].string_param = value


def read_parameters(source: Any) -> dict[str, bool | int | float | str]:
    """Decode a message's parameters."""
    return {
        name: getattr(value, kind) for name, value in source.items() if (kind := value.WhichOneof("parameter_choice"))
    }
