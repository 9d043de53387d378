"""Samples in tables (CSV, TSV, parquet) and .npz files, or a folder of them: texts, values, and images in an array.

Which file holds which split is said by its folders' names or its own (`offramp.data.layout`); an .npz file may hold
several. Takes what the network takes, and gives samples as a network of that kind is given them.
"""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from offramp.artifacts.data_record import HUB
from offramp.artifacts.inputs import Input
from offramp.artifacts.preprocessing import Preprocessing
from offramp.artifacts.text import Text
from offramp.data.image_set import ImageSet, Parts
from offramp.data.layout import table_layout
from offramp.data.listing import list_files
from offramp.data.npz import NPZ, Labelled, read_npz
from offramp.data.reading import Reading
from offramp.data.split_names import PartName
from offramp.data.text_table import TABLES, read_text_table
from offramp.errors import DataError

ORDER: tuple[PartName, ...] = ("train", "test", "validation")  # positions count on from one to the next


@dataclass(frozen=True)
class _Files:
    parts: dict[PartName, list[Path]]
    origins: dict[PartName, str]
    passed: dict[str, str]


def is_npz(source: Path, without: tuple[Path, ...] = ()) -> bool:
    """Whether images lie here in arrays: an .npz file, or a folder with one in it."""
    if source.is_dir():
        return any(path.suffix.lower() == NPZ for path in list_files(source, without).files)
    return source.suffix.lower() == NPZ and source.is_file()


def samples(source: str, takes: Input, without: tuple[Path, ...] = (), *, how: Reading) -> Parts:
    """Read samples for a network: the training pool, and the splits that the source names.

    Raises DataError for what is not there, of another kind or shape, or without a label.
    """
    found = _files(Path(source), takes, without)
    raw: dict[PartName, list[Labelled]] = {}
    origins, passed = dict(found.origins), dict(found.passed)
    for part, paths in found.parts.items():
        for path in paths:
            how.watch(f"reading {path.name}", 0, 1)
            for inner, labelled in _labelled(path, takes, passed, how=how).items():
                at: PartName = part if inner is None else inner
                raw.setdefault(at, []).append(labelled)
                origins.setdefault(at, str(path))
    if "train" not in raw:
        raise DataError(f"{source}: {', '.join(raw)} without a training set beside it.")
    classes = _classes(raw["train"], source)
    sets, start = dict[PartName, ImageSet](), 0
    for part in ORDER:
        if part in raw:
            sets[part] = _set(raw[part], classes, source, part, takes, start, passed, how=how)
            start += len(sets[part])
    return Parts(sets["train"], sets.get("validation"), sets.get("test"), origins, passed)


def _files(source: Path, takes: Input, without: tuple[Path, ...]) -> _Files:
    known = TABLES | {NPZ} if isinstance(takes, Text) else {NPZ}
    if source.is_file() and source.suffix.lower() in known:
        return _Files({"train": [source]}, {"train": source.name}, {})
    expected = ", ".join(sorted(known))
    if not source.is_dir():
        what = f"{source.suffix or 'no suffix'} is not read" if source.exists() else "no such file or folder"
        if str(source).startswith(HUB):
            what = "images alone are read from the Hub; download its parquet files"
        raise DataError(
            f"{source}: {what}. A network of {takes.kind} is given a file ({expected}), or a folder of them."
        )
    listing = list_files(source, without)
    files = [path for path in listing.files if path.suffix.lower() in known]
    if not files:
        raise DataError(f"{source}: no file in it that is read. Expected {expected}.")
    layout = table_layout(files, str(source))
    taken = set(files)
    others = {str(path): f"{path.suffix or 'no suffix'} is not read" for path in listing.files if path not in taken}
    parts = {part: [source / path for path in of[""]] for part, of in layout.parts.items()}
    return _Files(parts, layout.origins, listing.passed | others | layout.passed)


def _labelled(path: Path, takes: Input, passed: dict[str, str], *, how: Reading) -> dict[PartName | None, Labelled]:
    """What a file holds; None in place of a split's name where it names none."""
    if path.suffix.lower() == NPZ:
        return read_npz(path)
    labelled, bad = read_text_table(path)
    if bad and not how.skip_bad:
        first = next(iter(bad))
        raise DataError(
            f"{path}: {len(bad)} of {len(labelled.labels) + len(bad)} rows lack something; {first}: {bad[first]}. Mend "
            "or remove them, or go on without them: --skip-bad"
        )
    passed |= {f"{PurePosixPath(path.name)} {row}": f"not read: {why}" for row, why in bad.items()}
    return {None: labelled}


def _classes(train: list[Labelled], source: str) -> tuple[str, ...]:
    named = {labelled.classes for labelled in train if labelled.classes is not None}
    if len(named) > 1:
        raise DataError(f"{source}: the files of its training set name other classes each. Make them one.")
    if named:
        return named.pop()
    labels = np.concatenate([labelled.labels for labelled in train])
    if not len(labels):
        raise DataError(f"{source}: no samples. Expected one a row.")
    if labels.dtype.kind == "i":
        return tuple(map(str, range(int(labels.max()) + 1)))
    names = set(map(str, labels))
    return tuple(sorted(names, key=int if all(name.isascii() and name.isdecimal() for name in names) else None))


def _set(
    raw: list[Labelled], classes: tuple[str, ...], source: str, part: str, takes: Input, start: int,
    passed: dict[str, str], *, how: Reading,
) -> ImageSet:  # fmt: skip
    kept = np.concatenate([_as_taken(labelled.samples, takes, source) for labelled in raw])
    labels = np.concatenate([_numbers(labelled, classes, source, part) for labelled in raw])
    if kept.dtype == np.float32:
        good = np.isfinite(kept.reshape(len(kept), -1)).all(axis=1)
        bad = np.flatnonzero(~good)
        if len(bad) and not how.skip_bad:
            raise DataError(
                f"{source}: {len(bad)} of {len(kept)} samples of its {part} set hold NaN or infinity, first {bad[0]}. "
                "Fill the gaps, or go on without them: --skip-bad"
            )
        passed |= {f"sample {row} of {part}": "not read: it holds NaN or infinity" for row in bad}
        kept, labels = kept[good], labels[good]
    index = np.arange(start, start + len(labels), dtype=np.int64)
    found = ImageSet(source, kept, labels, classes, index, mirrors=False)
    return ImageSet(source, kept, labels, classes, index, mirrors=False, digests=found.content())


def _numbers(labelled: Labelled, classes: tuple[str, ...], source: str, part: str) -> npt.NDArray[np.int64]:
    """Labels as positions among the classes."""
    if labelled.labels.dtype.kind == "i":
        return labelled.labels.astype(np.int64)
    known = {name: number for number, name in enumerate(classes)}
    if unknown := sorted(set(map(str, labelled.labels)) - known.keys()):
        raise DataError(
            f"{source}: {unknown[0]!r} of its {part} set is not one of the classes {', '.join(classes)}. A {part} set "
            "has the classes of its training set."
        )
    return np.array([known[str(name)] for name in labelled.labels], np.int64)


def _as_taken(found: npt.NDArray[Any], takes: Input, source: str) -> npt.NDArray[Any]:
    """An array of samples as a set of this kind holds them."""
    if isinstance(takes, Preprocessing):
        if found.dtype != np.uint8 or found.ndim not in (3, 4):
            raise DataError(
                f"{source}: images in an array are uint8 (N, H, W, C) or (N, H, W), got {found.dtype} {found.shape}."
            )
        return found if found.ndim == 4 else found[..., None]
    if found.dtype == np.object_ and isinstance(takes, Text):
        return found
    if found.dtype.kind not in "fiub" or found.shape[1:] != takes.shape:
        also = "strings (N,), or " if isinstance(takes, Text) else ""
        raise DataError(
            f"{source}: the network takes {also}numbers (N, {', '.join(map(str, takes.shape))}), got "
            f"{'strings' if found.dtype == np.object_ else found.dtype} {found.shape}."
        )
    return np.ascontiguousarray(found, np.float32)
