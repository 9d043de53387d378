"""Betting against a loss: what samples show of a mean's being at most so much, at any number of samples.

Takes gaps in [-1, 1] and gives evidence as log wealth; knows neither exits nor plans. The wealth is that of Waudby-Smith
and Ramdas, "Estimating means of bounded random variables by betting" (arXiv 2010.09686): 1 is staked on the mean's
being at most `max_loss`; were it above, the wealth could not be expected to grow, and would reach 1/δ with a probability
of at most δ (Ville). Bets follow Voráček and Orabona, "STaR-Bets" (arXiv 2505.22422): what is still needed, over what is
still to come.
"""

import math

import numpy as np
import numpy.typing as npt

from offramp.exits.score import Floats

BLOCKS = 200  # a bet stands for a block of samples: it has to be made before they are seen, no more
MOST = 0.75  # of the wealth may be lost by one sample


def evidence(gaps: npt.NDArray[np.floating], max_loss: float, delta: float) -> Floats:
    """Highest log wealth of each row of gaps `(candidates, N)`, `(candidates,)`; from ln(1/δ) on, the mean is shown.

    A row's samples are drawn independently and in random order. NaN is a sample that takes no part in its row.
    """
    values = np.asarray(gaps)
    target, taken = math.log(1 / delta), ~np.isnan(values)
    left = taken.sum(axis=1)
    seen, total, squares = np.zeros((3, len(values)))
    wealth, highest = np.zeros((2, len(values)))
    for some in np.array_split(np.arange(values.shape[1]), min(BLOCKS, max(values.shape[1], 1))):
        here = taken[:, some]
        gap = np.where(here, values[:, some], 0.0).astype(np.float64)
        variance = (1 + squares) / (seen + 1) - (total / (seen + 1)) ** 2
        needed = np.where(highest < target, target - wealth, 0.0)
        bet = np.minimum(np.sqrt(2 * needed / (np.maximum(left, 1) * variance)), MOST / (1 - max_loss))
        wealth += np.where(here, np.log1p(-bet[:, None] * (gap - max_loss)), 0.0).sum(axis=1)
        np.maximum(highest, wealth, out=highest)
        taken_here = here.sum(axis=1)
        seen, left = seen + taken_here, left - taken_here
        total, squares = total + gap.sum(axis=1), squares + (gap**2).sum(axis=1)
    return highest


def expected(mean: Floats, variance: Floats, samples: npt.ArrayLike, max_loss: float) -> Floats:
    """Log wealth that so many samples would come to at the best constant bet, to the second order; 0 at a loss."""
    room = np.maximum(max_loss - mean, 0.0)
    second = np.maximum(variance + room**2, np.finfo(np.float64).tiny)
    bet = np.minimum(room / second, MOST / (1 - max_loss))
    grown: Floats = np.asarray(samples) * (bet * room - bet**2 * second / 2)
    return grown
