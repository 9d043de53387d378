"""The table of predictions: round trip, consistency, and damage."""

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pyarrow import parquet

from offramp.artifacts.predictions import METADATA_KEY, Predictions, PredictionsHeader
from offramp.errors import ArtifactDamagedError, ArtifactMissingError, ArtifactVersionError, InputError

REMEDY = "Measure it again with: offramp predict"


def header(classes: int = 3, exits: tuple[int, ...] = (2, 9), **changes: Any) -> PredictionsHeader:
    """What a table of this size holds."""
    names = tuple(f"class {k}" for k in range(classes))
    values = {"model": "m", "source": "bundle:0", "data": "digits", "split": "test", "classes": names, "exits": exits}
    return PredictionsHeader.model_validate(values | changes)


def small(count: int = 4) -> Predictions:
    """A few samples, three classes, two exits."""
    generator = np.random.default_rng(0)
    logits = {exit_: generator.normal(size=(count, 3)).astype(np.float32) for exit_ in (2, 9)}
    return Predictions(header(), np.arange(count) + 10, np.arange(count) % 3, logits)


def rewritten(path: Path, table: pa.Table, metadata: bytes | None = None) -> Path:
    """Write a table with a header of offramp's, its own unless another is given."""
    content = header().to_json().encode() if metadata is None else metadata
    parquet.write_table(table.replace_schema_metadata({METADATA_KEY: content}), path)
    return path


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """The small table as a file."""
    path = tmp_path / "predictions.parquet"
    small().write(path)
    return path


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The small table as bytes."""
    path = tmp_path_factory.mktemp("small") / "predictions.parquet"
    small().write(path)
    return path.read_bytes()


@st.composite
def tables(draw: st.DrawFn) -> Predictions:
    """Any table that is consistent, of no sample up to five."""
    count, classes = draw(st.integers(0, 5)), draw(st.integers(1, 4))
    exits = tuple(sorted(draw(st.sets(st.integers(1, 20), min_size=1, max_size=3))))
    logits = hnp.arrays(np.float32, (count, classes), elements=st.floats(width=32))
    return Predictions(
        header(classes, exits, model=draw(st.text(st.characters(exclude_categories=["Cs"])))),
        draw(hnp.arrays(np.int64, count)),
        draw(hnp.arrays(np.int64, count, elements=st.integers(0, classes - 1))),
        {exit_: draw(logits) for exit_ in exits},
    )


@settings(max_examples=40)
@given(table=tables())
def test_predictions_survive_their_file(table: Predictions, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Header, indices, labels and every logit come back to the last bit, NaN, infinities and no sample included."""
    path = tmp_path_factory.getbasetemp() / "predictions.parquet"
    table.write(path)
    read = Predictions.read(path)
    assert read.header == table.header
    np.testing.assert_array_equal(read.index, table.index)
    np.testing.assert_array_equal(read.labels, table.labels)
    assert list(read.logits) == list(table.logits)
    for exit_, logits in table.logits.items():
        assert read.logits[exit_].dtype == np.float32
        assert read.logits[exit_].shape == logits.shape
        np.testing.assert_array_equal(read.logits[exit_], logits)


def test_the_file_is_a_table_that_others_can_read(written: Path) -> None:
    """A row a sample, a column an exit: what any parquet reader shows."""
    table = parquet.read_table(written)
    assert table.column_names == ["index", "label", "logits_2", "logits_9"]
    assert table["index"].to_pylist() == [10, 11, 12, 13]
    np.testing.assert_array_equal(np.array(table["logits_9"].to_pylist(), np.float32), small().logits[9])


def test_a_table_of_another_writer_is_read(written: Path, tmp_path: Path) -> None:
    """Lists of any length and doubles, as pandas writes them, hold the same numbers."""
    table = parquet.read_table(written)
    for name in ("logits_2", "logits_9"):
        column = pa.array(table[name].to_pylist(), pa.list_(pa.float64()))
        table = table.set_column(table.column_names.index(name), name, column)
    read = Predictions.read(rewritten(tmp_path / "other.parquet", table))
    np.testing.assert_array_equal(read.logits[2], small().logits[2])


def test_length_and_last_exit() -> None:
    """As long as it has samples; the last exit is the last one named."""
    assert len(small()) == 4
    assert small().last == 9


def test_logits_at_an_exit() -> None:
    """`at` finds by the exit's number."""
    table = small()
    assert table.at(9) is table.logits[9]


def test_an_exit_that_is_lacking_is_refused() -> None:
    """The message names the exits that there are."""
    message = "exit 4: these predictions have the exits 2, 9. Choose one of them."
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        small().at(4)


@pytest.mark.parametrize(("label", "said"), [(3, "0 to 3"), (-1, "-1 to 2")])
def test_a_label_outside_the_classes_is_refused(label: int, said: str) -> None:
    """The message gives the labels' range and the classes'."""
    table = small()
    labels = np.array([0, 1, 2, label])
    message = f"predictions: labels run from {said}, and there are 3 classes, 0 to 2."
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        Predictions(table.header, table.index, labels, table.logits)


def test_logits_of_another_shape_are_refused() -> None:
    """The message names the exit and both shapes."""
    table = small()
    logits = {**table.logits, 9: table.logits[9][:, :2]}
    message = "predictions: logits at exit 9: expected shape (4, 3), got (4, 2)."
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        Predictions(table.header, table.index, table.labels, logits)


def test_exits_other_than_the_headers_are_refused() -> None:
    """The table has exactly the exits that its header names, in that order."""
    table = small()
    message = "predictions: expected logits at exits (2, 9), got (2,)."
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        Predictions(table.header, table.index, table.labels, {2: table.logits[2]})


def test_indices_that_are_too_few_are_refused() -> None:
    """One index for each label."""
    table = small()
    message = "predictions: expected 4 indices, got shape (3,)."
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        Predictions(table.header, table.index[:3], table.labels, table.logits)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The message names the path."""
    message = f"{tmp_path / 'none'}: no such file. Check the path, or run the step that writes it."
    with pytest.raises(ArtifactMissingError, match=f"^{re.escape(message)}$"):
        Predictions.read(tmp_path / "none")


@settings(max_examples=60)
@given(data=st.data())
def test_a_truncated_file_is_damaged(
    data: st.DataObject, content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Cut short at any byte, the file is refused and its path is named."""
    path = tmp_path_factory.getbasetemp() / "truncated.parquet"
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    message = f"{path}: not a parquet file, or cut short or changed. {REMEDY}"
    with pytest.raises(ArtifactDamagedError, match=f"^{re.escape(message)}$"):
        Predictions.read(path)


@settings(max_examples=200)
@given(data=st.data())
def test_a_changed_byte_never_changes_a_number(
    data: st.DataObject, content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """With any one byte of its data pages changed, the file is refused or read as it was written."""
    path = tmp_path_factory.getbasetemp() / "changed.parquet"
    changed = bytearray(content)
    footer = 8 + int.from_bytes(changed[-8:-4], "little")
    changed[data.draw(st.integers(4, len(changed) - footer - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(changed)
    with suppress(ArtifactDamagedError):
        read = Predictions.read(path)
        np.testing.assert_array_equal(read.labels, small().labels)
        for exit_, logits in small().logits.items():
            np.testing.assert_array_equal(read.logits[exit_], logits)


def test_another_parquet_file_is_told_from_predictions(tmp_path: Path) -> None:
    """A table without our header is not guessed at."""
    path = tmp_path / "other.parquet"
    parquet.write_table(pa.table({"index": [1], "label": [0]}), path)
    message = f"{path}: a parquet file, but not one of offramp's predictions."
    with pytest.raises(ArtifactDamagedError, match=f"^{re.escape(message)}$"):
        Predictions.read(path)


def test_an_unknown_version_is_refused(written: Path) -> None:
    """The header in the file's metadata is a document like the others."""
    later = header().to_json().replace('"version": 2', '"version": 3').encode()
    rewritten(written, parquet.read_table(written), later)
    message = f"{written}: offramp.predictions version 3, and this program reads version 2 and 1."
    with pytest.raises(ArtifactVersionError, match=f"^{re.escape(message)}"):
        Predictions.read(written)


@pytest.mark.parametrize("name", ["index", "label", "logits_2", "logits_9"])
def test_a_missing_column_is_named(written: Path, name: str) -> None:
    """A table that lacks what its header promises is damaged."""
    rewritten(written, parquet.read_table(written).drop_columns([name]))
    with pytest.raises(
        ArtifactDamagedError, match=f"^{re.escape(f'{written}: column {name!r} is missing. {REMEDY}')}$"
    ):
        Predictions.read(written)


WRONG_COLUMNS = {
    "text for a label": ("label", pa.array(["a", "b", "c", "d"])),
    "half a label": ("label", pa.array([0.5, 1, 1, 1])),
    "numbers for lists": ("logits_9", pa.array([1.0, 2.0, 3.0, 4.0])),
    "too short a list": ("logits_9", pa.array([[1.0, 2.0]] * 4)),
}


@pytest.mark.parametrize(("name", "column"), WRONG_COLUMNS.values(), ids=WRONG_COLUMNS.keys())
def test_a_column_of_another_type_is_refused(written: Path, name: str, column: pa.Array) -> None:
    """Text, fractions and lists of another length are told from labels and logits."""
    table = parquet.read_table(written)
    rewritten(written, table.set_column(table.column_names.index(name), name, column))
    with pytest.raises(
        ArtifactDamagedError, match=f"^{re.escape(f'{written}: a column is not of the type it should')}"
    ):
        Predictions.read(written)


GAPS = {
    "label": pa.array([0, 1, None, 1]),
    "logits_2": pa.array([[1.0, 2.0, 3.0], None, [1.0, 2.0, 3.0], [1.0, 2.0, 3.0]], pa.list_(pa.float32(), 3)),
    "logits_9": pa.array([[1.0, 2.0, None]] * 4, pa.list_(pa.float32(), 3)),
}


@pytest.mark.parametrize("name", GAPS)
def test_a_column_with_gaps_is_refused(written: Path, name: str) -> None:
    """A row without a value is neither skipped nor read as a number."""
    table = parquet.read_table(written)
    rewritten(written, table.set_column(table.column_names.index(name), name, GAPS[name]))
    with pytest.raises(ArtifactDamagedError, match=f"^{re.escape(f'{written}: column {name!r} has gaps. {REMEDY}')}$"):
        Predictions.read(written)


def test_a_label_outside_the_classes_in_a_file_is_damage(written: Path) -> None:
    """What the table's own check finds is said with the file's name."""
    table = parquet.read_table(written)
    rewritten(written, table.set_column(1, "label", pa.array([0, 1, 2, 7])))
    message = f"{written}: predictions: labels run from 0 to 7, and there are 3 classes, 0 to 2."
    with pytest.raises(ArtifactDamagedError, match=f"^{re.escape(message)}$"):
        Predictions.read(written)
