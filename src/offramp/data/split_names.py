"""Which split a folder's or a file's name means. Names in, splits out; it reads nothing."""

import re
from collections.abc import Iterable
from typing import Literal

from offramp.errors import DataError

PartName = Literal["train", "validation", "test"]

# Those that `datasets` knows, and the compounds that people write. A word is what stands between the separators.
WORDS: dict[PartName, frozenset[str]] = {
    "train": frozenset({"train", "training", "trainset", "trainval"}),
    "validation": frozenset({"validation", "valid", "val", "dev", "valset", "devset"}),
    "test": frozenset({"test", "testing", "eval", "evaluation", "testset"}),
}
EVALUATION = frozenset({"eval", "evaluation"})  # the test set, but beside one it is what others call validation
EXTRA = frozenset(
    {"extra", "unlabeled", "unlabelled", "unsupervised"}
)  # parts of known sets that are none of the three
SEPARATORS = re.compile(r"[-._ 0-9]+")
EXPECTED = (
    "Expected train beside validation or test, in any of their spellings. Rename or move what is none of them, or name "
    "the folders by --validation and --test."
)


def words(name: str) -> set[str]:
    """The words of a name, in lower case.

    >>> sorted(words("Train_images-00000-of-00001.parquet"))
    ['images', 'of', 'parquet', 'train']
    """
    return set(filter(None, SEPARATORS.split(name.casefold())))


def part_of(name: str, at: str) -> PartName | None:
    """The split that a name means; None where it means none. `at` is what messages call the place."""
    found = words(name)
    parts = [part for part, known in WORDS.items() if known & found]
    if len(parts) > 1:
        raise DataError(f"{at}: {name!r} names {' and '.join(parts)} at once. {EXPECTED}")
    return parts[0] if parts else None


def is_extra(name: str) -> bool:
    """Is this a part of a known set that is neither training, validation nor test?"""
    return bool(words(name) & EXTRA)


def parts_of(names: Iterable[str], at: str) -> dict[str, PartName]:
    """The split of each name that means one. `eval` is the test set, and validation beside another test set."""
    found = {name: part for name in names if (part := part_of(name, at)) is not None}
    tests = {name for name, part in found.items() if part == "test"}
    evaluation = {name for name in tests if words(name) & EVALUATION}
    if evaluation and tests - evaluation and "validation" not in found.values():
        found |= dict.fromkeys(evaluation, "validation")
    return found
