"""Codecs: the forms in which features, or the image itself, cross from one node to another."""

from collections.abc import Iterable
from math import prod
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

Codec = Literal["fp32", "fp16", "uint8", "1bit"]
ALL_CODECS: tuple[Codec, ...] = get_args(Codec)
# In which the features of any network cross. In one bit a value only those do whose bundle was made for it.
CODECS: tuple[Codec, ...] = ("fp32", "fp16", "uint8")
CODEC_BYTES: dict[Codec, int] = {"fp32": 4, "fp16": 2, "uint8": 1}  # of one value
# Of a boundary's tensors on the wire; of one bit a value, eight of them in each number.
DATATYPES: dict[Codec, str] = {"fp32": "FP32", "fp16": "FP16", "uint8": "UINT8", "1bit": "UINT8"}


def tail_name(boundary: int, codec: Codec) -> str:
    """Name of the model that takes a boundary's features in a codec; tail-0 takes the image: the whole network."""
    return f"tail-{boundary}" if codec == "fp32" else f"tail-{boundary}-{codec}"


def sample_bytes(codec: Codec, coded: Iterable[tuple[int, ...]], plain: Iterable[tuple[int, ...]] = ()) -> int:
    """Bytes of one sample's tensors, by their shapes: some in a codec, and others that stay fp32 in each.

    >>> sample_bytes("uint8", [(16, 8, 8)], plain=[(10,)])
    1064
    """
    return sum(prod(carried(codec, shape)) for shape in coded) * CODEC_BYTES.get(codec, 1) + 4 * sum(map(prod, plain))


def carried(codec: Codec, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of one sample's tensor as it travels: its own, but for bits, which are packed eight to a number.

    >>> carried("1bit", (16, 3, 3)), carried("1bit", (9,))
    ((18,), (2,))
    """
    return (-(-prod(shape) // 8),) if codec == "1bit" else shape


def encode_image(image: npt.NDArray[np.float32], codec: Codec) -> npt.NDArray[Any]:
    """The image, with values in [0, 1], as it travels; uint8 is the 8-bit image that it was made from.

    1bit is of no image, but of what stands in for features: which values lie above a half.
    """
    if codec == "1bit":
        return np.packbits(image.reshape(len(image), -1) > 0.5, axis=1)
    if codec == "uint8":
        levels: npt.NDArray[np.float32] = np.rint(image * np.float32(255))
        return levels.clip(0, 255).astype(np.uint8)
    return image.astype(np.float16) if codec == "fp16" else image
