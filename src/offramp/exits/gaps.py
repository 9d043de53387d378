"""What plans lose of each sample against the last exit, and what of it is expected before it is counted.

Takes one split's predictions by every route; knows neither costs nor how much may be lost.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.artifacts.promise import PromiseKind
from offramp.exits.routes import Routes
from offramp.exits.score import Floats


class Moments(NamedTuple):
    """What is expected of each candidate's gaps, all `(candidates,)`."""

    loss: Floats  # the mean
    variance: Floats
    taken: Floats  # share of samples that take part


def gaps(reference: Predictions, of_route: Predictions, plan: Plan, kind: PromiseKind = "accuracy") -> Floats:
    """What each sample loses by a plan `(N,)`, in the order of `reference`: 1, 0, or -1 where it gains.

    The last exit of `reference` is what it is held against; `of_route` are the plan's own logits of the same samples.
    For a conditional promise, NaN where a sample leaves at no local exit: it takes no part.
    """
    return Gaps(Routes(reference, (of_route,)), kind).of(plan)


class Gaps:
    """Gaps of plans over one split."""

    def __init__(self, routes: Routes, kind: PromiseKind) -> None:
        self.routes, self.kind = routes, kind
        self.at_last = routes.plain.at(routes.plain.last).argmax(axis=1)

    def of(self, plan: Plan) -> Floats:
        """A gap for each sample `(N,)`."""
        label, exit_ = self.routes.answers(plan)
        if self.kind == "agreement":
            return np.asarray(label != self.at_last, np.float64)
        labels = self.routes.plain.labels
        gap: Floats = (self.at_last == labels).astype(np.float64) - (label == labels)
        return gap if self.kind == "accuracy" else np.where(exit_ == self.routes.plain.last, np.nan, gap)


def moments(routes: Routes, candidates: Sequence[Plan], kind: PromiseKind) -> Moments:
    """What each candidate's gaps are expected to be on one split, each sample by how probable its labels are."""
    of, found = Gaps(routes, kind), []
    rows = np.arange(len(routes.plain))
    likely = None if kind == "agreement" else routes.likely
    for plan in candidates:
        label, exit_ = routes.answers(plan)
        mean = square = (label != of.at_last).astype(np.float64)
        if likely is not None:
            at_last, here = likely[rows, of.at_last], likely[rows, label]
            mean, square = at_last - here, square * (at_last + here)
        if kind == "conditional":
            mean, square = mean[left := exit_ != routes.plain.last], square[left]
        # One sample more, of 0 in the mean and 1 in square, as the bound begins: nobody is sure of no loss yet.
        loss = mean.sum() / (len(mean) + 1)
        found.append((loss, (1 + square.sum()) / (len(mean) + 1) - loss**2, len(mean) / len(rows)))
    return Moments(*np.reshape(found, (-1, 3)).T)
