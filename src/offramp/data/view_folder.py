"""A folder of photographs by several cameras: `class/sample/view-1.png`, split as `offramp.data.layout` knows it.

The files of a sample's folder are its views, and a file's name without its suffix is its view's name. Not every sample
has to have every view.
"""

from pathlib import Path, PurePosixPath

import numpy as np

from offramp.data.folder import SUFFIXES
from offramp.data.image_set import ImageSet
from offramp.data.layout import ByClass, image_layout
from offramp.data.listing import list_files
from offramp.data.reading import READING, Reader, Reading
from offramp.data.view_set import ViewSet
from offramp.errors import DataError

Sample = tuple[int, PurePosixPath, dict[str, PurePosixPath]]  # label, folder, files by view
EXPECTED = "Expected class/sample/view-1.png, class/sample/view-2.png and so on: a folder for each sample."


def view_folder(
    folder: Path, height: int, width: int, channels: int, *, how: Reading = READING
) -> tuple[ViewSet, ViewSet | None]:
    """Read a folder, every view brought to one size: the training pool, and the test set where it has one.

    A validation set of its own is not known here: it is refused with a DataError, as is whatever does not lie so.
    """
    listing = list_files(folder)
    pictures = [path for path in listing.files if path.suffix.lower() in SUFFIXES]
    if not pictures:
        raise DataError(f"{folder}: no images in it. {EXPECTED}")
    layout = image_layout(pictures, str(folder))
    if "validation" in layout.parts:
        raise DataError(f"{folder}: {layout.origins['validation']} names a validation set; give train and test alone.")
    classes = tuple(sorted(layout.parts["train"]))
    parts = {part: _samples(folder, by_class, classes, part) for part, by_class in layout.parts.items()}
    names = _names(parts["train"])
    size, found, start = (height, width, channels), {}, 0
    for part in ("train", "test"):
        if part in parts:
            found[part] = _read(folder, parts[part], names, classes, size, start, part, how)
            start += len(found[part])
    return found["train"], found.get("test")


def _samples(folder: Path, by_class: ByClass, classes: tuple[str, ...], part: str) -> list[Sample]:
    """The samples of a part by class and name, each with its files by view."""
    if unknown := sorted(set(by_class) - set(classes)):
        raise DataError(
            f"{folder}: {unknown[0]!r} of its {part} set is not one of the classes {', '.join(classes)}. "
            f"A {part} set has the classes of its training set."
        )
    found: list[Sample] = []
    for label, name in enumerate(classes):
        samples: dict[PurePosixPath, dict[str, PurePosixPath]] = {}
        for path in by_class.get(name, ()):
            if path.parent.name == name:
                raise DataError(f"{folder}: {path} lies in no sample's folder. {EXPECTED}")
            views = samples.setdefault(path.parent, {})
            if path.stem in views:
                raise DataError(f"{folder}: {views[path.stem]} and {path.name} are both view {path.stem}. Keep one.")
            views[path.stem] = path
        found += [(label, at, views) for at, views in samples.items()]
    return found


def _names(samples: list[Sample]) -> tuple[str, ...]:
    """The views of a set: view-2 before view-10."""
    names = {name for _, _, views in samples for name in views}
    return tuple(sorted(names, key=lambda name: [int(p) if p.isdecimal() else p for p in _pieces(name)]))


def _pieces(name: str) -> list[str]:
    """Letters and digits of a name in turns, beginning with letters, so that any two names can be compared.

    >>> _pieces("view-10b")
    ['view-', '10', 'b']
    """
    pieces = [""]
    for letter in name:
        if letter.isdecimal() != (len(pieces) % 2 == 0):
            pieces.append("")
        pieces[-1] += letter
    return pieces


def _read(
    folder: Path, samples: list[Sample], names: tuple[str, ...], classes: tuple[str, ...], size: tuple[int, int, int],
    start: int, part: str, how: Reading,
) -> ViewSet:  # fmt: skip
    height, width, channels = size
    reader = Reader(str(folder), "L" if channels == 1 else "RGB", height, width, how)
    there = np.zeros((len(samples), len(names)), np.bool_)
    images = np.zeros((len(names), len(samples), height, width, channels), np.uint8)
    for row, (_, at, views) in enumerate(samples):
        how.watch(f"reading {part} images", row, len(samples))
        if unknown := [name for name in views if name not in names]:
            raise DataError(
                f"{folder}: {at} of its {part} set has a view {unknown[0]}, and no training sample has: they have "
                f"{', '.join(names)}. Rename it, or leave it out."
            )
        for column, name in enumerate(names):
            path = views.get(name)
            frame = None if path is None else reader.read(folder / path, str(path), str(folder / path))
            if frame is not None:
                images[column, row], there[row, column] = np.asarray(frame).reshape(height, width, channels), True
    reader.finish()
    kept = np.flatnonzero(there.any(axis=1))  # of the others no file could be read, and that was to be passed over
    labels = np.array([label for label, _, _ in samples], np.int64)[kept]
    index = np.arange(start, start + len(kept), dtype=np.int64)
    sets = {
        name: ImageSet(str(folder), images[column][kept], labels, classes, index, mirrors=False)
        for column, name in enumerate(names)
    }
    return ViewSet(str(folder), sets, there[kept])
