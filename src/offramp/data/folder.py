"""A folder of images by class: `folder/class/image.png`, or split as `offramp.data.layout` knows it."""

from collections import Counter
from pathlib import Path, PurePosixPath

import numpy as np

from offramp.data.image_set import ImageSet, Parts
from offramp.data.layout import ByClass, image_layout
from offramp.data.listing import Listing, list_files
from offramp.data.reading import READING, Reader, Reading
from offramp.data.split_names import PartName
from offramp.errors import DataError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff"})
# Images that are not read: a class of nothing else would vanish, and is refused.
FOREIGN = frozenset(
    {".jfif", ".jpe", ".heic", ".heif", ".avif", ".jxl", ".jp2", ".svg", ".psd", ".dng", ".cr2", ".nef", ".arw", ".raw"}
)


def image_folder(
    folder: Path,
    height: int,
    width: int,
    channels: int,
    *,
    without: tuple[Path, ...] = (),
    how: Reading = READING,
) -> Parts:
    """Read a folder of images, brought to the network's size: the training pool, and the splits that it names."""
    listing = list_files(folder, without)
    pictures, passed = _pictures(listing, how=how)
    layout = image_layout(pictures, str(folder))
    classes = tuple(sorted(layout.parts["train"]))
    if not classes:
        raise DataError(_nothing(folder, listing))
    passed |= layout.passed
    read: dict[PartName, ImageSet] = {}
    start = 0
    for part in ("train", "test", "validation"):  # positions count on in the order of before there was a third
        if part in layout.parts:
            read[part], bad = _read(folder, layout.parts[part], classes, (height, width, channels), start, part, how)
            start += len(read[part])
            passed |= bad
    return Parts(read["train"], read.get("validation"), read.get("test"), layout.origins, passed)


def _pictures(listing: Listing, *, how: Reading) -> tuple[list[PurePosixPath], dict[str, str]]:
    """The images of a listing, and all that is none of them."""
    pictures = [path for path in listing.files if path.suffix.lower() in SUFFIXES]
    held = {folder for path in pictures for folder in path.parents}
    passed = dict(listing.passed) | {str(path): "an empty folder" for path in listing.empty if path.parts}
    for path in listing.files:
        foreign = path.suffix.lower() in FOREIGN
        if foreign and not how.skip_bad and path.parent.parts and not held & {path.parent, *path.parent.parents[:-1]}:
            raise DataError(
                f"{listing.root}: {path.parent} holds no image but such as {path.name}, and {path.suffix} is not read. "
                f"Convert them, to .png or .jpg for one; or go on without them: --skip-bad"
            )
        if path.suffix.lower() not in SUFFIXES:
            passed[str(path)] = f"{path.suffix or 'no suffix'} is not read"
    return pictures, passed


def _nothing(folder: Path, listing: Listing) -> str:
    inside = [path.parts[0] for path in listing.files if len(path.parts) > 1]
    names = sorted({*inside, *(path.parts[0] for path in listing.empty if path.parts)})
    if not names:
        return f"{folder}: no folders in it. Expected one folder for each class, with its images inside."
    return f"{folder}: no images in its {len(names)} folders. Expected files such as {names[0]}/one.png."


def _read(
    folder: Path,
    by_class: ByClass,
    classes: tuple[str, ...],
    size: tuple[int, int, int],
    start: int,
    part: str,
    how: Reading,
) -> tuple[ImageSet, dict[str, str]]:
    if unknown := set(by_class) - set(classes):
        raise DataError(
            f"{folder}: {sorted(unknown)[0]!r} of its {part} set is not one of the classes {', '.join(classes)}. "
            f"A {part} set has the classes of its training set."
        )
    height, width, channels = size
    reader = Reader(str(folder), "L" if channels == 1 else "RGB", height, width, how)
    frames, labels = [], []
    paths = [(label, path) for label, name in enumerate(classes) for path in by_class.get(name, ())]
    for done, (label, path) in enumerate(paths):
        how.watch(f"reading {part} images", done, len(paths))
        frame = reader.read(folder / path, str(path), str(folder / path))
        if frame is not None:
            frames.append(np.asarray(frame))
            labels.append(label)
    bad = reader.finish()
    counts = Counter(labels)
    if part == "train" and (lost := [name for label, name in enumerate(classes) if not counts[label]]):
        raise DataError(f"{folder}: no image of class {lost[0]} can be read. Mend them, or remove its folder.")
    if not frames:
        raise DataError(f"{folder}: no image of its {part} set can be read. Mend them, or remove its folder.")
    images = np.stack(frames).reshape(len(frames), height, width, channels)
    index = np.arange(start, start + len(labels), dtype=np.int64)
    digests = np.array(reader.digests, np.uint64)
    return ImageSet(
        str(folder), images, np.array(labels, np.int64), classes, index, mirrors=False, digests=digests
    ), bad
