"""Samples of other kinds than images: tables of texts, and arrays; and what is refused in them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from offramp.artifacts.data_record import DataSource
from offramp.artifacts.preprocessing import Preprocessing
from offramp.artifacts.text import Text
from offramp.artifacts.values import Values
from offramp.data.load import load
from offramp.data.recorded import load_as_trained
from offramp.errors import DataError

VALUES, TEXT = Values(shape=(2, 3)), Text(length=4, vocabulary=9)
COUNT = 60


def readings(count: int = COUNT, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Values and their labels, whole numbers."""
    drawn = np.random.default_rng(seed)
    return drawn.normal(size=(count, 2, 3)), np.arange(count) % 3


def table(path: Path, rows: list[tuple[str, str]], heading: str = "Text,label") -> Path:
    """A CSV file."""
    path.write_text("\n".join([heading, *(f'"{text}",{label}' for text, label in rows)]) + "\n")
    return path


def sentences(count: int = COUNT) -> list[tuple[str, str]]:
    return [(f"it is number {number}", ("good", "bad")[number % 2]) for number in range(count)]


def test_an_array_is_split_by_its_content(tmp_path: Path) -> None:
    """As images are; a grown file keeps its test set."""
    x, y = readings()
    np.savez(tmp_path / "few.npz", x=x, y=y)
    few = load(str(tmp_path / "few.npz"), VALUES)
    assert (few.train.images.dtype, few.train.images.shape[1:]) == (np.float32, (2, 3))
    more_x, more_y = readings(30, seed=1)
    np.savez(tmp_path / "more.npz", x=np.concatenate([x, more_x]), y=np.concatenate([y, more_y]))
    more = load(str(tmp_path / "more.npz"), VALUES)
    assert set(few.test.content()) <= set(more.test.content())
    assert few.record is not None
    assert few.record.lines()[0].startswith(f"{tmp_path / 'few.npz'}: 60 samples of 3 classes, fingerprint ")
    assert "mirrored" not in " ".join(few.record.lines())
    assert "cut by the samples' content" in few.record.parts["test"].origin


def test_arrays_say_their_splits_and_classes(tmp_path: Path) -> None:
    """Positions count on; labels are numbers, or names."""
    x, y = readings()
    names = np.array(["walk", "run", "sit"])
    file = tmp_path / "all.npz"
    np.savez(file, x_train=x[:40], y_train=y[:40], X_test=x[40:], Y_test=y[40:], classes=names)
    splits = load(str(file), VALUES)
    assert (splits.test.classes, splits.test.labels.tolist()) == (("walk", "run", "sit"), y[40:].tolist())
    assert splits.test.index.tolist() == list(range(40, 60))
    np.testing.assert_array_equal(splits.test.images, x[40:].astype(np.float32))
    np.savez(file, x_train=x[:40], y_train=names[y[:40]], x_val=x[40:], y_val=names[y[40:]])
    named = load(str(file), VALUES)
    assert named.train.classes == ("run", "sit", "walk")
    assert [named.validation.classes[label] for label in named.validation.labels] == names[y[40:]].tolist()


def test_a_folder_of_arrays_is_split_by_names(tmp_path: Path) -> None:
    """As tables are."""
    x, y = readings()
    np.savez(tmp_path / "train.npz", x=x[:40], y=y[:40])
    np.savez(tmp_path / "test.npz", x=x[40:], y=y[40:])
    (tmp_path / "notes.md").write_text("…")
    splits = load(str(tmp_path), VALUES)
    assert len(splits.test) == 20
    assert splits.record is not None
    assert splits.record.passed == {".md is not read": 1}


def test_images_may_lie_in_an_array(tmp_path: Path) -> None:
    """Grey ones without an axis for it; they are brought to the network's size."""
    pixels = np.random.default_rng(0).integers(0, 256, (COUNT, 6, 6), np.uint8)
    np.savez(tmp_path / "grey.npz", x=pixels, y=np.arange(COUNT) % 2)
    splits = load(str(tmp_path / "grey.npz"), (3, 4, 4))
    assert splits.train.images.shape[1:] == (4, 4, 3)
    assert not splits.train.mirrors
    np.savez(tmp_path / "grey.npz", x=pixels / 255, y=np.arange(COUNT) % 2)
    with pytest.raises(DataError, match="images in an array are uint8"):
        load(str(tmp_path / "grey.npz"), Preprocessing(channels=1, height=4, width=4))


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet", "npz"])
def test_texts_lie_in_tables_of_any_kind(kind: str, tmp_path: Path) -> None:
    """With the same fingerprint, whichever it is."""
    rows, file = sentences(), tmp_path / f"texts.{kind}"
    if kind == "csv":
        table(file, rows)
    elif kind == "tsv":
        file.write_text("category\tsentence\n" + "".join(f"{label}\t{text}\n" for text, label in rows))
    elif kind == "parquet":
        texts, labels = zip(*rows, strict=True)
        parquet.write_table(pa.table({"text": texts, "label": labels}), file)
    else:
        np.savez(file, x=np.array([text for text, _ in rows]), y=np.array([label for _, label in rows]))
    splits = load(str(file), TEXT)
    assert splits.train.classes == ("bad", "good")
    assert splits.train.images.dtype == np.object_
    assert splits.record is not None
    assert splits.record.holds == "texts"
    assert splits.record.fingerprint == "4c91cf921f497802"


def test_numbers_in_parquet_are_positions_and_in_text_names(tmp_path: Path) -> None:
    """Stars of 1 to 5 are five classes."""
    stars = [(text, str(1 + number % 5)) for number, (text, _) in enumerate(sentences())]
    assert load(str(table(tmp_path / "stars.csv", stars)), TEXT).train.classes == ("1", "2", "3", "4", "5")
    file = tmp_path / "stars.parquet"
    parquet.write_table(
        pa.table({"text": [text for text, _ in stars], "label": [int(star) for _, star in stars]}), file
    )
    assert load(str(file), TEXT).train.classes == ("0", "1", "2", "3", "4", "5")


def test_a_row_that_lacks_something_is_said(tmp_path: Path) -> None:
    """Or passed over, and counted."""
    rows = [*sentences(), ("  ", "good"), ("it has none", "")]
    file = str(table(tmp_path / "texts.csv", rows))
    with pytest.raises(DataError) as caught:
        load(file, TEXT)
    assert str(caught.value) == (
        f"{file}: 2 of 62 rows lack something; row 60: it has no text. Mend or remove them, or go on without them: "
        "--skip-bad"
    )
    record = load(DataSource(data=file, skip_bad=True), TEXT).record
    assert record is not None
    assert (record.passed, record.examples) == ({"not read": 2}, {"not read": ("texts.csv row 60", "texts.csv row 61")})


def test_a_sample_that_is_no_number_is_said(tmp_path: Path) -> None:
    """As a sensor that was off leaves it."""
    x, y = readings()
    x[7, 1, 2] = np.nan
    np.savez(tmp_path / "x.npz", x=x, y=y)
    with pytest.raises(
        DataError, match=r"1 of 60 samples of its train set hold NaN or infinity, first 7\. Fill the gaps"
    ):
        load(str(tmp_path / "x.npz"), VALUES)
    splits = load(DataSource(data=str(tmp_path / "x.npz"), skip_bad=True), VALUES)
    assert sum(len(part) for part in (splits.train, splits.validation, splits.calibration, splits.test)) == 59


def test_what_was_learnt_from_is_not_tested_on(tmp_path: Path) -> None:
    """Of texts as of images, whatever file they came in."""
    file = str(table(tmp_path / "texts.csv", sentences(300)))
    splits = load(file, TEXT)
    again, lines = load_as_trained(None, file, splits.record, TEXT, seed=0)
    assert again.record == splits.record
    assert lines[0].startswith(f"{file}: 300 texts of 2 classes")
    other = table(tmp_path / "others.csv", [(text, ("good", "bad")[number % 2]) for number, text in
                                            enumerate(splits.train.images)])  # fmt: skip
    with pytest.raises(DataError, match="texts at least"):
        load_as_trained(str(other), file, splits.record, TEXT, seed=0, split="test")
    with pytest.raises(DataError, match="no such folder or file"):
        load_as_trained(str(tmp_path / "gone.csv"), file, splits.record, TEXT, seed=0)


@pytest.mark.parametrize(
    ("name", "content", "takes", "message"),
    [
        ("a.csv", "words,label\nx,y\n", TEXT, "expected a column of texts"),
        ("a.csv", b"text,label\ncaf\xe9,y\n", TEXT, "not UTF-8"),
        ("a.parquet", b"PAR1", TEXT, "not a parquet file, or cut short"),
        ("a.npz", b"PK", VALUES, "not an .npz file, or cut short"),
        ("a.txt", "text", TEXT, "a.txt: .txt is not read. A network of text is given a file"),
        ("a.csv", "text,label\nx,y\n", VALUES, "a.csv: .csv is not read. A network of values is given a file"),
        ("a.csv", "text,label\nx,y\nz,y\n", TEXT, "2 texts of one class, 'y', and a network tells at least two apart"),
        ("a.csv", "text,label\n", TEXT, "no samples"),
    ],
)
def test_a_file_that_is_none_is_refused(
    name: str, content: str | bytes, takes: Text | Values, message: str, tmp_path: Path
) -> None:
    """By its name and what is wrong with it."""
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as caught:
        load(str(tmp_path / name), takes)
    assert str(tmp_path / name) in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((4, 2, 3))}, "x without y, its labels. It holds x."),
        ({"x": np.zeros((4, 2, 3)), "y": np.zeros(3, int)}, "Expected a label for each sample."),
        ({"x": np.zeros((4, 2, 3)), "y": np.zeros(4)}, "labels of x are float64. Expected whole numbers, or names."),
        ({"x": np.zeros((4, 2, 3)), "y": np.array([0, 1, 2, 0]), "classes": ["a", "b"]}, "there are 2 classes."),
        (
            {"x": np.zeros((4, 6)), "y": np.array([0, 1, 0, 1])},
            "the network takes numbers (N, 2, 3), got float64 (4, 6).",
        ),
        ({"x": np.array(["a", "b"]), "y": np.array([0, 1])}, "got strings (2,)."),
        ({"x_some": np.zeros((4, 2, 3)), "y_some": np.zeros(4, int)}, "x_some names no split."),
        ({"x_test": np.zeros((4, 2, 3)), "y_test": np.array([0, 1, 0, 1])}, "test without a training set beside it."),
        ({"images": np.zeros((4, 2, 3))}, "holds images. Expected x and y"),
        ({"x": np.array([{}], object), "y": np.array([0])}, "not arrays of numbers or strings"),
    ],
)
def test_arrays_that_are_no_samples_are_refused(arrays: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    """Nothing in them is run."""
    np.savez(tmp_path / "x.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(DataError) as caught:
        load(str(tmp_path / "x.npz"), VALUES)
    assert message in str(caught.value)
