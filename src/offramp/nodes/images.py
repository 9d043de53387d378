"""The forms in which an edge takes a batch of images, brought to the one that the network takes.

FP32 `(N, C, H, W)` in [0, 1] is the network's own. UINT8 `(N, H, W, C)` are 8-bit images of the network's size. BYTES
`(N,)` are encoded images, JPEG, PNG and what else Pillow reads, of any size: they are decoded and resized as the
network's training data was.
"""

import os
from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from offramp.artifacts.preprocessing import Preprocessing
from offramp.data.decode import decode
from offramp.errors import DataError, InputError

ENCODED = bytes | bytearray | memoryview
READ_FIRST = "Read files first: pathlib.Path(name).read_bytes()."


def as_batch(images: object) -> npt.NDArray[Any]:
    """An array of numbers as it is, encoded images as an array of bytes; InputError says what to pass in place of else.

    A file's name is never opened: who sends it is not who owns this machine's disk.
    """
    if isinstance(images, np.ndarray):
        return _as_array(images)
    several = images if isinstance(images, list | tuple) else ()
    if several and all(isinstance(one, ENCODED) for one in several):
        return _in_bytes(several)
    got, instead = type(images).__name__, "Convert it with numpy.asarray."
    if isinstance(images, bytes | bytearray):
        got, instead = f"{len(images)} bytes", "Put an encoded image into a list: [image]."
    elif isinstance(images, list | tuple):
        kinds = sorted({type(one).__name__ for one in several})
        got = f"a {got} of {', '.join(kinds)}" if kinds else f"an empty {got}"
        instead = "Stack arrays with numpy.stack." if "ndarray" in kinds else "Send at least one image."
        instead = instead if kinds in (["ndarray"], []) else "Make one array of them with numpy.asarray."
        instead = READ_FIRST if any(isinstance(one, str | os.PathLike) for one in several) else instead
    elif images is None:
        got, instead = "None", "Send at least one image."
    elif hasattr(images, "detach"):
        got, instead = f"a {type(images).__module__.partition('.')[0]} {got}", "Pass its .numpy()."
    raise InputError(
        "image: expected a NumPy array, float32 (N, C, H, W) in [0, 1] or uint8 (N, H, W, C), or a list of encoded "
        f"images (bytes), got {got}. {instead}"
    )


def _as_array(batch: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if batch.dtype.kind in "SUT":
        raise InputError(
            f"image: expected numbers or objects (bytes), got an array of dtype {batch.dtype}, which cannot hold every "
            f"file: NumPy drops the zeros at its end. Pass a list of bytes as it is. {READ_FIRST}"
        )
    if batch.dtype != np.object_ or batch.ndim != 1:
        return batch
    for row, one in enumerate(batch):
        if not isinstance(one, ENCODED):
            named, pixels = isinstance(one, str | os.PathLike), "Send pixels as one array of float32 or uint8."
            raise InputError(
                f"image: sample {row}: expected an encoded image (bytes), got {type(one).__name__}. "
                f"{READ_FIRST if named else 'Leave it out.' if one is None else pixels}"
            )
    return _in_bytes(batch)


def _in_bytes(images: Iterable[Any]) -> npt.NDArray[np.object_]:
    encoded = [bytes(one) for one in images]  # copies none that is bytes already
    batch = np.empty(len(encoded), np.object_)
    batch[:] = encoded
    return batch


def read_images(preprocessing: Preprocessing, images: object) -> npt.NDArray[np.float32]:
    """Give a batch in any of the forms as the network takes it; InputError says what is wrong with it."""
    batch = as_batch(images)
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
    mode: Literal["L", "RGB"] = "L" if channels == 1 else "RGB"
    how: dict[str, Any] = {
        "read_as": preprocessing.reading, "fit": preprocessing.fit, "by": preprocessing.resampling,
    }  # fmt: skip
    frames = np.empty((len(batch), height, width, channels), np.uint8)
    for row, content in enumerate(batch):
        try:
            frame = decode(content, mode, f"image: sample {row}", size=(width, height), **how)
        except DataError as error:
            raise InputError(str(error)) from error
        frames[row] = np.asarray(frame).reshape(height, width, channels)
    return frames
