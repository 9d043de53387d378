"""Texts and their labels in a table with a heading, CSV, TSV or parquet. The columns' names say which they are.

A label in text is a class's name, whatever it looks like; a number in parquet is its position.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from offramp.data.npz import Labelled
from offramp.data.parquet import hub_names
from offramp.errors import DataError, MissingExtraError

TABLES = {".csv", ".tsv", ".parquet"}
TEXT_COLUMNS = ("text", "sentence", "content", "review", "document", "utterance", "question", "title")
LABEL_COLUMNS = ("label", "labels", "class", "category", "target", "intent", "sentiment", "label_text")
FIELD = 1 << 24  # characters that one cell may have


def read_text_table(path: Path) -> tuple[Labelled, dict[str, str]]:
    """Read a table's texts and labels; and of the rows that lack one of them, which they are and what they lack."""
    classes: tuple[str, ...] | None = None
    if path.suffix.lower() == ".parquet":
        texts, labels, classes = _of_parquet(path)
    else:
        texts, labels = _of_csv(path)
    bad: dict[str, str] = {}
    kept: list[tuple[str, Any]] = []
    for row, (text, label) in enumerate(zip(texts, labels, strict=True)):
        if not isinstance(text, str) or not text.strip():
            bad[f"row {row}"] = "it has no text"
        elif label is None or label == "":
            bad[f"row {row}"] = "it has no label"
        else:
            kept.append((text, label))
    found, names = np.empty(len(kept), np.object_), np.empty(len(kept), np.object_)
    found[:] = [text for text, _ in kept]
    if kept and all(isinstance(label, int) for _, label in kept):
        return Labelled(found, np.array([label for _, label in kept], np.int64), classes), bad
    names[:] = [str(label) for _, label in kept]
    return Labelled(found, names, classes), bad


def _of_csv(path: Path) -> tuple[list[Any], list[Any]]:
    csv.field_size_limit(FIELD)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _rows(path, csv.reader(file, "excel-tab" if path.suffix.lower() == ".tsv" else "excel"))
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 ({error.reason} at byte {error.start}). Save it as UTF-8.") from error
    except (OSError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read ({error}).") from error


def _rows(path: Path, rows: Iterator[list[str]]) -> tuple[list[Any], list[Any]]:
    heading = next(rows, [])
    text, label = _columns(path, heading)
    texts: list[Any] = []
    labels: list[Any] = []
    for row in rows:
        if row:  # a blank line at the end is no row
            texts.append(row[text] if text < len(row) else None)
            labels.append(row[label].strip() if label < len(row) else None)
    return texts, labels


def _columns(path: Path, heading: list[str]) -> tuple[int, int]:
    names = [name.strip().lower() for name in heading]
    text = next((names.index(name) for name in TEXT_COLUMNS if name in names), None)
    label = next((names.index(name) for name in LABEL_COLUMNS if name in names), None)
    if text is None or label is None:
        raise DataError(
            f"{path}: expected a column of texts ({', '.join(TEXT_COLUMNS)}) and one of labels "
            f"({', '.join(LABEL_COLUMNS)}), found {', '.join(heading[:10]) or 'no heading'}. Name them in the first "
            "line."
        )
    return text, label


def _of_parquet(path: Path) -> tuple[list[Any], list[Any], tuple[str, ...] | None]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError("parquet needs pyarrow. Install it with: pip install 'offramp[data]'") from error
    try:
        table = parquet.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a parquet file, or cut short ({error}). Copy it again.") from error
    text, label = _columns(path, table.column_names)
    names = hub_names(table.schema.metadata).get(table.column_names[label])
    return table.column(text).to_pylist(), table.column(label).to_pylist(), names
