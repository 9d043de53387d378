"""Bring images of one size to another, by Pillow's antialiased filters: bilinear, unless another is asked for."""

from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from offramp.artifacts.preprocessing import BILINEAR, Filter, Fit, Resampling
from offramp.errors import MissingExtraError

if TYPE_CHECKING:
    from PIL.Image import Image


def resize(
    images: npt.NDArray[np.uint8], height: int, width: int, fit: Fit = "stretch", by: Resampling = BILINEAR
) -> npt.NDArray[np.uint8]:
    """Resize images `(N, H, W, C)`; those that fit stay as they are."""
    if images.shape[1:3] == (height, width):
        return images
    image = pillow()
    single = images.shape[3] == 1
    frames = (image.fromarray(frame[:, :, 0] if single else frame) for frame in images)
    resized = [np.asarray(brought_to(frame, (width, height), fit, by=by)) for frame in frames]
    return np.stack(resized).reshape(len(images), height, width, images.shape[3])


def brought_to(
    frame: "Image",
    size: tuple[int, int],
    fit: Fit,
    extent: tuple[float, float] | None = None,
    by: Resampling = BILINEAR,
) -> "Image":
    """Bring one image to a size (width, height); it ends at `extent`, where its last pixels stand for less than one.

    Of one that has this size already, the margins are cut off all the same where there is a side.
    """
    whole = extent or frame.size
    if by.side is not None:
        return _cut_out(frame, size, fit, whole, by.side, by.filter)
    if frame.size == size and whole == size:
        return frame
    seen = whole
    if fit == "crop":
        scale = min(whole[0] / size[0], whole[1] / size[1])
        seen = min(whole[0], scale * size[0]), min(whole[1], scale * size[1])
    left, top = (whole[0] - seen[0]) / 2, (whole[1] - seen[1]) / 2
    return frame.resize(size, _filter(by.filter), box=(left, top, left + seen[0], top + seen[1]))


def _cut_out(
    frame: "Image", size: tuple[int, int], fit: Fit, whole: tuple[float, float], side: int, named: Filter
) -> "Image":
    """Resize to a side, then cut the centre out: as torchvision, timm and transformers do it, to the pixel.

    The longer side is rounded down, and the margins' halves to the nearest even number.
    """
    shorter = min(whole)
    between = (side, side) if fit == "stretch" else (int(side * whole[0] / shorter), int(side * whole[1] / shorter))
    resized = frame.resize(between, _filter(named), box=(0, 0, *whole))
    left, top = round((between[0] - size[0]) / 2), round((between[1] - size[1]) / 2)
    return resized.crop((left, top, left + size[0], top + size[1]))


def _filter(named: Filter) -> Any:
    return pillow().Resampling[named.upper()]


def pillow() -> ModuleType:
    """Pillow's Image module, or a clear word on how to get it."""
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtraError(
            "reading and resizing images needs Pillow. Install it with: pip install pillow"
        ) from error
    return Image
