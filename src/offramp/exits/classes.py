"""Answers by class: what each class was taken for, how many of it left before the cloud, and how right they were."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from offramp.exits.answers import Answers, Tier

Counts = npt.NDArray[np.intp]


class ByClass(NamedTuple):
    """Counts of samples: a row a class, in the order of the classes."""

    confusion: Counts  # (classes, classes): the sample's class, and the class that was answered
    local: Counts  # (classes,): answered before the cloud, dropped ones too
    local_right: Counts  # (classes,): of those, right

    @property
    def n(self) -> Counts:
        """All samples of each class."""
        of: Counts = self.confusion.sum(axis=1)
        return of

    @property
    def right(self) -> Counts:
        """Those that were answered right."""
        return self.confusion.diagonal()

    def worst(self, most: int) -> Counts:
        """The classes with the most errors, theirs and those that were taken for them; so many at most, in order."""
        errors = self.confusion.sum(axis=0) + self.n - 2 * self.right
        return np.sort(np.argsort(-errors, kind="stable")[:most])


def by_class(answers: Answers, labels: npt.NDArray[np.int64], classes: int) -> ByClass:
    """Count answers by the class of the sample; `labels` has one for each, from 0 to `classes` - 1."""
    confusion = np.bincount(labels * classes + answers.label, minlength=classes * classes)
    local = answers.tier != Tier.CLOUD
    right = local & (answers.label == labels)
    return ByClass(
        confusion.reshape(classes, classes),
        np.bincount(labels[local], minlength=classes),
        np.bincount(labels[right], minlength=classes),
    )
