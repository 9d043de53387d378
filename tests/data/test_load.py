"""From what a user types after `--data` to splits of the network's size."""

import importlib.util
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from offramp.artifacts.data_record import DataSource
from offramp.data.image_set import SPLITS
from offramp.data.load import load
from offramp.errors import DataError, MissingExtraError

Write = Callable[..., Path]


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 16, 12), (3, 16, 16)])
def test_digits_come_in_the_networks_shape(shape: tuple[int, int, int]) -> None:
    """Resized, and repeated over three channels where the network takes three."""
    splits = load("digits", shape)
    channels, height, width = shape
    for name in SPLITS:
        assert splits.part(name).images.shape[1:] == (height, width, channels)
    pixels = splits.test.images
    np.testing.assert_array_equal(pixels, np.repeat(pixels[..., :1], channels, axis=3))


def test_digits_are_cropped_where_that_is_asked_for() -> None:
    """As encoded images are: of a high input the middle columns are seen, and no blank ones beside them."""
    shape = (1, 8, 4)
    cropped, stretched = load(DataSource(data="digits", fit="crop"), shape), load("digits", shape)
    whole = load("digits", (1, 8, 8)).test.images
    np.testing.assert_array_equal(cropped.test.images, whole[:, :, 2:6])
    assert not np.array_equal(stretched.test.images, cropped.test.images)


def test_digits_are_split_whole() -> None:
    """1,797 samples, each in one part."""
    splits = load("digits", (1, 8, 8))
    index = np.concatenate([splits.part(name).index for name in SPLITS])
    np.testing.assert_array_equal(np.sort(index), np.arange(1797))


def test_the_seed_reaches_the_split() -> None:
    """The same seed gives the same training samples, another one others."""
    first, again, other = (load("digits", (1, 8, 8), seed=seed).train.index.tolist() for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_a_folder_of_parquet_is_known_by_its_files(tmp_path: Path, write_parquet: Write) -> None:
    """Training and test file, resized to the network."""
    write_parquet(tmp_path / "plain" / "train.parquet", [k % 2 for k in range(20)])
    write_parquet(tmp_path / "plain" / "test.parquet", [0, 1, 1])
    splits = load(str(tmp_path), (3, 8, 8))
    assert splits.test.labels.tolist() == [0, 1, 1]
    assert splits.test.images.shape == (3, 8, 8, 3)
    assert sum(len(splits.part(name)) for name in SPLITS) == 23


def test_a_folder_of_folders_is_images_by_class(tmp_path: Path, write_folder: Write) -> None:
    """Without a test set about a fifth becomes it, by the content of the images."""
    write_folder(tmp_path, {"cat": range(50), "owl": range(100, 150)})
    splits = load(str(tmp_path), (1, 5, 5))
    assert splits.train.classes == ("cat", "owl")
    assert 10 <= len(splits.test) <= 30
    assert splits.test.images.shape[1:] == (5, 5, 1)
    bright = splits.train.images[:, 4, 4, 0] >= 100
    np.testing.assert_array_equal(bright, splits.train.labels == 1)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """The message says all that could have been given."""
    message = (
        f"{tmp_path / 'none'}: no such folder. Give 'digits', a folder of parquet files, a folder of images by class, "
        "or hub:NAME for a data set on the Hugging Face Hub."
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        load(str(tmp_path / "none"), (1, 8, 8))


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    """Neither parquet nor classes: the message asks for classes."""
    message = f"{tmp_path}: no folders in it. Expected one folder for each class, with its images inside."
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        load(str(tmp_path), (1, 8, 8))


def test_colour_for_a_grey_network_is_refused(tmp_path: Path, write_parquet: Write) -> None:
    """Colour is not thrown away without a word."""
    write_parquet(tmp_path / "train.parquet", [0, 1] * 5)
    message = f"{tmp_path}: images have 3 channels and the network takes 1. Choose a preset whose input has 3."
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        load(str(tmp_path), (1, 8, 8))


@pytest.mark.skipif(importlib.util.find_spec("datasets") is not None, reason="datasets is installed")
def test_hub_is_a_prefix() -> None:
    """What starts with `hub:` goes to the Hub, and is not looked for on the disk."""
    with pytest.raises(MissingExtraError, match=r"^the Hub is read with datasets\."):
        load("hub:uoft-cs/cifar10", (3, 32, 32))


@pytest.mark.parametrize("kind", ["folder", "parquet"])
def test_whoever_looks_on_is_told_of_every_image(
    kind: str, tmp_path: Path, write_folder: Write, write_parquet: Write
) -> None:
    """Part by part, whatever they lie in."""
    for part, count in (("train", 4), ("test", 2)):
        if kind == "folder":
            write_folder(tmp_path / part, {"cat": range(0, 10 * count, 20), "owl": range(10, 10 * count, 20)})
        else:
            write_parquet(tmp_path / f"{part}.parquet", [0, 1] * (count // 2))
    told: list[tuple[str, int, int]] = []
    load(str(tmp_path), (3, 4, 6), watch=lambda *news: told.append(news))
    assert told == [
        *(("reading train images", done, 4) for done in range(4)),
        *(("reading test images", done, 2) for done in range(2)),
    ]
