"""Promises that hold: the cheapest of some plans of which samples show that it loses at most so much.

The call is::

    promise(order_on, calibrate_on, candidates, costs, max_loss, confidence, kind) -> (the plan with its promise, which)

with `order_on` and `calibrate_on` the `Routes` of two splits without a sample in common. Candidates are put in an order
by the first, surest to least sure, each cheaper than the one before, and tested in it on the second until one fails
(fixed-sequence testing: "Learn then Test", arXiv 2110.01052), each by the betting bound (`exits.betting`). Whatever the
plans and the order, a plan that loses more is promised in a share 1 - `confidence` of all draws at most.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy.typing as npt

from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.artifacts.promise import PromiseKind


@dataclass(frozen=True)
class Routes:
    """One split's predictions: by the plain route (fp32, no codec), and by the routes of plans that lose on the way."""

    plain: Predictions
    others: tuple[Predictions, ...] = ()


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

    `costs` has one for each candidate, in any unit, measured on anything but the calibration split's labels. Raises
    InputError where none is shown, with how many samples would do.
    """
    raise NotImplementedError
