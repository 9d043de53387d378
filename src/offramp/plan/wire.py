"""How many bytes a message of the Open Inference Protocol takes, counted without making one.

Takes names, types and shapes of tensors, gives the size of the protobuf message that `protocol.tensors` would write.
Knows neither protobuf's library nor nodes. The numbers of the fields all fit one byte.
"""

from collections.abc import Iterable
from math import prod

from offramp.artifacts.bundle import Manifest, Shape, logits_name
from offramp.artifacts.codec import CODEC_BYTES, DATATYPES, Codec, carried, tail_name

TAG = 1  # byte that says which field follows, and how it is written


def request_bytes(manifest: Manifest, cut: int, codec: Codec, rows: int = 1) -> int:
    """Size of the message by which an edge leaves `rows` samples to a cloud: what it counts as bytes to the cloud."""
    forms = {name: manifest.codec_of(cut, name, codec) for name in manifest.tensors(cut)}
    tensors = [
        (name, DATATYPES[forms[name]], (rows, *carried(forms[name], shape)), CODEC_BYTES.get(forms[name], 1))
        for name, shape in manifest.tensors(cut).items()
    ]
    return _message(tail_name(cut, codec), manifest.id, tensors)


def answer_bytes(manifest: Manifest, cut: int, codec: Codec, rows: int = 1) -> int:
    """Size of the message with the last exit's logits that comes back."""
    logits = (logits_name(manifest.last), "FP32", (rows, len(manifest.classes)), CODEC_BYTES["fp32"])
    return _message(tail_name(cut, codec), manifest.id, [logits])


def _message(model: str, version: str, tensors: Iterable[tuple[str, str, Shape, int]]) -> int:
    """A request or an answer: both have the same fields."""
    total = _text(model) + _text(version)
    for name, datatype, shape, size in tensors:
        extents = sum(map(_varint, shape))  # packed: one after another behind their length
        described = _text(name) + _text(datatype) + TAG + _varint(extents) + extents
        total += _field(described) + _field(prod(shape) * size)
    return total


def _text(value: str) -> int:
    return _field(len(value.encode())) if value else 0  # what is empty is not written


def _field(length: int) -> int:
    """So many bytes behind their tag and their length."""
    return TAG + _varint(length) + length


def _varint(value: int) -> int:
    """Bytes of a number: seven bits in each."""
    return max(1, -(-value.bit_length() // 7))
