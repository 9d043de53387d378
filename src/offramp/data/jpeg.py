"""One image there and back through JPEG: what an image that travels compressed has lost when it arrives."""

import io

import numpy as np
import numpy.typing as npt

from offramp.data.resize import pillow

QUALITY = 75  # Pillow's and libjpeg's own default


def to_jpeg(image: npt.NDArray[np.uint8], quality: int = QUALITY) -> bytes:
    """Encode an image `(H, W, C)` of one or three channels; colour is kept at half the resolution, as is usual."""
    content = io.BytesIO()
    pillow().fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(content, "JPEG", quality=quality)
    return content.getvalue()


def through_jpeg(image: npt.NDArray[np.uint8], quality: int = QUALITY) -> npt.NDArray[np.uint8]:
    """Encode an image `(H, W, C)` and decode it again."""
    with pillow().open(io.BytesIO(to_jpeg(image, quality))) as decoded:
        return np.asarray(decoded).reshape(image.shape)
