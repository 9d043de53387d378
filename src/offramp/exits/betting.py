"""Betting against a loss: what samples show of a mean's being at most so much.

Takes gaps of 1, 0 and -1 and gives evidence as log wealth; knows neither exits nor plans. The wealth is that of
Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting" (arXiv 2010.09686): 1 is staked on a
mean of at most `max_loss`. Were it above, wealth could not be expected to grow, and would ever reach 1/delta with a
probability of at most delta (Ville). Bets follow Voráček and Orabona, "STaR-Bets" (arXiv 2505.22422): what is still
needed, over what is still to come, and not what was needed at the start.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from offramp.errors import InputError
from offramp.exits.score import Floats

BLOCKS = 200  # a bet stands for a block of samples: it has to be made before they are seen, no more
MOST = 0.75  # of the wealth may be lost by one sample


def evidence(gaps: npt.NDArray[Any], max_loss: float, delta: float) -> Floats:
    """Highest log wealth of each row of gaps `(candidates, N)`, as `(candidates,)`: from ln(1/delta) on, it is shown.

    A gap is 1, 0 or -1, and NaN for a sample that takes no part in its row. A row's samples are drawn independently of
    each other and stand in random order.
    """
    return wealth(tally(gaps), max_loss, delta)


def tally(gaps: npt.NDArray[Any]) -> Floats:
    """How many gaps of each row are 1, 0 and -1 in each block of samples: `(3, blocks, candidates)`."""
    count, samples = gaps.shape
    if not samples:
        return np.zeros((3, 1, count))
    starts = np.unique(np.linspace(0, samples, BLOCKS, endpoint=False).astype(np.intp))
    found = [np.add.reduceat(gaps == value, starts, axis=1, dtype=np.float64).T for value in (1, 0, -1)]
    return np.stack(found)


def wealth(tallies: Floats, max_loss: float, delta: float) -> Floats:
    """What `evidence` gives, from its tallies."""
    lost, even, gained = tallies
    target, taken = math.log(1 / delta), tallies.sum(axis=0)
    seen, total, squares = (np.cumsum(each, axis=0) - each for each in (taken, lost - gained, lost + gained))
    variance = (1 + squares) / (seen + 1) - (total / (seen + 1)) ** 2
    root = np.sqrt(np.maximum(taken.sum(axis=0) - seen, 1) * variance / 2)
    now, highest = np.zeros((2, tallies.shape[2]))
    for block in range(len(taken)):
        bet = np.minimum(np.sqrt(np.maximum(target - now, 0.0)) / root[block], MOST / (1 - max_loss))
        bet[highest >= target] = 0.0
        now += lost[block] * np.log1p(bet * (max_loss - 1))
        now += even[block] * np.log1p(bet * max_loss) + gained[block] * np.log1p(bet * (max_loss + 1))
        np.maximum(highest, now, out=highest)
    return highest


def expected(mean: npt.ArrayLike, variance: npt.ArrayLike, samples: npt.ArrayLike, max_loss: float) -> Floats:
    """Log wealth that so many samples would come to at the best constant bet, to the second order; 0 at a loss."""
    room = np.maximum(max_loss - np.asarray(mean, np.float64), 0.0)
    second = np.maximum(np.asarray(variance) + room**2, np.finfo(np.float64).tiny)
    bet = np.minimum(room / second, MOST / (1 - max_loss))
    grown: Floats = np.asarray(samples) * (bet * room - bet**2 * second / 2)
    return grown


def certified(gaps: npt.NDArray[np.floating[Any]], max_loss: float, delta: float) -> int:
    """How many candidates from the first on are shown to lose at most `max_loss` in the mean; 0 is none.

    `gaps` are `(candidates, N)` of 1, 0 and -1, NaN for a sample that takes no part. The order of candidates was
    fixed on other data, that of samples is random. With a probability of at most `delta` one of them loses more.
    """
    check_asked(max_loss, delta)
    if gaps.ndim != 2 or not (np.isnan(gaps) | np.isin(gaps, (1, 0, -1))).all():
        raise InputError(f"gaps: expected (candidates, N) of 1, 0 and -1, or NaN, got shape {gaps.shape}.")
    shown = evidence(gaps, max_loss, delta) >= math.log(1 / delta)
    return len(shown) if shown.all() else int(shown.argmin())


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
    grows = float(expected(mean, variance, 1, max_loss))
    return None if mean >= max_loss else math.ceil(math.log(1 / delta) / grows)
