"""An audit of answers as they are given: is what a plan was shown to lose still all that it loses?

A share of all samples is drawn before anything is known of them; of these, those that leave at a local exit go on as
well, and the last exit's label is held against the local one's. Takes whether each drawn sample was answered otherwise
than the last exit would have; needs no labels. Pure: knows neither nodes nor how a sample goes on.

The bet: a drawn sample disagrees with probability `rate` at most, as it was promised of the very same mean, over all
samples alike. Wealth is staked on it being more, at several odds, and anew after every so many samples, since a drift
begins at some time. Were the promise kept, the wealth could not be expected to grow, and ever to reach 1/δ from 1 has
a probability of δ at most (Ville 1939; Shafer, "Testing by betting", JRSS A 2021; Waudby-Smith and Ramdas 2023).
"""

import math

import numpy as np
import numpy.typing as npt

from offramp.errors import InputError

ODDS = np.array([1.25, 1.5, 2.0, 3.0, 5.0, 10.0])  # times the promised rate
ANEW = 250  # drawn samples from one stake to the next
STAKES = 64  # that are followed at once; the poorest is given up for a new one, which only loses


class Audit:
    """The wealth of a bet that drawn samples disagree more often than at `rate`, in (0, 1).

    A false alarm ever has a probability of at most `delta`. After an alarm it stays one.
    """

    def __init__(self, rate: float, delta: float = 0.05) -> None:
        for name, value in (("disagreement", rate), ("δ", delta)):
            if not 0 < value < 1:
                raise InputError(f"audit: {name} {value:g}: expected a share above 0 and below 1.")
        self.rate, self.delta = rate, delta
        rates = np.minimum(ODDS * rate, (1 + rate) / 2)
        # Log factors of a sample that disagrees and of one that does not: likelihood ratios against the promised rate.
        self.grow, self.shrink = np.log(rates / rate), np.log((1 - rates) / (1 - rate))
        self.seen = self.disagreed = self.stakes = 0
        self.cash = 1.0  # not staked yet
        self.logs: npt.NDArray[np.float64] = np.empty((0, len(ODDS)))  # log wealth of each stake at each odds
        self.alarmed = False

    @property
    def wealth(self) -> float:
        """What 1 has become."""
        return self.cash + float(np.exp(np.minimum(self.logs, 700.0)).sum())

    def saw(self, disagrees: bool) -> bool:
        """Take in one more drawn sample; whether there is an alarm."""
        if self.seen % ANEW == 0:
            self._stake()
        self.seen += 1
        self.disagreed += disagrees
        self.logs += self.grow if disagrees else self.shrink
        self.alarmed = self.alarmed or self.wealth >= 1 / self.delta
        return self.alarmed

    def said(self) -> str:
        """What was found, in words."""
        return (
            f"{self.disagreed} of {self.seen} samples drawn were answered otherwise than by the last exit, and at most "
            f"{100 * self.rate:.3g} % were promised"
        )

    def _stake(self) -> None:
        """Put 1 / (k (k + 1)) on samples that disagree from here on: together no more than 1, however many follow."""
        self.stakes += 1
        share = 1 / (self.stakes * (self.stakes + 1))
        self.cash = 1 / (self.stakes + 1)
        if len(self.logs) >= STAKES:
            self.logs = np.delete(self.logs, int(self.logs.max(axis=1).argmin()), axis=0)
        self.logs = np.vstack([self.logs, np.full(len(ODDS), math.log(share / len(ODDS)))])
