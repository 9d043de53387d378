"""Bring images of one size to another, by Pillow's antialiased bilinear filter."""

from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from offramp.artifacts.preprocessing import Fit
from offramp.errors import MissingExtraError

if TYPE_CHECKING:
    from PIL.Image import Image


def resize(images: npt.NDArray[np.uint8], height: int, width: int, fit: Fit = "stretch") -> npt.NDArray[np.uint8]:
    """Resize images `(N, H, W, C)`; those that fit stay as they are."""
    if images.shape[1:3] == (height, width):
        return images
    image = pillow()
    single = images.shape[3] == 1
    frames = (image.fromarray(frame[:, :, 0] if single else frame) for frame in images)
    resized = [np.asarray(brought_to(frame, (width, height), fit)) for frame in frames]
    return np.stack(resized).reshape(len(images), height, width, images.shape[3])


def brought_to(frame: "Image", size: tuple[int, int], fit: Fit, extent: tuple[float, float] | None = None) -> "Image":
    """Bring one image to a size (width, height); it ends at `extent`, where its last pixels stand for less than one."""
    whole = extent or frame.size
    if frame.size == size and whole == size:
        return frame
    seen = whole
    if fit == "crop":
        scale = min(whole[0] / size[0], whole[1] / size[1])
        seen = min(whole[0], scale * size[0]), min(whole[1], scale * size[1])
    left, top = (whole[0] - seen[0]) / 2, (whole[1] - seen[1]) / 2
    return frame.resize(size, pillow().Resampling.BILINEAR, box=(left, top, left + seen[0], top + seen[1]))


def pillow() -> ModuleType:
    """Pillow's Image module, or a clear word on how to get it."""
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtraError(
            "reading and resizing images needs Pillow. Install it with: pip install pillow"
        ) from error
    return Image
