"""What paired samples show of a loss: an exact test of a mean of gaps of 1, 0 and -1 being at most so much.

Takes how many samples were lost and gained, gives a p-value; knows neither exits nor plans. A loss of `max_loss` and
more leaves one thing open: how many samples change at all. Where it lies is bounded first, at a small share of the
doubt, and the p-value is the greatest that any rate within the bounds gives (Berger and Boos, "P values maximized over
a confidence set for the nuisance parameter", JASA 1994; of paired answers: Hsueh, Liu and Chen, Biometrics 2001).
Tables are ranked by the score statistic (Tango, Statistics in Medicine 1998); the ranking has no say in the validity.
"""

import math
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, betaincinv, gammaln, ndtri, xlog1py, xlogy

from offramp.errors import InputError
from offramp.exits.score import Floats

Counts = npt.NDArray[np.integer[Any]]

BOUNDS = 0.02  # of the doubt is spent on bounding how many samples change
RATES = 24  # that are looked at between the bounds: a third of a standard deviation apart, or less
LEFT_OUT = 1e-6  # the probability of numbers of changed samples that are not looked at; it is added


@lru_cache(maxsize=2**12)  # neighbours of a chain often come to the same
def p_value(lost: int, gained: int, samples: int, max_loss: float, bounds: float) -> float:
    """The probability of gaps that speak as much against a loss of `max_loss` or more, were there such a loss.

    At most: whatever the share of samples that change. `bounds` is the probability that this lies outside of where it
    is looked for, and is in the p-value. Samples are drawn independently.
    """
    here, changed = float(_statistic(lost, gained, samples, max_loss)), lost + gained
    if here <= 0:
        return 1.0
    low = betaincinv(changed, samples - changed + 1, bounds / 2) if changed else 0.0
    high = betaincinv(changed + 1, samples - changed, 1 - bounds / 2) if changed < samples else 1.0
    if high < max_loss:
        return bounds  # so few samples change that no such loss is left
    rates = np.linspace(max(low, max_loss), high, RATES)[:, None]
    # Of as many changed samples more are lost the greater the loss: the worst case is the least that is too much.
    share = np.minimum((rates + max_loss) / (2 * rates), 1.0)
    counts = np.arange(samples + 1)
    counts = counts[(_probability(counts, samples, rates[[0, -1]]) > LEFT_OUT / samples).any(axis=0)]
    counts = np.arange(counts[0], counts[-1] + 1)
    most = _most_lost(here, counts, samples, max_loss)
    seen = np.where(most < 0, 0.0, bdtr(np.maximum(most, 0), counts, share))
    found = (_probability(counts, samples, rates) * seen).sum(axis=1).max()
    return min(float(found) + LEFT_OUT + bounds, 1.0)


def _probability(counts: Counts, samples: int, rates: Floats) -> Floats:
    """Of so many changed samples `(rates, counts)`, by rates `(rates, 1)`."""
    ways = gammaln(samples + 1) - gammaln(counts + 1) - gammaln(samples - counts + 1)
    found: Floats = np.exp(ways + xlogy(counts, rates) + xlog1py(samples - counts, -rates))
    return found


def _statistic(lost: npt.ArrayLike, gained: npt.ArrayLike, samples: int, max_loss: float) -> Floats:
    """By how many standard deviations fewer were lost than by a loss of `max_loss`, as it fits these samples best."""
    up, down = np.asarray(lost, np.float64), np.asarray(gained, np.float64)
    linear = up * (1 - max_loss) + down * (1 - 3 * max_loss) - 2 * (samples - up - down) * max_loss
    square = linear**2 + 8 * samples * down * max_loss * (1 - max_loss)
    gains = (linear + np.sqrt(square)) / (4 * samples)
    found: Floats = (samples * max_loss - up + down) / np.sqrt(samples * (2 * gains + max_loss - max_loss**2))
    return found


def _most_lost(least: float, counts: Counts, samples: int, max_loss: float) -> Counts:
    """Of each number of changed samples, the most lost that still speak as much; -1 where none do. By halving."""
    low, high = np.full_like(counts, -1), counts
    while (low < high).any():
        middle = (low + high + 1) // 2
        speaks = _statistic(middle, counts - middle, samples, max_loss) >= least - 1e-9
        low, high = np.where(speaks, middle, low), np.where(speaks, high, middle - 1)
    return low


def shown(gaps: npt.NDArray[Any], max_loss: float, delta: float, gains: bool = True) -> bool:
    """Whether gaps `(N,)` of 1, 0 and -1, NaN for a sample that takes no part, show a loss of at most `max_loss`.

    With a probability of at most `delta` where the loss is more. Without `gains` no gap can be -1.
    """
    lost, gained, samples = (int(np.sum(which)) for which in (gaps == 1, gaps == -1, ~np.isnan(gaps)))
    if not gains:
        assert not gained
        return bool(bdtr(lost, samples, max_loss) <= delta)
    return samples > 0 and p_value(lost, gained, samples, max_loss, BOUNDS * delta) <= delta


def surety(mean: npt.ArrayLike, variance: npt.ArrayLike, samples: npt.ArrayLike, max_loss: float) -> Floats:
    """By how many standard errors of so many samples a loss is expected to lie below `max_loss`."""
    found: Floats = (max_loss - np.asarray(mean)) * np.sqrt(np.asarray(samples) / np.asarray(variance))
    return found


def certified(gaps: npt.NDArray[np.floating[Any]], max_loss: float, delta: float, gains: bool = True) -> int:
    """How many candidates from the first on are shown to lose at most `max_loss` in the mean; 0 is none.

    `gaps` are `(candidates, N)` of 1, 0 and -1, NaN for a sample that takes no part. The order of candidates was
    fixed on other data. With a probability of at most `delta` one of them loses more.
    """
    check_asked(max_loss, delta)
    if gaps.ndim != 2 or not (np.isnan(gaps) | np.isin(gaps, (1, 0, -1))).all():
        raise InputError(f"gaps: expected (candidates, N) of 1, 0 and -1, or NaN, got shape {gaps.shape}.")
    return next((at for at, one in enumerate(gaps) if not shown(one, max_loss, delta, gains)), len(gaps))


def check_asked(max_loss: float, delta: float) -> None:
    """Raise InputError unless a promise of at most `max_loss` at a confidence of 1 - `delta` can be given at all."""
    if not 0 < max_loss < 1:
        raise InputError(
            f"max loss {max_loss:g}: expected a share above 0 and below 1, such as 0.01. No number of samples shows a "
            "loss of 0: a plan that asks the last exit for every sample has it, and needs no promise."
        )
    if not 0 < delta < 1:
        raise InputError(
            f"confidence {1 - delta:g}: expected a share above 0 and below 1, such as 0.95. No number of samples makes "
            "sure."
        )


def enough(mean: float, variance: float, max_loss: float, delta: float) -> int | None:
    """About how many samples show a loss of at most `max_loss`, were mean and variance of the gaps as given.

    An estimate: about half of all draws of so many show it. None where the mean is not below: then none do.
    """
    if mean >= max_loss:
        return None
    spread = max(variance, max_loss * (1 - max_loss))  # a loss of as much has no less
    return math.ceil(float(ndtri(1 - delta)) ** 2 * spread / (max_loss - mean) ** 2)
