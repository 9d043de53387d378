"""Labelled samples in NumPy's .npz files: `x` and `y`, or `x_train`, `y_train` and the like, and the `classes`.

Nothing in such a file is run: arrays of Python objects are refused, not unpickled.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from offramp.data.split_names import PartName, part_of
from offramp.errors import DataError

NPZ = ".npz"


@dataclass(frozen=True)
class Labelled:
    """Samples as they lie in their file, strings as objects; labels, whole numbers or names; and the classes' names."""

    samples: npt.NDArray[Any]
    labels: npt.NDArray[Any]  # int64 or objects
    classes: tuple[str, ...] | None = None


def read_npz(path: Path) -> dict[PartName | None, Labelled]:
    """Read a file's samples by the split that their names say; None where they say none."""
    arrays = _arrays(path)
    classes = arrays.pop("classes", None)
    names = None if classes is None else tuple(map(str, _strings(classes).tolist()))
    found: dict[PartName | None, Labelled] = {}
    for name in [name for name in arrays if name.lower().split("_")[0] == "x"]:
        of = "y" + name[1:] if name[0] == "x" else "Y" + name[1:]
        labels = arrays.get(of, arrays.get("y" + name[1:]))
        if labels is None:
            raise DataError(f"{path}: {name} without {of}, its labels. It holds {', '.join(arrays)}.")
        part = None if len(name) == 1 else part_of(name[1:], str(path))
        if part is None and len(name) > 1:
            raise DataError(f"{path}: {name} names no split. Expected x, x_train, x_validation or x_test.")
        if part in found:
            raise DataError(f"{path}: two arrays for the {part or 'same'} set, {name} one of them. Keep one.")
        found[part] = _checked(path, name, arrays[name], labels, names)
    if not found:
        raise DataError(
            f"{path}: holds {', '.join(arrays) or 'nothing'}. Expected x and y, or x_train, y_train, x_test, y_test; "
            "and classes, their names, if they have any."
        )
    return found


def _arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    if not zipfile.is_zipfile(path):  # numpy would take it for a pickle
        raise DataError(f"{path}: not an .npz file, or cut short. Write it with numpy.savez.")
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, zipfile.BadZipFile, EOFError) as error:
        raise DataError(f"{path}: not an .npz file, or cut short ({error}). Write it with numpy.savez.") from error
    except (ValueError, TypeError, AttributeError) as error:  # of an array of objects, or a lone .npy
        raise DataError(
            f"{path}: not arrays of numbers or strings ({error}). Save strings as an array of str, with numpy.savez."
        ) from error


def _checked(
    path: Path, name: str, samples: npt.NDArray[Any], labels: npt.NDArray[Any], classes: tuple[str, ...] | None
) -> Labelled:
    if labels.ndim != 1 or samples.ndim == 0 or len(labels) != len(samples):
        raise DataError(
            f"{path}: {name} is of shape {samples.shape}, its labels of {labels.shape}. Expected a label for "
            "each sample."
        )
    if labels.dtype.kind in "SU":
        labels = _strings(labels)
    elif labels.dtype.kind in "iu":
        labels = labels.astype(np.int64)
    else:
        raise DataError(f"{path}: labels of {name} are {labels.dtype}. Expected whole numbers, or names.")
    if (
        classes is not None
        and labels.dtype.kind == "i"
        and len(labels)
        and not 0 <= labels.min() <= labels.max() < len(classes)
    ):
        raise DataError(
            f"{path}: labels of {name} are {labels.min()} to {labels.max()}, and there are {len(classes)} classes."
        )
    return Labelled(_strings(samples) if samples.dtype.kind in "SU" else samples, labels, classes)


def _strings(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return (np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array.astype(np.str_)).astype(np.object_)
