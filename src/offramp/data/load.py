"""From what a user types after `--data` to splits of the network's size."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from offramp.data.digits import digits
from offramp.data.folder import image_folder
from offramp.data.image_set import ImageSet, Parts, Splits, split
from offramp.data.listing import list_files
from offramp.data.parquet import hub, parquet_files, parquet_folder
from offramp.data.resize import resize
from offramp.data.split_names import PartName
from offramp.errors import DataError

HUB = "hub:"


def load(
    source: str,
    shape: tuple[int, int, int],
    *,
    seed: int = 0,
    validation: str | None = None,
    test: str | None = None,
    skip_bad: bool = False,
) -> Splits:
    """Read `digits`, a folder of parquet, a folder of images by class, or `hub:NAME`; bring it to `shape`; split it.

    `shape` is the network's input `(C, H, W)`. The same seed gives the same splits. `validation` and `test` name other
    folders in place of the source's own; what they hold is read once, and never trained on. `skip_bad` goes on without
    images that cannot be read.

    >>> splits = load("digits", (1, 16, 16))
    >>> splits.test.images.shape
    (359, 16, 16, 1)
    """
    others: dict[PartName, str] = {}
    if validation is not None:
        others["validation"] = validation
    if test is not None:
        others["test"] = test
    without = tuple(Path(other) for other in others.values() if Path(other).is_dir())
    found = _read(source, shape, without, skip_bad=skip_bad)
    sets: dict[PartName, ImageSet | None] = {"validation": found.validation, "test": found.test}
    start = len(found.train) + sum(map(len, filter(None, sets.values())))
    for part, other in others.items():
        sets[part] = _other(part, other, found.train, shape, start, skip_bad=skip_bad)
        start += len(sets[part] or ())
    fitted = {part: None if images is None else _fit(images, *shape) for part, images in sets.items()}
    return split(_fit(found.train, *shape), fitted["test"], seed, fitted["validation"])


def _read(source: str, shape: tuple[int, int, int], without: tuple[Path, ...] = (), *, skip_bad: bool = False) -> Parts:
    channels, height, width = shape
    if source == "digits":
        return Parts(digits(), origins={"train": "digits"})
    if source.startswith(HUB):
        return hub(source.removeprefix(HUB), skip_bad=skip_bad)
    folder = Path(source)
    if not folder.is_dir():
        raise DataError(
            f"{source}: no such folder. Give 'digits', a folder of parquet files, a folder of images by class, "
            "or hub:NAME for a data set on the Hugging Face Hub."
        )
    if parquet_files(list_files(folder, without)):
        return parquet_folder(folder, without=without, skip_bad=skip_bad)
    return image_folder(folder, height, width, channels, without=without, skip_bad=skip_bad)


def _other(
    part: PartName, source: str, pool: ImageSet, shape: tuple[int, int, int], start: int, *, skip_bad: bool
) -> ImageSet:
    """Read a split from a folder of its own, with the classes of the training set: whatever it holds, if it is one."""
    found = _read(source, shape, skip_bad=skip_bad)
    if (found.validation is not None or found.test is not None) and source != "digits":
        raise DataError(
            f"--{part} {source}: holds splits of its own ({', '.join(found.origins.values())}). Name the folder of one."
        )
    images = found.train
    if unknown := [name for name in images.classes if name not in pool.classes]:
        raise DataError(
            f"--{part} {source}: {unknown[0]!r} is not one of the classes {', '.join(pool.classes)}. "
            f"A {part} set has the classes of its training set."
        )
    to = np.array([pool.classes.index(name) for name in images.classes], np.int64)
    index = np.arange(start, start + len(images), dtype=np.int64)
    return replace(images, labels=to[images.labels], classes=pool.classes, index=index)


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
