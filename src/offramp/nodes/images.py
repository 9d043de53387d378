"""The forms in which an edge takes a batch of images, brought to the one that the network takes.

FP32 `(N, C, H, W)` in [0, 1] is the network's own. UINT8 `(N, H, W, C)` are 8-bit images of the network's size. BYTES
`(N,)` are encoded images, JPEG, PNG and what else Pillow reads, of any size: they are decoded and resized as training
data is.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from offramp.artifacts.preprocessing import Preprocessing
from offramp.data.decode import decode
from offramp.data.resize import pillow
from offramp.errors import DataError, InputError

FORMS = ("UINT8", "BYTES")  # beside FP32
PIXELS = 1 << 26  # of one encoded image: a few bytes can claim to be gigabytes


def read_images(preprocessing: Preprocessing, batch: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Give the batch as the network takes it; InputError says what is wrong with it."""
    if batch.dtype not in (np.uint8, np.object_):
        return preprocessing.check(batch)
    if batch.ndim and not len(batch):
        raise InputError("image: the batch is empty (N = 0). Send at least one sample.")
    if batch.dtype == np.object_:
        if batch.ndim != 1:
            raise InputError(f"image: expected encoded images of shape (N,), got {batch.shape}.")
        batch = _decoded(preprocessing, batch)
    return preprocessing.from_uint8(batch)


def _decoded(preprocessing: Preprocessing, batch: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    channels, height, width = preprocessing.shape
    size, resampling = (width, height), pillow().Resampling.BILINEAR
    frames = np.empty((len(batch), height, width, channels), np.uint8)
    for row, content in enumerate(batch):
        try:
            frame = decode(content, "L" if channels == 1 else "RGB", f"image: sample {row}", PIXELS)
        except DataError as error:
            raise InputError(str(error)) from error
        frames[row] = np.asarray(frame if frame.size == size else frame.resize(size, resampling)).reshape(
            height, width, channels
        )
    return frames
