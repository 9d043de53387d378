"""Parquet in the Hub's layout: what is read, what is refused, the real CIFAR-10, and the Hub itself."""

import importlib.util
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from offramp.data.listing import list_files
from offramp.data.parquet import CIFAR10_CLASSES, hub, parquet_files, parquet_folder
from offramp.data.split_names import EXPECTED as SPLITS_EXPECTED
from offramp.errors import DataError, MissingExtraError

Write = Callable[..., Path]
Png = Callable[..., bytes]
CIFAR10 = Path(__file__).resolve().parents[2].parent / "shared/data/cifar10"


def refused(folder: Path, message: str) -> None:
    """Reading the folder fails with this message behind the folder's name."""
    with pytest.raises(DataError, match=f"^{re.escape(f'{folder}: {message}')}$"):
        parquet_folder(folder, 4, 6)


def test_images_and_labels_are_read_in_order(tmp_path: Path, write_parquet: Write) -> None:
    """Over row groups, every image keeps its label and its place."""
    write_parquet(tmp_path / "train.parquet", [2, 0, 1, 2, 0], row_group_size=2)
    parts = parquet_folder(tmp_path, 4, 6)
    pool = parts.train
    test = parts.test
    assert test is None
    assert pool.images.shape == (5, 4, 6, 3)
    assert pool.images[:, 3, 5, 0].tolist() == [0, 10, 20, 30, 40]
    assert pool.labels.tolist() == [2, 0, 1, 2, 0]
    assert pool.index.tolist() == [0, 1, 2, 3, 4]
    assert pool.classes == ("0", "1", "2")
    assert pool.name == str(tmp_path)
    assert not pool.mirrors


def test_files_are_read_by_name_wherever_they_lie(tmp_path: Path, write_parquet: Write) -> None:
    """Shards in folders below follow one another by their own names."""
    write_parquet(tmp_path / "a" / "train-1.parquet", [1])
    write_parquet(tmp_path / "b" / "train-0.parquet", [0, 0])
    (tmp_path / "train-2.csv").write_text("no parquet")
    assert [path.name for path in parquet_files(list_files(tmp_path))] == ["train-1.parquet", "train-0.parquet"]
    assert parquet_folder(tmp_path, 4, 6).train.labels.tolist() == [0, 0, 1]


def test_a_file_named_test_is_the_test_set(tmp_path: Path, write_parquet: Write) -> None:
    """It goes on counting where the training set ends, and has its classes."""
    write_parquet(tmp_path / "train.parquet", [0, 1, 2])
    write_parquet(tmp_path / "test.parquet", [1, 0])
    parts = parquet_folder(tmp_path, 4, 6)
    pool = parts.train
    test = parts.test
    assert test is not None
    assert (len(pool), test.index.tolist(), test.labels.tolist()) == (3, [3, 4], [1, 0])
    assert test.classes == pool.classes == ("0", "1", "2")


def test_only_files_named_train_are_training_files_where_there_are_any(tmp_path: Path, write_parquet: Write) -> None:
    """A part that is known to be none of the three is left alone, and named."""
    for name, label in (("train", 0), ("test", 0), ("extra", 1)):
        write_parquet(tmp_path / f"{name}.parquet", [label])
    parts = parquet_folder(tmp_path, 4, 6)
    assert parts.train.labels.tolist() == [0]
    assert parts.passed == {"extra.parquet": "an extra part, neither training, validation nor test"}


def test_without_a_file_named_train_every_other_file_is_one(tmp_path: Path, write_parquet: Write) -> None:
    """Files that nobody named are the training set."""
    for name in ("one", "two", "test"):
        write_parquet(tmp_path / f"{name}.parquet", [0])
    parts = parquet_folder(tmp_path, 4, 6)
    pool = parts.train
    test = parts.test
    assert (len(pool), test is not None and len(test)) == (2, 1)


def test_a_test_file_alone_is_refused(tmp_path: Path, write_parquet: Write) -> None:
    """Nothing can be trained on it, and it is never trained on by mistake."""
    write_parquet(tmp_path / "test.parquet", [0])
    refused(tmp_path, f"test.parquet and no training file beside it. {SPLITS_EXPECTED}")


@pytest.mark.parametrize("image", ["img", "image"])
@pytest.mark.parametrize("label", ["label", "labels", "fine_label"])
def test_the_hubs_column_names_are_known(tmp_path: Path, write_parquet: Write, image: str, label: str) -> None:
    """Images and labels under any of the names that the well-known sets use."""
    write_parquet(tmp_path / "train.parquet", [1, 0], image=image, label=label)
    assert parquet_folder(tmp_path, 4, 6).train.labels.tolist() == [1, 0]


def test_classes_have_the_names_in_the_metadata(tmp_path: Path, write_parquet: Write) -> None:
    """As `datasets` writes them, for classes too that no sample has."""
    write_parquet(tmp_path / "train.parquet", [0, 0], names={"label": ["cat", "owl"]})
    assert parquet_folder(tmp_path, 4, 6).train.classes == ("cat", "owl")


def test_classes_are_named_after_their_own_column(tmp_path: Path, write_parquet: Write) -> None:
    """Where another column of labels comes first, its names are not taken."""
    names = {"coarse": ["plant", "animal"], "fine_label": ["cat", "owl"]}
    write_parquet(tmp_path / "train.parquet", [1, 0], label="fine_label", names=names)
    assert parquet_folder(tmp_path, 4, 6).train.classes == ("cat", "owl")


@pytest.mark.parametrize("content", [b"no JSON", b"[]", b'{"info": null}', b'{"info": {"features": {"label": 3}}}'])
def test_metadata_that_cannot_be_read_names_no_class(tmp_path: Path, write_parquet: Write, content: bytes) -> None:
    """Then classes are called by their numbers."""
    path = write_parquet(tmp_path / "train.parquet", [0, 1])
    parquet.write_table(parquet.read_table(path).replace_schema_metadata({b"huggingface": content}), path)
    assert parquet_folder(tmp_path, 4, 6).train.classes == ("0", "1")


def test_ten_unnamed_classes_in_a_folder_called_cifar10_have_its_names(tmp_path: Path, write_parquet: Write) -> None:
    """A copy of CIFAR-10 that lost its metadata is still known."""
    write_parquet(tmp_path / "cifar10" / "train.parquet", list(range(10)))
    assert parquet_folder(tmp_path / "cifar10", 4, 6).train.classes == CIFAR10_CLASSES


def test_images_of_different_sizes_are_brought_to_one(tmp_path: Path, write_parquet: Write, png: Png) -> None:
    """The network's, as images in folders are."""
    write_parquet(tmp_path / "train.parquet", [0, 0], images=[png(1), png(250, size=(60, 40))])
    images = parquet_folder(tmp_path, 4, 6).train.images
    assert images.shape == (2, 4, 6, 3)
    assert images[:, 3, 5, 0].tolist() == [1, 250]


def test_a_row_that_is_no_image_is_refused(tmp_path: Path, write_parquet: Write, png: Png) -> None:
    """Text or nothing where an image should be: the message names the row."""
    write_parquet(tmp_path / "train.parquet", [0, 0], images=[png(1), b"text"])
    with pytest.raises(DataError, match=f"^{re.escape(str(tmp_path))}: row 1: not an image that Pillow can read"):
        parquet_folder(tmp_path, 4, 6)


def test_a_row_without_an_image_is_refused(tmp_path: Path, write_parquet: Write, png: Png) -> None:
    """A set that holds paths instead of images is not read as black ones."""
    write_parquet(tmp_path / "train.parquet", [0, 0], images=[None, png(1)])
    with pytest.raises(DataError, match=f"^{re.escape(str(tmp_path))}: row 0: not an image that Pillow can read"):
        parquet_folder(tmp_path, 4, 6)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path: Path, write_parquet: Write, share: float) -> None:
    """The message names the file among its shards."""
    write_parquet(tmp_path / "train-0.parquet", [0])
    path = write_parquet(tmp_path / "train-1.parquet", [0, 1])
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(
        DataError, match=rf"^{re.escape(str(path))}: not a parquet file, or cut short \(.*Copy it again\.$"
    ):
        parquet_folder(tmp_path, 4, 6)


EXPECTED = "expected an image column (img or image) and a label column (label or labels or fine_label), found"


def test_a_missing_label_column_is_refused(tmp_path: Path, write_parquet: Write) -> None:
    """The message gives the names that are known and those that were found."""
    write_parquet(tmp_path / "train.parquet", [0], label="kind")
    refused(tmp_path, f"{EXPECTED} img, kind.")


def test_a_missing_image_column_is_refused(tmp_path: Path, write_parquet: Write) -> None:
    """As for labels."""
    write_parquet(tmp_path / "train.parquet", [0], image="picture")
    refused(tmp_path, f"{EXPECTED} picture, label.")


def test_a_column_that_one_file_lacks_is_refused(tmp_path: Path, write_parquet: Write) -> None:
    """Shards have to have their columns in common."""
    write_parquet(tmp_path / "train-0.parquet", [0])
    write_parquet(tmp_path / "train-1.parquet", [0], label="kind")
    refused(tmp_path, f"{EXPECTED} img.")


def test_an_image_column_of_another_type_is_refused(tmp_path: Path, png: Png) -> None:
    """Bare bytes, which the Hub does not write, are told from its structs."""
    parquet.write_table(pa.table({"image": [png(1)], "label": [0]}), tmp_path / "train.parquet")
    refused(tmp_path, "column 'image' is binary; expected a struct whose field 'bytes' holds an encoded image.")


def test_a_struct_without_bytes_is_refused(tmp_path: Path) -> None:
    """A struct of paths alone has no image."""
    parquet.write_table(pa.table({"image": [{"path": "a.png"}], "label": [0]}), tmp_path / "train.parquet")
    said = "column 'image' is struct<path: string>; expected a struct whose field 'bytes' holds an encoded image."
    refused(tmp_path, said)


@pytest.mark.parametrize(
    ("labels", "said"),
    [(["cat", "owl"], "string with 0 nulls"), ([0.5, 1.0], "double with 0 nulls"), ([0, None], "int64 with 1 nulls")],
)
def test_labels_that_are_not_whole_numbers_are_refused(
    tmp_path: Path, write_parquet: Write, labels: list[object], said: str
) -> None:
    """Names, fractions and gaps are not rounded into classes."""
    write_parquet(tmp_path / "train.parquet", labels)
    expected = (
        "expected a whole number for each row, the position of its class. Number names, or write a folder of images "
        "for each class."
    )
    refused(tmp_path, f"column 'label' is {said}; {expected}")


def test_a_label_outside_the_named_classes_is_refused(tmp_path: Path, write_parquet: Write) -> None:
    """The message names the sample."""
    write_parquet(tmp_path / "train.parquet", [0, 2], names={"label": ["cat", "owl"]})
    refused(tmp_path, "sample 1 has label 2, and there are 2 classes, 0 to 1. Mend the label or name the class.")


def test_a_test_label_that_training_never_saw_is_refused(tmp_path: Path, write_parquet: Write) -> None:
    """A test set does not bring classes of its own."""
    write_parquet(tmp_path / "train.parquet", [0, 1])
    write_parquet(tmp_path / "test.parquet", [0, 5])
    refused(tmp_path, "sample 3 has label 5, and there are 2 classes, 0 to 1. Mend the label or name the class.")


def test_a_test_set_with_other_names_is_refused(tmp_path: Path, write_parquet: Write) -> None:
    """The same number would be another class in it."""
    write_parquet(tmp_path / "train.parquet", [0, 1], names={"label": ["cat", "owl"]})
    write_parquet(tmp_path / "test.parquet", [0, 1], names={"label": ["owl", "cat"]})
    refused(
        tmp_path,
        "the test set's classes are owl, cat, and the training set's are cat, owl. A test set has the classes of its "
        "training set.",
    )


def test_a_file_without_rows_is_refused(tmp_path: Path, write_parquet: Write) -> None:
    """An empty set is no set."""
    write_parquet(tmp_path / "train.parquet", [])
    refused(tmp_path, "no rows. Expected one for each image.")


def test_an_empty_shard_among_others_is_passed_over(tmp_path: Path, write_parquet: Write) -> None:
    """Only the whole has to hold something."""
    write_parquet(tmp_path / "train-0.parquet", [])
    write_parquet(tmp_path / "train-1.parquet", [0, 1])
    assert parquet_folder(tmp_path, 4, 6).train.labels.tolist() == [0, 1]


def test_the_real_cifar10_is_read(tmp_path: Path) -> None:
    """10,000 test images of 32 by 32, a thousand a class, with the published class names and channel means."""
    files = list(CIFAR10.rglob("test*.parquet"))
    if not files:
        pytest.skip(f"no CIFAR-10 at {CIFAR10}")
    (tmp_path / "train.parquet").symlink_to(files[0])
    parts = parquet_folder(tmp_path, 32, 32)
    found = parts.train
    assert found.images.shape == (10_000, 32, 32, 3)
    assert found.classes == CIFAR10_CLASSES
    assert np.bincount(found.labels).tolist() == [1000] * 10
    np.testing.assert_allclose(found.images.mean(axis=(0, 1, 2)) / 255, (0.4914, 0.4822, 0.4465), atol=0.01)


@pytest.mark.skipif(importlib.util.find_spec("datasets") is not None, reason="datasets is installed")
def test_the_hub_needs_its_extra() -> None:
    """The message names the library and the command that installs it."""
    message = "the Hub is read with datasets. Install it with: pip install 'offramp[hub]'"
    with pytest.raises(MissingExtraError, match=f"^{re.escape(message)}$"):
        hub("uoft-cs/cifar10", 32, 32)
