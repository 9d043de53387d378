"""A threshold for each exit at once: for a range of prices of a lost answer, the plans that cost least with it.

Takes what each exit costs and loses of each sample, and gives thresholds. Knows nothing of links.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from offramp.artifacts.manifest import Manifest
from offramp.artifacts.predictions import Predictions
from offramp.exits.answers import Judged
from offramp.exits.posterior import expected_losses
from offramp.exits.score import Floats
from offramp.plan.table import Bools

CAUTION = 0.15  # of candidates for a promise; about z / 2√(n·variance): what a change of variance does to its bound
SWEEPS = 8  # over the exits, each time moving one threshold after another to the best place there is
STRETCHES = (0.8, 0.9, 0.95, 1.05, 1.1, 1.25)  # of all thresholds of a plan together, for plans between two prices


@dataclass(frozen=True)
class Leaves:
    """What it costs to let `N` samples leave at each of `E` local exits, and what is lost by it."""

    scores: Floats  # (E, N)
    losses: Floats  # (E, N): how much worse an answer there is than the last exit's, in [-1, 1]; an estimate will do
    costs: Floats  # (E,): of a sample that leaves there, in any unit, without heads
    heads: Floats  # (E,): of each head, which every sample pays that comes to it
    end: float  # the cost of a sample that leaves at none, without their heads

    @classmethod
    def of(cls, predictions: Predictions, manifest: Manifest, score: str, caution: float = 0.0) -> Self:
        """Multiply-adds as costs, and losses as `exits.posterior` expects them."""
        local = predictions.header.exits[:-1]
        scores = [Judged.of(predictions.at(exit_), score).scores for exit_ in local]
        heads = {head.exit: head.macs for head in manifest.heads}
        until = [manifest.macs(exit_) - heads[exit_] for exit_ in local]
        return cls(
            np.reshape(scores, (len(local), len(predictions))),
            expected_losses(predictions, caution),
            np.array(until, np.float64),
            np.array([heads[exit_] for exit_ in local], np.float64),
            float(manifest.macs(manifest.last)),
        )

    @cached_property
    def order(self) -> npt.NDArray[np.intp]:
        """Samples from the surest on, at each exit."""
        return np.argsort(self.scores, axis=1, kind="stable")

    @cached_property
    def tied(self) -> list[Bools | None]:
        """Of each exit's samples in that order, which have the score of the next one; None where none has."""
        rising = np.take_along_axis(self.scores, self.order, axis=1)
        same = [np.append(row[1:] == row[:-1], False) for row in rising]
        return [one if one.any() else None for one in same]

    def mean(self, thresholds: Floats) -> tuple[float, float]:
        """Mean cost and loss by a plan; a threshold of 0 is an exit that is not active."""
        cost, loss = self.left(thresholds)
        return float(cost.mean()), float(loss.mean())

    def left(self, thresholds: Floats) -> tuple[Floats, Floats]:
        """Cost and loss of each sample `(N,)` by a plan."""
        cost, loss = np.full(self.scores.shape[1], self.end), np.zeros(self.scores.shape[1])
        for k in reversed(np.flatnonzero(thresholds > 0)):
            here = self.scores[k] < thresholds[k]
            cost, loss = np.where(here, self.costs[k], cost) + self.heads[k], np.where(here, self.losses[k], loss)
        return cost, loss


class Descent:
    """Coordinate descent at one price. What a sweep makes of thresholds is kept: many starts come to the same ones."""

    def __init__(self, leaves: Leaves, price: float) -> None:
        self.leaves = leaves
        self.here = leaves.costs[:, None] + price * leaves.losses  # (E, N): cost + price x loss of leaving there
        self.swept: dict[bytes, tuple[Floats, float]] = {}

    def best(self, thresholds: Floats) -> Floats:
        """Thresholds from which moving any one alone raises cost + price x loss, found from some."""
        found, least = thresholds, np.inf
        for _ in range(SWEEPS):
            key = found.tobytes()
            if key not in self.swept:
                self.swept[key] = self._sweep(found)
            found, total = self.swept[key]
            if total > least - 1e-12 * abs(least):
                break
            least = total
        return found

    def _sweep(self, before: Floats) -> tuple[Floats, float]:
        """Move each threshold once, from the last exit to the first; gives the sum that is left as well."""
        scores, heads, thresholds = self.leaves.scores, self.leaves.heads, before.copy()
        reached = [np.ones(scores.shape[1], np.bool_)]
        for k, threshold in enumerate(thresholds[:-1]):
            reached.append(reached[-1] & (scores[k] >= threshold) if threshold > 0 else reached[-1])
        ahead = np.full(scores.shape[1], self.leaves.end)  # cost + price x loss behind exit k
        for k in reversed(range(len(thresholds))):
            here = self.here[k]
            thresholds[k] = self._place(k, reached[k], ahead - here)
            if thresholds[k] > 0:
                ahead = np.where(scores[k] < thresholds[k], here, ahead) + heads[k]
        return thresholds, float(ahead.sum())

    def _place(self, k: int, reached: Bools, saved: Floats) -> float:
        """The threshold that saves most, `saved` by each sample that comes and leaves; 0 where a head costs more."""
        order = self.leaves.order[k]
        gain = np.where(reached, saved, 0.0)[order].cumsum()
        if (tied := self.leaves.tied[k]) is not None:
            gain[tied] = -np.inf
        last = int(gain.argmax())
        if gain[last] <= self.leaves.heads[k] * np.count_nonzero(reached):
            return 0.0
        behind, scores = order[last + 1 :], self.leaves.scores[k]
        if not len(behind) or not reached[behind[step := int(reached[behind].argmax())]]:
            return 1.0
        return float((scores[order[last]] + scores[behind[step]]) / 2)


def plans(leaves: Leaves, prices: Floats, starts: int = 8, seed: int = 0) -> list[Floats]:
    """Thresholds `(E,)` of plans for each price, from the lowest on, and some between them; equal ones once."""
    found: dict[bytes, Floats] = {}
    for one in _searched(leaves, prices, starts, np.random.default_rng(seed)):
        found.setdefault(one.tobytes(), one)
    return list(found.values())


def _searched(leaves: Leaves, prices: Floats, starts: int, rng: np.random.Generator) -> Iterator[Floats]:
    exits, known = len(leaves.heads), dict[bytes, tuple[float, float]]()
    before: list[Floats] = []
    for price in prices:
        some = [np.where(rng.random(exits) < 0.6, rng.random(exits), 0.0) for _ in range(starts)]
        descent = Descent(leaves, price)
        tried = [descent.best(start) for start in [np.full(exits, 0.3), *some, *before]]
        for one in tried:
            if one.tobytes() not in known:
                known[one.tobytes()] = leaves.mean(one)
        totals = [cost + price * loss for cost, loss in (known[one.tobytes()] for one in tried)]
        before = [tried[int(np.argmin(totals))]]
        yield from tried
        for stretch in STRETCHES:
            yield np.minimum(before[0] * stretch, 1.0)
