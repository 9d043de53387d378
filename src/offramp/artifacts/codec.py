"""Codecs: the forms in which features, or the image itself, cross from one node to another."""

from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

Codec = Literal["fp32", "fp16", "uint8"]
CODECS: tuple[Codec, ...] = get_args(Codec)
CODEC_BYTES: dict[Codec, int] = {"fp32": 4, "fp16": 2, "uint8": 1}  # of one value


def encode_image(image: npt.NDArray[np.float32], codec: Codec) -> npt.NDArray[Any]:
    """The image, with values in [0, 1], as it travels; uint8 is the 8-bit image that it was made from."""
    if codec == "uint8":
        levels: npt.NDArray[np.float32] = np.rint(image * np.float32(255))
        return levels.clip(0, 255).astype(np.uint8)
    return image.astype(np.float16) if codec == "fp16" else image
