"""A set of labelled samples in memory, images most often, and its splits."""

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self, get_args

import numpy as np
import numpy.typing as npt

from offramp.artifacts.data_record import DataRecord
from offramp.data.split_names import PartName
from offramp.errors import DataError, InputError

SplitName = Literal["train", "validation", "calibration", "test"]
SPLITS: tuple[SplitName, ...] = get_args(SplitName)


Noun = Literal["images", "samples", "texts"]
NOUNS: dict[np.dtype[Any], Noun] = {
    np.dtype(np.uint8): "images", np.dtype(np.float32): "samples", np.dtype(np.object_): "texts",
}  # fmt: skip


@dataclass(frozen=True)
class ImageSet:
    """Labelled samples: images of 8 bits a channel; or values, or texts, for networks that take those."""

    name: str
    images: npt.NDArray[Any]  # uint8 (N, H, W, C); or float32 (N, …), or strings (N,) as objects
    labels: npt.NDArray[np.int64]  # (N,)
    classes: tuple[str, ...]
    index: npt.NDArray[np.int64]  # position of each sample in its source: names a sample across files and processes
    mirrors: bool  # does a mirrored image keep its class? A digit's does not, a horse's does
    digests: npt.NDArray[np.uint64] | None = None  # (N,) of each image as it was read; None: taken of its pixels

    def __post_init__(self) -> None:
        rank = self.images.ndim
        fits = {"images": rank == 4, "samples": rank > 1, "texts": rank == 1}
        if self.images.dtype not in NOUNS or not fits[self.noun]:
            raise DataError(
                f"{self.name}: expected uint8 images (N, H, W, C), got {self.images.dtype} {self.images.shape}."
            )
        if not len(self.images) == len(self.labels) == len(self.index):
            raise DataError(
                f"{self.name}: {len(self.images)} {self.noun}, {len(self.labels)} labels and {len(self.index)} "
                "indices; expected as many of each."
            )
        if len(self.labels) and not (self.labels.min() >= 0 and self.labels.max() < len(self.classes)):
            bad = int(np.flatnonzero((self.labels < 0) | (self.labels >= len(self.classes)))[0])
            raise DataError(
                f"{self.name}: sample {self.index[bad]} has label {self.labels[bad]}, and there are "
                f"{len(self.classes)} classes, 0 to {len(self.classes) - 1}. Mend the label or name the class."
            )

    @property
    def noun(self) -> Noun:
        """What its samples are, in words."""
        return NOUNS[self.images.dtype]

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, rows: npt.NDArray[np.intp] | slice) -> Self:
        """Some of the samples."""
        digests = None if self.digests is None else self.digests[rows]
        return replace(
            self, images=self.images[rows], labels=self.labels[rows], index=self.index[rows], digests=digests
        )

    def in_order(self, classes: tuple[str, ...]) -> Self:
        """The same with its classes in another order, its labels with them; as it is where the classes are others."""
        if classes == self.classes or sorted(classes) != sorted(self.classes):
            return self
        to = np.array([classes.index(name) for name in self.classes], np.int64)
        return replace(self, labels=to[self.labels], classes=classes)

    def content(self) -> npt.NDArray[np.uint64]:
        """64 bits of each sample's content `(N,)`: of the encoded image, of its pixels where it never was encoded."""
        if self.digests is not None:
            return self.digests
        contents = (one.encode() if isinstance(one, str) else one.tobytes() for one in self.images)
        found = [int.from_bytes(hashlib.sha256(content).digest()[:8], "big") for content in contents]
        return np.array(found, np.uint64)


@dataclass(frozen=True)
class Parts:
    """A source as it was read: the training pool and the splits that it came with.

    `origins` says where each came from, `passed` names what was passed over, with the reason.
    """

    train: ImageSet
    validation: ImageSet | None = None
    test: ImageSet | None = None
    origins: dict[PartName, str] = field(default_factory=dict)
    passed: dict[str, str] = field(default_factory=dict)

    def in_order(self, classes: tuple[str, ...]) -> Self:
        """The same with the classes of each in another order, if they are the same."""
        held_out = (None if part is None else part.in_order(classes) for part in (self.validation, self.test))
        validation, test = held_out
        return replace(self, train=self.train.in_order(classes), validation=validation, test=test)


@dataclass(frozen=True)
class Splits:
    """Four disjoint parts of one source.

    `train` fits the weights, `validation` chooses between models, `calibration` sets thresholds and ranges, and only
    the final measurement opens `test`.
    """

    train: ImageSet
    validation: ImageSet
    calibration: ImageSet
    test: ImageSet
    record: DataRecord | None = None  # of the load; None where nothing was read

    def part(self, name: str) -> ImageSet:
        """Choose a part by its name."""
        if name not in SPLITS:
            raise InputError(f"split {name!r}: unknown. Choose one of {', '.join(SPLITS)}.")
        part: ImageSet = getattr(self, name)
        return part


HELD_OUT = 0.05  # of the training samples, for validation and again for calibration
HELD_OUT_LEAST = 100  # a share of a small set is too few to measure an accuracy on
TEST_SHARE = 0.2  # where a source has no test set of its own


def split(pool: ImageSet, test: ImageSet | None, seed: int, validation: ImageSet | None = None) -> Splits:
    """Cut a source into its four parts, the same for the same seed.

    A source's own test set stays whole, and so does its validation set; otherwise a fifth of the pool becomes the test
    set. It does not depend on the seed, so that models of different seeds are measured on the same samples.
    """
    if test is None:
        order = np.random.default_rng(0).permutation(len(pool))
        cut = round(len(pool) * TEST_SHARE)
        test, pool = pool.rows(np.sort(order[:cut])), pool.rows(np.sort(order[cut:]))
    order = np.random.default_rng(seed).permutation(len(pool))
    held = min(max(round(len(pool) * HELD_OUT), HELD_OUT_LEAST), len(pool) // 4)
    if held == 0 or len(test) == 0:
        raise too_few(pool, test)
    own = validation is not None
    first, second = (0, held) if own else (held, 2 * held)
    return Splits(
        train=pool.rows(np.sort(order[second:])),
        validation=validation if validation is not None else pool.rows(np.sort(order[:held])),
        calibration=pool.rows(np.sort(order[first:second])),
        test=test,
    )


def too_few(pool: ImageSet, test: ImageSet) -> DataError:
    """The error where a part would be empty."""
    return DataError(
        f"{pool.name}: {len(pool) + len(test)} {pool.noun} are too few to split into train, validation, calibration "
        "and test. At least 5 are needed, and some hundreds make sense."
    )
