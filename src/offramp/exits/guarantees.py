"""Promises that hold: the cheapest of some plans of which samples show that it loses at most so much.

The call is::

    promise(order_on, calibrate_on, candidates, costs, max_loss, confidence, kind) -> (the plan with its promise, which)

with `order_on` and `calibrate_on` the `Routes` of two splits without a sample in common. Candidates are put in an order
by the first, surest to least sure, each cheaper than the one before, and tested in it on the second until one fails
(fixed-sequence testing: "Learn then Test", arXiv 2110.01052), each by the betting bound (`exits.betting`). Whatever the
plans and the order, a plan that loses more is promised in a share 1 - `confidence` of all draws at most.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.artifacts.promise import Promise, PromiseKind
from offramp.errors import InputError
from offramp.exits.asked import Answered, Asked
from offramp.exits.betting import certified, check_asked, enough, expected
from offramp.exits.posterior import posterior
from offramp.exits.routes import Routes, check_apart, digest, paired
from offramp.exits.score import Floats

__all__ = ["Routes", "certified", "digest", "enough", "gaps", "moments", "ordered", "promise"]

SEED = 2010_09686  # of the order in which calibration samples are bet on: any does that no label had a say in
CHAIN = 100  # candidates tested at most: cheaper in even steps


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
    return _Gaps(Routes(reference, (of_route,)), kind).of(plan)


class _Gaps:
    """Gaps of plans over one split; labels and scores of each exit are taken once."""

    def __init__(self, routes: Routes, kind: PromiseKind) -> None:
        self.routes, self.kind = routes, kind
        self.at_last = routes.plain.at(routes.plain.last).argmax(axis=1)
        self.asked = {id(one): (Asked(one), paired(routes.plain, one)) for one in (routes.plain, *routes.others)}

    def answers(self, plan: Plan) -> Answered:
        """What a plan answers by its own route, in the order of the plain one."""
        asked, rows = self.asked[id(self.routes.of(plan))]
        found = asked.answers(plan)
        return Answered(found.label[rows], found.exit[rows])

    def of(self, plan: Plan) -> Floats:
        """A gap for each sample `(N,)`."""
        label, exit_ = self.answers(plan)
        if self.kind == "agreement":
            return np.asarray(label != self.at_last, np.float64)
        labels = self.routes.plain.labels
        gap: Floats = (self.at_last == labels).astype(np.float64) - (label == labels)
        return gap if self.kind == "accuracy" else np.where(exit_ == self.routes.plain.last, np.nan, gap)


def moments(routes: Routes, candidates: Sequence[Plan], kind: PromiseKind) -> Moments:
    """What each candidate's gaps are expected to be on one split, each sample by how probable its labels are."""
    of, found = _Gaps(routes, kind), []
    rows = np.arange(len(routes.plain))
    likely = None if kind == "agreement" else posterior(routes.plain)
    for plan in candidates:
        label, exit_ = of.answers(plan)
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


def ordered(expect: Moments, costs: Floats, samples: int, max_loss: float) -> npt.NDArray[np.intp]:
    """The chain of candidates to test, positions from the surest to the cheapest, each cheaper than the one before.

    `expect` and `costs` are of an ordering split; `samples` there will be to calibrate on.
    """
    sure = expected(expect.loss, expect.variance, expect.taken * samples, max_loss)
    walk = np.lexsort((costs, -sure))
    cheapest = np.minimum.accumulate(costs[walk])
    chain: npt.NDArray[np.intp] = walk[(sure[walk] > 0) & np.append(True, cheapest[1:] < cheapest[:-1])]
    if len(chain) > CHAIN:
        steps = np.linspace(costs[chain[0]], costs[chain[-1]], CHAIN)
        chain = chain[np.unique(np.searchsorted(-costs[chain], -steps))]
    return chain


def promise(
    order_on: Routes,
    calibrate_on: Routes,
    candidates: Sequence[Plan],
    costs: npt.ArrayLike,
    max_loss: float,
    confidence: float = 0.95,
    kind: PromiseKind = "accuracy",
) -> tuple[Plan, int]:
    """Give the cheapest candidate that is shown to keep the promise, with the promise in it, and its position.

    `costs` has one for each candidate, in any unit, measured on anything but the calibration split. Raises InputError
    where none is shown, with how many samples would do.
    """
    delta, count = 1 - confidence, len(calibrate_on.plain)
    check_asked(max_loss, delta)
    check_apart(order_on, calibrate_on)
    price = np.asarray(costs, np.float64)
    if price.shape != (len(candidates),) or not np.isfinite(price).all():
        raise InputError(f"costs: expected {len(candidates)} numbers, one for each candidate, got shape {price.shape}.")
    expect = moments(order_on, candidates, kind)
    chain = ordered(expect, price, count, max_loss)
    of = _Gaps(calibrate_on, kind)
    drawn = np.random.default_rng(SEED).permutation(np.argsort(calibrate_on.plain.index, kind="stable"))
    found = np.array([of.of(candidates[position])[drawn] for position in chain]).reshape(len(chain), count)
    shown = certified(found, max_loss, delta) if len(chain) else 0
    if not shown:
        raise InputError(_none(expect, found[0] if len(chain) else np.empty(0), max_loss, delta, kind))
    best = int(chain[shown - 1])
    route = calibrate_on.of(candidates[best]).header
    given = Promise(
        kind=kind,
        max_loss=max_loss,
        confidence=confidence,
        samples=count,
        data=f"{route.data} {route.split}",
        data_sha256=digest(calibrate_on.plain),
        route=f"{route.route}, on {route.runtime} {route.precision}",
    )
    return candidates[best].model_copy(update={"promise": given}), best


def _none(expect: Moments, first: Floats, max_loss: float, delta: float, kind: PromiseKind) -> str:
    """Why nothing is shown, and what would do; `first` are the gaps of the candidate that was tested first, if any."""
    asked = f"max loss {max_loss:g} at a confidence of {1 - delta:g} ({kind})"
    instead = "Or ask the last exit for every sample: that loses nothing."
    if not len(first):
        least = f" (the least is {expect.loss.min():.2g})" if len(expect.loss) else ""
        return (
            f"{asked}: on the samples that put them in order none of {len(expect.loss)} plans loses less{least}. Allow "
            f"more loss, or give stricter plans. {instead}"
        )
    gap = first[~np.isnan(first)]
    mean = gap.sum() / (len(gap) + 1)
    wanted = enough(mean, (1 + (gap**2).sum()) / (len(gap) + 1) - mean**2, max_loss, delta)
    if wanted is None:
        return (
            f"{asked}: the surest plan loses {mean:.2g} on the {len(first)} samples to calibrate on. No number of them "
            f"would show it: allow more loss, or give stricter plans. {instead}"
        )
    wanted = max(math.ceil(wanted * len(first) / max(len(gap), 1)), len(first) + 1)
    return (
        f"{asked}: {len(first)} samples to calibrate on do not show it of any plan. The surest loses {mean:.2g} on "
        f"them, and about {wanted} would do (an estimate). Calibrate on more, allow more loss or ask for less "
        f"confidence. {instead}"
    )
