"""A folder of images by class: `folder/class/image.png`, or `folder/train/class/…` beside `folder/test/class/…`."""

from pathlib import Path

import numpy as np

from offramp.data.decode import decode
from offramp.data.image_set import ImageSet
from offramp.data.resize import pillow
from offramp.errors import DataError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff"})


def image_folder(folder: Path, height: int, width: int, channels: int) -> tuple[ImageSet, ImageSet | None]:
    """Read a folder of images, brought to the network's size: the training pool, and the test set if there is one."""
    if (folder / "train").is_dir():
        classes = _classes(folder / "train")
        pool = _read(folder / "train", classes, height, width, channels, 0)
        has_test = (folder / "test").is_dir()
        return pool, _read(folder / "test", classes, height, width, channels, len(pool)) if has_test else None
    return _read(folder, _classes(folder), height, width, channels, 0), None


def _classes(folder: Path) -> tuple[str, ...]:
    classes = tuple(sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")))
    if not classes:
        raise DataError(f"{folder}: no folders in it. Expected one folder for each class, with its images inside.")
    return classes


def _read(folder: Path, classes: tuple[str, ...], height: int, width: int, channels: int, start: int) -> ImageSet:
    if unknown := set(_classes(folder)) - set(classes):
        raise DataError(
            f"{folder}: {sorted(unknown)[0]!r} is not one of the classes {', '.join(classes)}. "
            "A test set has the classes of its training set."
        )
    resampling = pillow().Resampling.BILINEAR
    frames, labels = [], []
    for label, name in enumerate(classes):
        for path in sorted((folder / name).rglob("*")):
            if path.suffix.lower() not in SUFFIXES:
                continue
            frame = decode(path, "L" if channels == 1 else "RGB", str(path))
            frames.append(np.asarray(frame.resize((width, height), resampling)))
            labels.append(label)
    if not frames:
        raise DataError(
            f"{folder}: no images in its {len(classes)} folders. Expected files such as {classes[0]}/one.png."
        )
    images = np.stack(frames).reshape(len(frames), height, width, channels)
    index = np.arange(start, start + len(labels), dtype=np.int64)
    return ImageSet(str(folder), images, np.array(labels, np.int64), classes, index, mirrors=True)
