"""How files lie in a folder: which split each belongs to, and which class. Names in, splits out; it reads nothing."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from offramp.data.split_names import EXPECTED, PartName, is_extra, part_of, parts_of
from offramp.errors import DataError

ByClass = dict[str, list[PurePosixPath]]


@dataclass(frozen=True)
class Layout:
    """Files by split, and for images by class; `train` is the pool where no split is named.

    `origins` says where each split came from, `passed` why a file or folder belongs to none.
    """

    parts: dict[PartName, ByClass]
    origins: dict[PartName, str]
    passed: dict[str, str] = field(default_factory=dict)


@dataclass
class _Folder:
    files: list[PurePosixPath] = field(default_factory=list)
    folders: dict[str, "_Folder"] = field(default_factory=dict)

    def all(self) -> list[PurePosixPath]:
        return sorted([*self.files, *(path for below in self.folders.values() for path in below.all())])


def _tree(files: Iterable[PurePosixPath]) -> _Folder:
    root = _Folder()
    for path in files:
        at = root
        for name in path.parts[:-1]:
            at = at.folders.setdefault(name, _Folder())
        at.files.append(path)
    return root


def image_layout(files: Iterable[PurePosixPath], root: str) -> Layout:
    """Find splits and classes of image files, given relative to `root`: `train/class/…`, `class/…` and what is like it.

    Splits may lie one or more folders down, a split within its own name again, or under each class. What looks like
    splits and is none of these is refused with a DataError.
    """
    return _splits(_tree(files), root, PurePosixPath())


def _splits(at: _Folder, root: str, where: PurePosixPath) -> Layout:
    place = str(PurePosixPath(root) / where)
    named = parts_of(at.folders, place)
    others = [name for name in at.folders if name not in named]
    if not named:
        if len(others) == 1 and not at.files and _has_splits(at.folders[others[0]], place):
            return _splits(at.folders[others[0]], root, where / others[0])
        if any(parts_of(below.folders, place) for below in at.folders.values()):
            return _under_classes(at, place)
        return _unsplit(at, place)
    if len(named) == 1 and others and not any(below.folders for below in at.folders.values()):
        return _unsplit(at, place)  # a class that is called train, among buses and cars
    passed = {name: "an extra part, neither training, validation nor test" for name in others if is_extra(name)}
    if unknown := [name for name in others if name not in passed]:
        raise DataError(f"{place}: {unknown[0]!r} lies beside {', '.join(named)} and names no split. {EXPECTED}")
    parts: dict[PartName, ByClass] = {}
    origins: dict[PartName, str] = {}
    for name, part in named.items():
        if part in parts:
            raise DataError(f"{place}: {origins[part]} and {name} both name the {part} set. Keep one. {EXPECTED}")
        parts[part], more = _classes(_unwrapped(at.folders[name], part, place), f"{place}/{name}")
        passed |= more
        origins[part] = str(where / name)
    if "train" not in parts:
        raise DataError(f"{place}: {', '.join(named)} without a training set beside it. {EXPECTED}")
    return Layout(parts, origins, passed | _loose(at))


def _unwrapped(at: _Folder, part: PartName, place: str) -> _Folder:
    """A split's folder, past folders of the same name that hold all of it: `seg_train/seg_train/class`."""
    while not at.files and len(at.folders) == 1 and part_of(name := next(iter(at.folders)), place) == part:
        at = at.folders[name]
    return at


def _has_splits(at: _Folder, place: str) -> bool:
    if parts_of(at.folders, place):
        return True
    return not at.files and len(at.folders) == 1 and _has_splits(next(iter(at.folders.values())), place)


def _unsplit(at: _Folder, place: str) -> Layout:
    pool, passed = _classes(at, place, named=True)
    return Layout({"train": pool}, {"train": "."}, passed)


def _under_classes(at: _Folder, place: str) -> Layout:
    """`class/train/…` beside `class/test/…`: every class is split, and holds nothing else."""
    parts: dict[PartName, ByClass] = {}
    for name, below in sorted(at.folders.items()):
        named = parts_of(below.folders, f"{place}/{name}")
        if below.files or len(named) < len(below.folders) or len(set(named.values())) < len(named):
            held = ", ".join([*sorted(below.folders)[:3], *(["files"] if below.files else [])])
            raise DataError(
                f"{place}: some of its folders are split and others are not: {name} holds {held}. {EXPECTED}"
            )
        for inner, part in named.items():
            parts.setdefault(part, {})[name] = below.folders[inner].all()
    if "train" not in parts:
        raise DataError(f"{place}: its folders hold {', '.join(parts)}, and no training set. {EXPECTED}")
    return Layout(parts, {part: f"*/{part}" for part in parts}, _loose(at))


def _classes(at: _Folder, place: str, *, named: bool = False) -> tuple[ByClass, dict[str, str]]:
    """Files by class; unless `named`, a class that names a split is refused: no split is within another."""
    if at.files and not at.folders:
        raise DataError(
            f"{place}: {len(at.files)} images and no folder in it. Expected one folder for each class, with its images "
            "inside."
        )
    if not named and (inside := parts_of(at.folders, place)):
        raise DataError(f"{place}: a split that holds {', '.join(inside)} again. {EXPECTED}")
    return {name: below.all() for name, below in sorted(at.folders.items())}, _loose(at)


def _loose(at: _Folder) -> dict[str, str]:
    return {str(path): "an image in no class's folder" for path in at.files}


def table_layout(files: Iterable[PurePosixPath], root: str) -> Layout:
    """Find the splits of tables such as parquet files: by their folders' names, else by their own.

    Where no name means training, files that name no split are the training set; beside named ones they are refused.
    Within a split, files follow each other by name. The one class of a split's files is called ''.
    """
    ordered = sorted(files, key=lambda path: (path.name, path))
    folders = parts_of({name for path in ordered for name in path.parts[:-1]}, root)
    own = parts_of({path.name for path in ordered}, root)
    by_part: dict[PartName | None, list[PurePosixPath]] = {}
    for path in ordered:
        found: set[PartName | None] = {folders[name] for name in path.parts[:-1] if name in folders}
        found = found or {own.get(path.name)}
        if len(found) > 1 or (path.name in own and own[path.name] not in found):
            raise DataError(f"{root}: {path} names two splits, by its folders and its own name. {EXPECTED}")
        by_part.setdefault(found.pop(), []).append(path)
    unnamed, passed = by_part.pop(None, []), {}
    if by_part:
        passed = {str(path): "an extra part, neither training, validation nor test" for path in unnamed
                  if any(map(is_extra, path.parts))}  # fmt: skip
        unnamed = [path for path in unnamed if str(path) not in passed]
    if unnamed and "train" in by_part:
        raise DataError(f"{root}: {unnamed[0]} lies beside {by_part['train'][0]} and names no split. {EXPECTED}")
    if unnamed:
        by_part["train"] = unnamed
    if "train" not in by_part:
        raise DataError(f"{root}: {ordered[0]} and no training file beside it. {EXPECTED}")
    parts: dict[PartName, ByClass] = {part: {"": paths} for part, paths in by_part.items() if part is not None}
    return Layout(parts, {part: _glob(of[""]) for part, of in parts.items()}, passed)


def _glob(paths: list[PurePosixPath]) -> str:
    return str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
