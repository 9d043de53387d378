"""Splits of others are kept whole, however they lie: names in, splits out; and pixels counted through `load`."""

import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from offramp.artifacts.data_record import DataSource
from offramp.data.image_set import ImageSet
from offramp.data.layout import Layout, image_layout, table_layout
from offramp.data.load import load
from offramp.errors import DataError

Write = Callable[..., Path]
Png = Callable[..., bytes]

# Where training, validation and test images of a class lie; None: the layout has no such split.
FOLDERS: dict[str, tuple[str, str | None, str | None]] = {
    "train-val-test": ("train/{}", "val/{}", "test/{}"),
    "capital": ("Train/{}", "Validation/{}", "Test/{}"),
    "training-valid-testing": ("training/{}", "valid/{}", "testing/{}"),
    "dev-eval": ("TRAIN/{}", "dev/{}", "eval/{}"),
    "eval-beside-test": ("train/{}", "eval/{}", "test/{}"),
    "without-validation": ("train/{}", None, "test/{}"),
    "without-test": ("train/{}", "val/{}", None),
    "one-level-down": ("data/train/{}", "data/val/{}", "data/test/{}"),
    "two-levels-down": ("set/images/train/{}", "set/images/dev/{}", "set/images/test/{}"),
    "with-separators": ("train_images/{}", "my-valid/{}", "test 2024/{}"),
    "within-itself": ("seg_train/seg_train/{}", "seg_val/seg_val/{}", "seg_test/seg_test/{}"),
    "under-each-class": ("{}/train", "{}/val", "{}/test"),
    "sorted-further": ("train/{}/indoors", "val/{}/outdoors", "test/{}/a/b"),
}
TABLES: dict[str, tuple[str, str | None, str | None]] = {
    "files": ("train.parquet", "validation.parquet", "test.parquet"),
    "prefixes": ("x-train.parquet", "x-val.parquet", "x-test.parquet"),
    "hub": ("data/train-00000-of-00001.parquet", "data/validation-00000-of-00001.parquet",
            "data/test-00000-of-00001.parquet"),
    "configuration": ("plain_text/train-00000-of-00001.parquet", "plain_text/dev-00000-of-00001.parquet",
                      "plain_text/test-00000-of-00001.parquet"),
    "folders": ("train/0.parquet", "valid/0.parquet", "test/0.parquet"),
    "converted": ("default/train/0000.parquet", "default/validation/0000.parquet", "default/test/0000.parquet"),
    "spark": ("train.parquet/part-00000-c000.snappy.parquet", "val.parquet/part-00000-c000.snappy.parquet",
              "test.parquet/part-00000-c000.snappy.parquet"),
}  # fmt: skip
LEVELS = (range(20, 60), range(100, 106), range(200, 210))  # of training, validation and test images


def tags(images: ImageSet) -> list[int]:
    """Which images these are."""
    return sorted(images.images[:, 3, 5, 0].tolist())


def counted(folder: Path, places: tuple[str | None, ...]) -> None:
    """Every image is in the split that it was put into, once, and in no other."""
    splits = load(str(folder), (3, 4, 6))
    pool, validation, test = (list(of) if place else [] for of, place in zip(LEVELS, places, strict=True))
    learnt = tags(splits.train) + tags(splits.calibration)
    held = [*(() if validation else tags(splits.validation)), *(() if test else tags(splits.test))]
    assert sorted(learnt + held) == pool
    if validation:
        assert tags(splits.validation) == validation
    if test:
        assert tags(splits.test) == test


@pytest.mark.parametrize("name", FOLDERS)
def test_no_image_leaks_from_split_folders(tmp_path: Path, png: Png, name: str) -> None:
    """Tagged images end where their folder says."""
    for place, levels in zip(FOLDERS[name], LEVELS, strict=True):
        for level in levels if place else ():
            assert place is not None
            path = tmp_path / place.format(("cat", "owl")[level % 2]) / f"{level:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(level))
    counted(tmp_path, FOLDERS[name])


@pytest.mark.parametrize("name", TABLES)
def test_no_image_leaks_from_split_parquet(tmp_path: Path, write_parquet: Write, png: Png, name: str) -> None:
    """The same for folders of parquet; what Spark and downloads leave beside the files is not read."""
    for place, levels in zip(TABLES[name], LEVELS, strict=True):
        assert place is not None
        write_parquet(tmp_path / place, [level % 2 for level in levels], images=[png(level) for level in levels])
        aside = (tmp_path / place).parent
        (aside / "_SUCCESS").touch()
        (aside / f".{Path(place).name}.crc").write_bytes(b"crc")
        (aside / f"._{Path(place).name}").write_bytes(b"of another system")
        write_parquet(aside / "_temporary" / "0" / "train-9.parquet", [0])
        write_parquet(aside / ".cache" / "train-9.parquet", [0])
    counted(tmp_path, TABLES[name])


def test_a_split_under_a_second_name_is_read_once(tmp_path: Path, write_folder: Write) -> None:
    """A link to the training folder called as validation is: no training image validates."""
    write_folder(tmp_path / "train", {"cat": range(20, 60, 2), "owl": range(21, 60, 2)})
    (tmp_path / "dev").symlink_to("train")
    splits = load(str(tmp_path), (3, 4, 6))
    everywhere = [splits.train, splits.validation, splits.calibration, splits.test]
    assert sorted(tag for part in everywhere for tag in tags(part)) == list(range(20, 60))


def test_splits_of_other_folders_are_never_trained_on(tmp_path: Path, write_folder: Write) -> None:
    """`--validation` and `--test` name folders, within the data or elsewhere, with their classes by name."""
    write_folder(tmp_path / "data", {"cat": range(20, 40, 2), "owl": range(21, 40, 2)})
    write_folder(tmp_path / "data" / "held", {"owl": [201, 203]})
    write_folder(tmp_path / "elsewhere", {"cat": [100], "owl": [101]})
    asked = DataSource(
        data=str(tmp_path / "data"), validation=str(tmp_path / "elsewhere"), test=str(tmp_path / "data/held")
    )
    splits = load(asked, (3, 4, 6))
    assert (tags(splits.validation), tags(splits.test)) == ([100, 101], [201, 203])
    assert splits.test.labels.tolist() == [1, 1]
    assert sorted(tags(splits.train) + tags(splits.calibration)) == list(range(20, 40))
    index = np.concatenate([part.index for part in (splits.train, splits.calibration, splits.validation, splits.test)])
    assert len(set(index.tolist())) == len(index)


def found(*names: str, of: Callable[..., Layout] = image_layout) -> Layout:
    """The layout of files of these names."""
    return of(map(PurePosixPath, names), "set")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["train/cat/1.png", "holdout/cat/2.png"], "set: 'holdout' lies beside train and names no split."),
        (["val/cat/1.png", "test/cat/2.png"], "set: test, val without a training set beside it."),
        (["train/cat/1.png", "training/cat/2.png"], "set: train and training both name the train set. Keep one."),
        (["train/cat/1.png", "val/a/2.png", "eval/a/3.png", "test/a/4.png"], "set: eval and test both name the test"),
        (["train/1.png", "test/2.png"], "set/test: 1 images and no folder in it. Expected one folder for each class"),
        (["train/train/cat/1.png", "train/val/cat/2.png"], "set/train: a split that holds train, val again."),
        (["train-test/cat/1.png", "owl/2.png"], "set: 'train-test' names train and test at once."),
        (["cat/train/1.png", "cat/val/2.png", "owl/3.png"], "set: some of its folders are split and others are not:"),
        (["a/train/cat/1.png", "a/test/cat/2.png", "b/cat/3.png"], "set: some of its folders are split and others"),
        (["cat/val/1.png", "cat/test/2.png", "owl/val/3.png"], "set: its folders hold"),
    ],
)
def test_what_looks_like_splits_and_is_not_understood_is_refused(names: list[str], said: str) -> None:
    """Nothing is guessed where a guess would train on a test set."""
    with pytest.raises(DataError, match=f"^{re.escape(said)}"):
        found(*sorted(names))


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["train.parquet", "holdout.parquet"], "set: holdout.parquet lies beside train.parquet and names no split."),
        (["val/test.parquet", "train.parquet"], "set: val/test.parquet names two splits"),
        (["train/val/0.parquet", "train/0.parquet"], "set: train/val/0.parquet names two splits"),
        (["x-val.parquet", "y-test.parquet"], "set: x-val.parquet and no training file beside it."),
    ],
)
def test_tables_that_are_not_understood_are_refused(names: list[str], said: str) -> None:
    """The same for parquet."""
    with pytest.raises(DataError, match=f"^{re.escape(said)}"):
        found(*names, of=table_layout)


def test_a_class_may_be_called_as_a_split_is() -> None:
    """A train among cars and ships is a class: all three hold pictures alone."""
    layout = found("car/1.png", "ship/2.png", "train/3.png")
    assert list(layout.parts) == ["train"]
    assert list(layout.parts["train"]) == ["car", "ship", "train"]


def test_extra_parts_and_loose_images_are_named() -> None:
    """They belong to no split, and are not passed over in silence."""
    layout = found("train/cat/1.png", "test/cat/2.png", "extra/cat/3.png", "4.png", "train/5.png")
    assert layout.origins == {"train": "train", "test": "test"}
    assert layout.passed == {
        "extra": "an extra part, neither training, validation nor test",
        "4.png": "an image in no class's folder",
        "train/5.png": "an image in no class's folder",
    }
