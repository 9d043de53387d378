"""How many bytes a message of the Open Inference Protocol takes, counted without making one.

Takes names, types and shapes of tensors, gives the size of the protobuf message that `protocol.tensors` would write.
Knows neither protobuf's library nor nodes. The numbers of the fields all fit one byte.
"""

from collections.abc import Iterable
from math import prod

from offramp.artifacts.codec import CODEC_BYTES, DATATYPES, Codec, tail_name
from offramp.artifacts.manifest import Manifest
from offramp.artifacts.stages import Shape, logits_name

PLAN_ID = 16  # letters of a plan's id, where a tier between knows it
TAG = 1  # byte that says which field follows, and how it is written


def request_bytes(manifest: Manifest, cut: int, codec: Codec, rows: int = 1) -> int:
    """Size of the message by which an edge leaves `rows` samples to a cloud: what it counts as bytes to the cloud."""
    return _message(tail_name(cut, codec), manifest.id, _crossing(manifest, cut, codec, rows))


def answer_bytes(manifest: Manifest, cut: int, codec: Codec, rows: int = 1) -> int:
    """Size of the message with the last exit's logits that comes back."""
    logits = (logits_name(manifest.last), "FP32", (rows, len(manifest.classes)), CODEC_BYTES["fp32"])
    return _message(tail_name(cut, codec), manifest.id, [logits])


def tier_request_bytes(manifest: Manifest, cut: int, codec: Codec) -> int:
    """Size of the message by which a tier leaves one sample to a tier between, that knows the plan by its id."""
    tensors = _crossing(manifest, cut, codec)
    said = _parameter("follows", _text("f" * PLAN_ID))
    return _message(tail_name(cut, codec).replace("tail", "classifier", 1), manifest.id, tensors) + said


def tier_answer_bytes(manifest: Manifest, tier: str, to: str, sent: int = 0) -> int:
    """Size of the answer to it, by a `tier`; `sent` is what went on `to` the next for it."""
    classes = (1, len(manifest.classes))
    columns = (("label", "INT64", 8), ("exit", "INT64", 8), ("score", "FP32", 4), ("degraded", "BOOL", 1))
    tensors = [("probabilities", "FP32", classes, 4), *((name, kind, (1,), size) for name, kind, size in columns)]
    tensors += [("dropped", "BOOL", (1,), 1), ("row", "INT64", (1,), 8), ("tier", "BYTES", (1,), 4 + len(tier))]
    name = f"classifier-{manifest.last}"  # of one or two digits, and with a codec: a byte or six beside this
    said = _parameter(f"bytes_to_{to}", TAG + _varint(sent))
    return _message(name, manifest.id, tensors) + said


def _crossing(manifest: Manifest, cut: int, codec: Codec, rows: int = 1) -> list[tuple[str, str, Shape, int]]:
    """The tensors of a cut as a message has them: name, datatype, shape, and bytes of one value."""
    return [
        (name, DATATYPES[form], (rows, *shape), CODEC_BYTES.get(form, 1))
        for name, (form, shape) in manifest.crossing(cut, codec).items()
    ]


def _message(model: str, version: str, tensors: Iterable[tuple[str, str, Shape, int]]) -> int:
    """A request or an answer: both have the same fields."""
    total = _text(model) + _text(version)
    for name, datatype, shape, size in tensors:
        extents = sum(map(_varint, shape))  # packed: one after another behind their length
        described = _text(name) + _text(datatype) + TAG + _varint(extents) + extents
        total += _field(described) + _field(prod(shape) * size)
    return total


def _parameter(name: str, value: int) -> int:
    """One entry of a message's parameters, whose value takes so many bytes."""
    return _field(_text(name) + _field(value))


def _text(value: str) -> int:
    return _field(len(value.encode())) if value else 0  # what is empty is not written


def _field(length: int) -> int:
    """So many bytes behind their tag and their length."""
    return TAG + _varint(length) + length


def _varint(value: int) -> int:
    """Bytes of a number: seven bits in each."""
    return max(1, -(-value.bit_length() // 7))
