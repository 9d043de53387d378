"""Several views of each sample: what several devices see of one thing, and the splits of such a set.

A view is an `ImageSet`: of images, or of values, of a shape of its own. Knows nothing of how views came about.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from offramp.data.image_set import SPLITS, ImageSet, split
from offramp.errors import DataError, InputError


@dataclass(frozen=True)
class ViewSet:
    """Labelled samples, each seen by several devices. Row i of every view is of the same sample."""

    name: str
    views: Mapping[str, ImageSet]  # by name, in order
    there: npt.NDArray[np.bool_]  # (N, V): whether there is such a view of a sample at all; else its row is zeros

    def __post_init__(self) -> None:
        if not self.views:
            raise DataError(f"{self.name}: no views in it. Expected at least one of each sample.")
        (first, base), *others = self.views.items()
        for name, one in others:
            if one.classes != base.classes or not np.array_equal(one.labels, base.labels):
                raise DataError(f"{self.name}: views {first} and {name} do not have the same samples, row by row.")
        if self.there.shape != (len(base), len(self.views)) or self.there.dtype != np.bool_:
            raise DataError(
                f"{self.name}: expected a bool for each of {len(base)} samples and {len(self.views)} views, got "
                f"{self.there.dtype} {self.there.shape}."
            )
        if len(bad := np.flatnonzero(~self.there.any(axis=1))):
            raise DataError(f"{self.name}: no view at all of sample {base.index[bad[0]]}. Add one, or remove it.")

    def __len__(self) -> int:
        return len(self.there)

    @property
    def names(self) -> tuple[str, ...]:
        """What the views are called, in order."""
        return tuple(self.views)

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """`(N,)`."""
        return self._any.labels

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self._any.classes

    @property
    def index(self) -> npt.NDArray[np.int64]:
        """Position of each sample in its source `(N,)`."""
        return self._any.index

    @property
    def _any(self) -> ImageSet:
        return next(iter(self.views.values()))

    def rows(self, rows: npt.NDArray[np.intp] | slice) -> Self:
        """Some of the samples."""
        return replace(self, views={name: one.rows(rows) for name, one in self.views.items()}, there=self.there[rows])

    def only(self, names: tuple[str, ...]) -> Self:
        """Some of the views, of the samples that are seen by any of them."""
        if unknown := [name for name in names if name not in self.views]:
            raise InputError(f"view {unknown[0]!r}: unknown. {self.name} has {', '.join(self.names)}.")
        columns = [self.names.index(name) for name in names]
        seen = np.flatnonzero(self.there[:, columns].any(axis=1))
        views = {name: self.views[name].rows(seen) for name in names}
        return replace(self, views=views, there=self.there[seen][:, columns])


@dataclass(frozen=True)
class ViewSplits:
    """Four disjoint parts of a set with several views, as `image_set.Splits` has them of one."""

    train: ViewSet
    validation: ViewSet
    calibration: ViewSet
    test: ViewSet

    def part(self, name: str) -> ViewSet:
        """Choose a part by its name."""
        if name not in SPLITS:
            raise InputError(f"split {name!r}: unknown. Choose one of {', '.join(SPLITS)}.")
        part: ViewSet = getattr(self, name)
        return part


def split_views(pool: ViewSet, test: ViewSet | None, seed: int) -> ViewSplits:
    """Cut a set into its four parts by position, as `image_set.split` does: all views of a sample into the same one.

    Without a `test` set a fifth of the pool becomes one, whatever the seed.
    """
    first = pool.names[0]
    if test is not None and test.names != pool.names:
        raise DataError(
            f"{pool.name}: its test set has the views {', '.join(test.names)}, not {', '.join(pool.names)}."
        )
    cut = split(_numbered(pool, first), None if test is None else _numbered(test, first), seed)
    whole = {True: pool, False: pool if test is None else test}

    def rows(part: ImageSet, own: bool) -> ViewSet:
        return whole[own].rows(part.index)

    return ViewSplits(
        train=rows(cut.train, True),
        validation=rows(cut.validation, True),
        calibration=rows(cut.calibration, True),
        test=rows(cut.test, False),
    )


def one_after_another(sets: Sequence[ViewSet]) -> ViewSet:
    """The samples of sets of the same views and classes, as one set."""
    first, there = sets[0], np.concatenate([one.there for one in sets])
    views = {
        name: replace(
            view,
            images=np.concatenate([one.views[name].images for one in sets]),
            labels=np.concatenate([one.labels for one in sets]),
            index=np.concatenate([one.index for one in sets]),
            digests=None,
        )
        for name, view in first.views.items()
    }
    return replace(first, views=views, there=there)


def _numbered(of: ViewSet, view: str) -> ImageSet:
    """One view whose index is its rows' numbers."""
    return replace(of.views[view], index=np.arange(len(of), dtype=np.int64))
