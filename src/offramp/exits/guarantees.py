"""Promises that hold: the cheapest of some plans of which samples show that it loses at most so much.

The call is::

    promise(order_on, calibrate_on, candidates, costs, max_loss, confidence, kind) -> (the plan with its promise, which)

with `order_on` and `calibrate_on` the `Routes` of two splits without a sample in common. Candidates are put in an order
by the first, surest to least sure, each cheaper than the one before, and tested in it on the second until one fails
(fixed-sequence testing: "Learn then Test", arXiv 2110.01052), each by an exact test (`exits.paired`). Whatever the
plans and the order, a plan that loses more is promised in a share 1 - `confidence` of all draws at most.

A chain holds longest where each plan sends nearly the samples that the one before does: a plan (`aimed`) whose
thresholds are stretched (`stretched`). Of plans that differ, each would bring its own luck, and the first without ends.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from offramp.artifacts.plan import Plan
from offramp.artifacts.promise import Promise, PromiseKind
from offramp.errors import InputError
from offramp.exits.gaps import Gaps, Moments, gaps, moments
from offramp.exits.paired import certified, check_asked, enough, surety
from offramp.exits.routes import Routes, check_apart, digest
from offramp.exits.score import Floats

__all__ = ["Moments", "Routes", "aimed", "certified", "digest", "enough", "gaps", "moments", "ordered", "promise",
           "stretched"]  # fmt: skip

CHAIN = 200  # candidates tested at most: cheaper in even steps
LEAST = -2.0  # standard errors below what is allowed: how far the chain goes on, should luck allow it
STRETCHES = np.geomspace(0.1, 2.5, CHAIN)  # of all thresholds of a plan together


def ordered(expect: Moments, costs: Floats, samples: int, max_loss: float) -> npt.NDArray[np.intp]:
    """The chain of candidates to test, positions from the surest to the cheapest, each cheaper than the one before.

    `expect` and `costs` are of an ordering split; `samples` there will be to calibrate on.
    """
    sure = surety(expect.loss, expect.variance, expect.taken * samples, max_loss)
    walk = np.lexsort((costs, -sure))
    cheapest = np.minimum.accumulate(costs[walk])
    chain: npt.NDArray[np.intp] = walk[(sure[walk] > LEAST) & np.append(True, cheapest[1:] < cheapest[:-1])]
    if not (sure > 0).any():
        return chain[:0]
    if len(chain) > CHAIN:
        steps = np.linspace(costs[chain[0]], costs[chain[-1]], CHAIN)
        chain = chain[np.unique(np.searchsorted(-costs[chain], -steps))]
    return chain


def aimed(expect: Moments, costs: Floats, samples: int, max_loss: float, delta: float) -> int:
    """The position of the plan to stretch: the cheapest that is expected to be shown in half of all draws.

    The surest where none is. `expect` and `costs` are of an ordering split.
    """
    sure = surety(expect.loss, expect.variance, expect.taken * samples, max_loss)
    likely = np.flatnonzero(sure >= min(float(ndtri(1 - delta)), sure.max()))
    return int(likely[costs[likely].argmin()])


def stretched(thresholds: npt.ArrayLike) -> Floats:
    """Thresholds `(exits,)` from strict to lax `(plans, exits)`: a chain of plans, each sending on fewer samples."""
    found: Floats = np.minimum(np.outer(STRETCHES, np.asarray(thresholds, np.float64)), 1.0)
    return found


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
    of = Gaps(calibrate_on, kind)
    found = np.array([of.of(candidates[position]) for position in chain]).reshape(len(chain), count)
    shown = certified(found, max_loss, delta, gains=kind != "agreement")
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
        source=route.source,
        route=route.route,
        runtime=route.runtime,
        precision=route.precision,
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
