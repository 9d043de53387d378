"""From what a user types after `--data` to splits of the network's size."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from offramp.artifacts.data_record import HUB, POSITION, DataSource, SplitRule
from offramp.artifacts.inputs import Input
from offramp.artifacts.preprocessing import Preprocessing, ReadAs
from offramp.data.content_split import split_by_content
from offramp.data.digits import digits
from offramp.data.folder import image_folder
from offramp.data.image_set import ImageSet, Parts, Splits, split
from offramp.data.listing import list_files
from offramp.data.parquet import CIFAR10_CLASSES, hub, parquet_files, parquet_folder
from offramp.data.reading import READING, Reading
from offramp.data.record import record
from offramp.data.resize import resize
from offramp.data.samples import is_npz, samples
from offramp.data.split_names import PartName
from offramp.errors import DataError
from offramp.progress import Watch, unwatched


def load(
    source: str | DataSource,
    takes: tuple[int, int, int] | Input,
    *,
    seed: int = 0,
    rule: SplitRule | None = None,
    classes: tuple[str, ...] | None = None,
    read_as: ReadAs = READING.read_as,
    watch: Watch = unwatched,
) -> Splits:
    """Read `digits`, a folder of parquet, a folder of images by class, or `hub:NAME`; bring it to a shape; split it.

    `takes` is what the network takes: an image's shape `(C, H, W)`, or the document that says more. For text and values
    the source is a table or an .npz file, or a folder of them (`data.samples`); images may lie in .npz files too. The
    same seed and rule give the same splits. A DataSource may name other folders for validation and test: what they hold
    is read once, and never trained on. Without a `rule` a source is cut by the content of its samples, the digits,
    which never grow, by position. `read_as` is how encoded images become pixels: what a network of before was trained
    on, as it was read then. `classes` is a network's order of them: data that have the same in another are brought into
    it. `record` of the result says what was read; `watch` is told meanwhile how many images are.

    >>> splits = load("digits", (1, 16, 16))
    >>> splits.test.images.shape
    (359, 16, 16, 1)
    """
    asked = source if isinstance(source, DataSource) else DataSource(data=source)
    if isinstance(takes, tuple):
        channels, height, width = takes
        takes = Preprocessing(channels=channels, height=height, width=width, fit=asked.fit)
    named: dict[PartName, str | None] = {"validation": asked.validation, "test": asked.test}
    others = {part: other for part, other in named.items() if other is not None}
    without = tuple(Path(other) for other in others.values() if Path(other).is_dir())
    by_position = rule.by == "position" if rule else asked.data == "digits"
    how = Reading(read_as, asked.fit, asked.skip_bad, watch)
    if isinstance(takes, Preprocessing):  # the network's word on how a picture is cut is the record's
        asked = asked.model_copy(update={"fit": takes.fit})
        how = replace(how, fit=takes.fit, by=takes.resampling)
    found = _read(asked.data, takes, without, how=how)
    found = found if classes is None else found.in_order(classes)
    _several(found, asked.data)
    sets: dict[PartName, ImageSet | None] = {"validation": found.validation, "test": found.test}
    start = len(found.train) + sum(map(len, filter(None, sets.values())))
    origins, passed = dict(found.origins), dict(found.passed)
    if by_position and sets["validation"] is not None and rule:
        sets["validation"] = None  # as it was where positions were the rule
        passed[origins.pop("validation")] = "a validation set that the network's split does not know"
    for part, other in others.items():
        sets[part], more = _other(part, other, found.train, takes, start, how=how)
        start += len(sets[part] or ())
        passed |= more
        origins[part] = other
    mirrors, because = _mirrors(found.train, asked)
    fitted = {part: None if images is None else _fit(images, takes) for part, images in sets.items()}
    pool = replace(_fit(found.train, takes), mirrors=mirrors)
    if by_position:
        splits, used = split(pool, fitted["test"], seed, fitted["validation"]), POSITION
    else:
        splits, used = split_by_content(pool, fitted["test"], fitted["validation"], seed, rule.held if rule else None)
    return replace(splits, record=record(splits, asked, used, read_as, origins, passed, because))


def _several(found: Parts, source: str) -> None:
    """One class is no classification: most often the folder is one too high."""
    classes = found.train.classes
    if len(classes) > 1:
        return
    inner = Path(source) / classes[0]
    below = sorted(path.name for path in inner.iterdir() if path.is_dir()) if inner.is_dir() else []
    hint = f" It holds {', '.join(below[:3])}: if these are the classes, give --data {inner}" if below else ""
    raise DataError(
        f"{source}: {len(found.train)} {found.train.noun} of one class, {classes[0]!r}, and a network tells at least "
        f"two apart.{hint}"
    )


def _mirrors(pool: ImageSet, asked: DataSource) -> tuple[bool, str]:
    if pool.noun != "images":
        if asked.mirror:
            raise DataError(f"--mirror: {pool.name} holds {pool.noun}, and only images have a mirror image.")
        return False, "only images have a mirror image"
    if asked.mirror is not None:
        return asked.mirror, "as asked for"
    if asked.data == "digits":
        return False, "a digit's mirror image is none"
    if sorted(pool.classes) == sorted(CIFAR10_CLASSES):
        return True, "as CIFAR-10's classes allow"
    return False, "since nobody said that a mirrored image keeps its class: --mirror says so"


def _read(source: str, takes: Input, without: tuple[Path, ...] = (), *, how: Reading = READING) -> Parts:
    if not isinstance(takes, Preprocessing):
        return samples(source, takes, without, how=how)
    channels, height, width = takes.shape
    if source == "digits":
        return Parts(digits(), origins={"train": "digits"})
    if source.startswith(HUB):
        return hub(source.removeprefix(HUB), height, width, how=how)
    folder = Path(source)
    if is_npz(folder, without):
        return samples(source, takes, without, how=how)
    if not folder.is_dir():
        raise DataError(
            f"{source}: no such folder. Give 'digits', a folder of parquet files, a folder of images by class, "
            "or hub:NAME for a data set on the Hugging Face Hub."
        )
    if parquet_files(list_files(folder, without)):
        return parquet_folder(folder, height, width, without=without, how=how)
    return image_folder(folder, height, width, channels, without=without, how=how)


def _other(
    part: PartName, source: str, pool: ImageSet, takes: Input, start: int, *, how: Reading
) -> tuple[ImageSet, dict[str, str]]:
    """Read a split from a folder of its own, with the classes of the training set: whatever it holds, if it is one."""
    found = _read(source, takes, how=how)
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
    moved = replace(images, labels=to[images.labels], classes=pool.classes, index=index)
    return moved, {str(Path(source) / name): why for name, why in found.passed.items()}


def _fit(images: ImageSet, takes: Input) -> ImageSet:
    """Bring images to the network's size; what is none was read as the network takes it."""
    if not isinstance(takes, Preprocessing):
        return images
    channels, height, width = takes.shape
    found = images.images.shape[3]
    pixels = images.images
    if found == 1 and channels == 3:
        pixels = np.repeat(pixels, 3, axis=3)
    elif found != channels:
        raise DataError(
            f"{images.name}: images have {found} channels and the network takes {channels}. "
            f"Choose a preset whose input has {found}."
        )
    return replace(images, images=resize(pixels, height, width, takes.fit, takes.resampling))
