"""A split by content: what is added to a folder moves no trained image to the test set."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.artifacts.data_record import POSITION, SplitRule
from offramp.data.content_split import split_by_content
from offramp.data.image_set import SPLITS, ImageSet, Splits
from offramp.data.load import load

Write = Callable[..., Path]


def images(tags: list[int]) -> ImageSet:
    """Images that are told apart by 32 bits of pixels."""
    pixels = np.array(tags, np.uint32).view(np.uint8).reshape(-1, 1, 1, 4)
    labels, index = np.zeros(len(tags), np.int64), np.arange(len(tags), dtype=np.int64)
    return ImageSet("pool", pixels, labels, ("cat", "owl"), index, mirrors=False)


def tags(part: ImageSet) -> list[int]:
    """Which images a part holds."""
    return [int(tag) for tag in np.ascontiguousarray(part.images).view(np.uint32).ravel()]


TAGS = st.lists(st.integers(0, 2**32 - 1), min_size=60, max_size=300, unique=True)


@settings(max_examples=60)
@given(before=TAGS, more=TAGS, seed=st.integers(0, 2**32 - 1), data=st.data())
def test_a_grown_pool_never_tests_what_was_trained(
    before: list[int], more: list[int], seed: int, data: st.DataObject
) -> None:
    """New images lie between the old ones, in any order; by the recorded rule, every old image stays where it was."""
    before = before + before[:9]  # some are there twice
    first, rule = split_by_content(images(before), None, None, seed)
    grown = data.draw(st.permutations(before + more))
    again, _ = split_by_content(images(grown), None, None, seed, rule.held)
    for old in ("train", "validation", "calibration"):
        assert not set(tags(first.part(old))) & set(tags(again.test))
    for name in SPLITS:
        others = {tag for other in SPLITS if other != name for tag in tags(again.part(other))}
        assert not set(tags(again.part(name))) & others, "the same bytes are on one side"
    anew, _ = split_by_content(images(grown), None, None, seed + 1)
    assert not set(tags(first.train)) & set(tags(anew.test)), "a later training of another seed has the same test set"
    assert sorted(tag for name in SPLITS for tag in tags(again.part(name))) == sorted(grown)


def test_parts_have_about_their_shares() -> None:
    """A fifth, and 5 % each of the rest; seeds draw other validation images."""
    pool = images(list(range(20_000)))
    first, rule = split_by_content(pool, None, None, 0)
    other, _ = split_by_content(pool, None, None, 1)
    assert rule == SplitRule(by="content", held=0.05)
    assert abs(len(first.test) - 4_000) < 250
    for part in (first.validation, first.calibration, other.validation):
        assert abs(len(part) - 800) < 120
    assert tags(first.test) == tags(other.test)
    assert len(set(tags(first.validation)) & set(tags(other.validation))) < 100


def counts(splits: Splits) -> dict[str, int]:
    """The size of each part."""
    return {name: len(splits.part(name)) for name in SPLITS}


def learnt(splits: Splits) -> set[int]:
    """The levels of the images that a training saw."""
    return set(splits.train.images[:, 3, 5, 0].tolist())


def test_a_grown_folder_keeps_its_test_images(tmp_path: Path, write_folder: Write, png: Callable[..., bytes]) -> None:
    """Through `load`; by position, images that sort between the old ones make trained ones test images."""
    write_folder(tmp_path, {"cat": range(20, 120, 2), "owl": range(121, 220, 2)})
    before, old = load(str(tmp_path), (3, 4, 6)), load(str(tmp_path), (3, 4, 6), rule=POSITION)
    for level in range(21, 120, 2):
        (tmp_path / "cat" / f"{level:03d}.png").write_bytes(png(level))
    assert before.record is not None
    after = load(str(tmp_path), (3, 4, 6), rule=before.record.rule)
    tested = set(after.test.images[:, 3, 5, 0].tolist())
    assert not learnt(before) & tested
    moved = load(str(tmp_path), (3, 4, 6), rule=POSITION).test.images[:, 3, 5, 0].tolist()
    assert learnt(old) & set(moved), "by position they do: else this test could not fail"


@pytest.mark.parametrize("rule", [None, POSITION])
def test_the_digits_are_split_by_position(rule: SplitRule | None) -> None:
    """They never grow, and networks of before keep their test set."""
    assert counts(load("digits", (1, 8, 8), rule=rule)) == {
        "train": 1238, "validation": 100, "calibration": 100, "test": 359,
    }  # fmt: skip
