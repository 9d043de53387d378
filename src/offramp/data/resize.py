"""Bring images of one size to another."""

from types import ModuleType

import numpy as np
import numpy.typing as npt

from offramp.errors import MissingExtraError


def resize(images: npt.NDArray[np.uint8], height: int, width: int) -> npt.NDArray[np.uint8]:
    """Resize images `(N, H, W, C)` with Pillow's antialiased bilinear filter; those that fit stay as they are."""
    if images.shape[1:3] == (height, width):
        return images
    image = pillow()
    single = images.shape[3] == 1
    frames = (image.fromarray(frame[:, :, 0] if single else frame) for frame in images)
    resized = [np.asarray(frame.resize((width, height), image.Resampling.BILINEAR)) for frame in frames]
    return np.stack(resized).reshape(len(images), height, width, images.shape[3])


def pillow() -> ModuleType:
    """Pillow's Image module, or a clear word on how to get it."""
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtraError(
            "reading and resizing images needs Pillow. Install it with: pip install pillow"
        ) from error
    return Image
