"""Image sets and how they are split."""

import re
from itertools import chain
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.data.image_set import SPLITS, ImageSet, Splits, split
from offramp.errors import DataError, InputError


def images(count: int, start: int = 0, **changes: Any) -> ImageSet:
    """As many images of one pixel, each with its own value and position."""
    position = np.arange(start, start + count, dtype=np.int64)
    values: dict[str, Any] = {
        "name": "pool", "images": (position % 251).astype(np.uint8).reshape(-1, 1, 1, 1), "labels": position % 3,
        "classes": ("cat", "dog", "owl"), "index": position, "mirrors": True,
    }  # fmt: skip
    return ImageSet(**values | changes)


def parts(splits: Splits) -> dict[str, list[int]]:
    """Which samples each part holds."""
    return {name: splits.part(name).index.tolist() for name in SPLITS}


SEEDS = st.integers(0, 2**32 - 1)


@given(count=st.integers(5, 3000), seed=SEEDS)
def test_splits_are_disjoint_and_cover_the_source(count: int, seed: int) -> None:
    """Every sample is in exactly one part, in rising order, and no part is empty."""
    found = parts(split(images(count), None, seed))
    assert sorted(chain.from_iterable(found.values())) == list(range(count))
    for index in found.values():
        assert index
        assert index == sorted(index)


@settings(max_examples=30)
@given(count=st.integers(5, 500), seed=SEEDS)
def test_the_same_seed_gives_the_same_splits(count: int, seed: int) -> None:
    """Two runs, two processes, two machines: one split."""
    assert parts(split(images(count), None, seed)) == parts(split(images(count), None, seed))


def test_another_seed_gives_another_training_set_and_the_same_test_set() -> None:
    """Models of different seeds are measured on the same samples."""
    one, two = (parts(split(images(500), None, seed)) for seed in (0, 1))
    assert one["test"] == two["test"]
    for name in ("train", "validation", "calibration"):
        assert one[name] != two[name]


def test_a_sources_own_test_set_stays_whole() -> None:
    """The pool alone is cut."""
    pool, test = images(400), images(50, start=400)
    splits = split(pool, test, 0)
    assert splits.test is test
    assert sorted(chain.from_iterable(parts(splits)[name] for name in SPLITS[:3])) == list(range(400))


@pytest.mark.parametrize(
    ("count", "sizes"),
    [(10_000, (7_200, 400, 400, 2_000)), (1_797, (1_238, 100, 100, 359)), (100, (40, 20, 20, 20)), (5, (2, 1, 1, 1))],
)
def test_sizes_of_the_parts(count: int, sizes: tuple[int, ...]) -> None:
    """A fifth to test; of the rest 5 % each is held out, at least a hundred, at most a quarter."""
    assert tuple(len(split(images(count), None, 0).part(name)) for name in SPLITS) == sizes


@settings(max_examples=20)
@given(count=st.integers(5, 300), seed=SEEDS)
def test_pixels_and_labels_stay_with_their_sample(count: int, seed: int) -> None:
    """In every part, an image and its label are those of its index."""
    for name in SPLITS:
        part = split(images(count), None, seed).part(name)
        assert part.images[:, 0, 0, 0].tolist() == (part.index % 251).tolist()
        assert part.labels.tolist() == (part.index % 3).tolist()


@pytest.mark.parametrize("count", [0, 1, 2, 4])
def test_too_few_images_are_refused(count: int) -> None:
    """The message counts them and says how many would do."""
    message = (
        f"pool: {count} images are too few to split into train, validation, calibration and test. At least 5 are "
        "needed, and some hundreds make sense."
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        split(images(count), None, 0)


def test_an_empty_test_set_is_refused() -> None:
    """Nothing could be measured on it."""
    with pytest.raises(DataError, match=re.escape("pool: 100 images are too few to split")):
        split(images(100), images(0), 0)


def test_an_unknown_split_is_refused() -> None:
    """The message names the four."""
    message = "split 'dev': unknown. Choose one of train, validation, calibration, test."
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        split(images(5), None, 0).part("dev")


@pytest.mark.parametrize("label", [3, -1])
def test_a_label_outside_the_classes_is_refused(label: int) -> None:
    """The message names the sample by its position in the source."""
    labels = np.array([0, 1, label, label])
    message = f"pool: sample 12 has label {label}, and there are 3 classes, 0 to 2. Mend the label or name the class."
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        images(4, start=10, labels=labels)


@pytest.mark.parametrize(
    ("pixels", "found"),
    [(np.zeros((3, 1, 1, 1)), "float64 (3, 1, 1, 1)"), (np.zeros((3, 1, 1), np.uint8), "uint8 (3, 1, 1)")],
)
def test_images_that_are_not_8_bit_or_not_a_batch_are_refused(pixels: Any, found: str) -> None:
    """The message gives dtype and shape."""
    with pytest.raises(DataError, match=f"^{re.escape(f'pool: expected uint8 images (N, H, W, C), got {found}.')}$"):
        images(3, images=pixels)


@pytest.mark.parametrize(
    ("name", "said"), [("labels", "3 images, 2 labels and 3 indices"), ("index", "3 images, 3 labels and 2 indices")]
)
def test_lengths_that_differ_are_refused(name: str, said: str) -> None:
    """The message counts all three."""
    with pytest.raises(DataError, match=f"^{re.escape(f'pool: {said}; expected as many of each.')}$"):
        images(3, **{name: np.zeros(2, np.int64)})


@pytest.mark.parametrize("rows", [np.array([2, 0]), slice(1, 3)])
def test_rows_keep_what_belongs_together(rows: Any) -> None:
    """Images, labels and indices follow the same rows; name and classes stay."""
    expected = np.arange(4)[rows]
    found = images(4).rows(rows)
    assert found.index.tolist() == expected.tolist()
    assert found.images[:, 0, 0, 0].tolist() == expected.tolist()
    assert found.labels.tolist() == (expected % 3).tolist()
    assert (found.name, found.classes, found.mirrors) == ("pool", ("cat", "dog", "owl"), True)
