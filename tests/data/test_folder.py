"""Folders of images by class."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from offramp.data.folder import image_folder
from offramp.errors import DataError

Write = Callable[..., Path]


def test_folders_are_the_classes(tmp_path: Path, write_folder: Write) -> None:
    """Classes in alphabetical order, their images by name, and no test set where there is none."""
    parts = image_folder(write_folder(tmp_path, {"owl": [200, 100], "cat": [50]}), 4, 6, 3)
    pool = parts.train
    test = parts.test
    assert test is None
    assert pool.classes == ("cat", "owl")
    assert pool.labels.tolist() == [0, 1, 1]
    assert pool.images[:, 3, 5, 0].tolist() == [50, 100, 200]
    assert pool.images.shape == (3, 4, 6, 3)
    assert pool.index.tolist() == [0, 1, 2]
    assert pool.name == str(tmp_path)
    assert not pool.mirrors


def test_train_and_test_are_kept_apart(tmp_path: Path, write_folder: Write) -> None:
    """The test set has the training set's classes and goes on counting where that ends."""
    write_folder(tmp_path / "train", {"cat": [50, 60], "dog": [70], "owl": [80]})
    write_folder(tmp_path / "test", {"owl": [90], "cat": [40]})
    parts = image_folder(tmp_path, 4, 6, 3)
    pool = parts.train
    test = parts.test
    assert test is not None
    assert test.classes == pool.classes == ("cat", "dog", "owl")
    assert test.labels.tolist() == [0, 2]
    assert pool.index.tolist() == [0, 1, 2, 3]
    assert test.index.tolist() == [4, 5]
    assert test.images[:, 3, 5, 0].tolist() == [40, 90]


def test_images_are_brought_to_the_networks_size(tmp_path: Path, write_folder: Write) -> None:
    """Of whatever size they were, and grey where the network takes one channel."""
    write_folder(tmp_path, {"cat": [50]})
    parts = image_folder(tmp_path, 8, 2, 1)
    pool = parts.train
    assert pool.images.shape == (1, 8, 2, 1)
    assert pool.images[0, 7, 1, 0] == 50


def test_images_may_have_different_sizes(tmp_path: Path, write_folder: Write, png: Callable[..., bytes]) -> None:
    """Unlike in parquet, each is resized when it is read."""
    write_folder(tmp_path, {"cat": [50]})
    (tmp_path / "cat" / "large.PNG").write_bytes(png(60, size=(30, 20)))
    assert image_folder(tmp_path, 4, 6, 3).train.images.shape == (2, 4, 6, 3)


def test_images_in_folders_below_belong_to_the_class(tmp_path: Path, write_folder: Write) -> None:
    """A class may be sorted further."""
    write_folder(tmp_path / "cat", {"indoors": [50], "outdoors": [60]})
    parts = image_folder(tmp_path, 4, 6, 3)
    pool = parts.train
    assert pool.classes == ("cat",)
    assert pool.labels.tolist() == [0, 0]


def test_other_files_and_hidden_folders_are_passed_over(tmp_path: Path, write_folder: Write) -> None:
    """A note beside the images is no image, and `.cache` is no class."""
    write_folder(tmp_path, {"cat": [50], ".cache": [60]})
    (tmp_path / "cat" / "note.txt").write_text("three cats")
    (tmp_path / "readme.md").write_text("cats")
    parts = image_folder(tmp_path, 4, 6, 3)
    pool = parts.train
    assert (pool.classes, len(pool)) == (("cat",), 1)


def test_a_file_that_is_only_named_like_an_image_is_refused(tmp_path: Path, write_folder: Write) -> None:
    """The message names the file, Pillow's reason and what to do."""
    write_folder(tmp_path, {"cat": [50]})
    wrong = tmp_path / "cat" / "wrong.jpg"
    wrong.write_text("not an image")
    said = f"{wrong}: not an image that Pillow can read (cannot identify image file '{wrong}'). Mend or remove it. "
    said += "Or go on without it: --skip-bad"
    with pytest.raises(DataError, match=f"^{re.escape(said)}$"):
        image_folder(tmp_path, 4, 6, 3)


def test_a_truncated_image_is_refused(tmp_path: Path, write_folder: Write, png: Callable[..., bytes]) -> None:
    """The file is named, so that one of thousands can be found."""
    write_folder(tmp_path, {"cat": [50]})
    wrong = tmp_path / "cat" / "short.png"
    content = png(60, size=(64, 64))
    wrong.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=f"^{re.escape(str(wrong))}: not an image that Pillow can read"):
        image_folder(tmp_path, 4, 6, 3)


def test_a_folder_without_folders_is_refused(tmp_path: Path) -> None:
    """The message says what was expected."""
    message = f"{tmp_path}: no folders in it. Expected one folder for each class, with its images inside."
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        image_folder(tmp_path, 4, 6, 3)


def test_folders_without_images_are_refused(tmp_path: Path, write_folder: Write) -> None:
    """The message counts the folders and gives an example of what is missing."""
    write_folder(tmp_path, {"cat": [], "owl": []})
    message = f"{tmp_path}: no images in its 2 folders. Expected files such as cat/one.png."
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        image_folder(tmp_path, 4, 6, 3)


def test_a_test_set_with_a_class_of_its_own_is_refused(tmp_path: Path, write_folder: Write) -> None:
    """No network could ever be right about it."""
    write_folder(tmp_path / "train", {"cat": [50], "owl": [60]})
    write_folder(tmp_path / "test", {"cat": [50], "yak": [60]})
    message = (
        f"{tmp_path}: 'yak' of its test set is not one of the classes cat, owl. "
        "A test set has the classes of its training set."
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        image_folder(tmp_path, 4, 6, 3)


def test_images_of_a_class_do_not_depend_on_the_order_of_writing(tmp_path: Path, write_folder: Write) -> None:
    """The same files give the same set on every disk."""
    sets = [
        image_folder(write_folder(tmp_path / name, {"cat": levels, "owl": [5]}), 4, 6, 3).train
        for name, levels in (("a", [10, 20, 30]), ("b", [30, 10, 20]))
    ]
    np.testing.assert_array_equal(sets[0].images, sets[1].images)
