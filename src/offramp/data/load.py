"""From what a user types after `--data` to splits of the network's size."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from offramp.data.digits import digits
from offramp.data.folder import image_folder
from offramp.data.image_set import ImageSet, Splits, split
from offramp.data.parquet import hub, parquet_files, parquet_folder
from offramp.data.resize import resize
from offramp.errors import DataError

HUB = "hub:"


def load(source: str, shape: tuple[int, int, int], *, seed: int = 0) -> Splits:
    """Read `digits`, a folder of parquet, a folder of images by class, or `hub:NAME`; bring it to `shape`; split it.

    `shape` is the network's input `(C, H, W)`. The same seed gives the same splits.

    >>> splits = load("digits", (1, 16, 16))
    >>> splits.test.images.shape
    (359, 16, 16, 1)
    """
    channels, height, width = shape
    pool, test = _read(source, height, width, channels)
    pool = _fit(pool, channels, height, width)
    return split(pool, None if test is None else _fit(test, channels, height, width), seed)


def _read(source: str, height: int, width: int, channels: int) -> tuple[ImageSet, ImageSet | None]:
    if source == "digits":
        return digits(), None
    if source.startswith(HUB):
        return hub(source.removeprefix(HUB))
    folder = Path(source)
    if not folder.is_dir():
        raise DataError(
            f"{source}: no such folder. Give 'digits', a folder of parquet files, a folder of images by class, "
            "or hub:NAME for a data set on the Hugging Face Hub."
        )
    if parquet_files(folder):
        return parquet_folder(folder)
    return image_folder(folder, height, width, channels)


def _fit(images: ImageSet, channels: int, height: int, width: int) -> ImageSet:
    found = images.images.shape[3]
    pixels = images.images
    if found == 1 and channels == 3:
        pixels = np.repeat(pixels, 3, axis=3)
    elif found != channels:
        raise DataError(
            f"{images.name}: images have {found} channels and the network takes {channels}. "
            f"Choose a preset whose input has {found}."
        )
    return replace(images, images=resize(pixels, height, width))
