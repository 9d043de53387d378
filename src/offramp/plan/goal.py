"""What is wanted of a plan: what to make least, within which bounds. Knows figures alone, not how they came about."""

from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt

from offramp.errors import InputError
from offramp.exits.score import Floats
from offramp.plan.pricing import Columns

Minimised = Literal["latency", "p95", "bytes", "cloud", "macs", "loss"]
MINIMISED: tuple[Minimised, ...] = get_args(Minimised)
COSTS: dict[Minimised, str] = {"latency": "mean", "p95": "p95", "bytes": "up", "cloud": "cloud", "macs": "macs"}
LOOKED_AT = 6000  # of a ranking: of 256 thresholds each, 23 sets of exits at least
EQUAL = 1e-9  # relative: figures that differ by less are the same sum in another order


class Measured(Protocol):
    """Figures of a plan, or columns of several, of however many tiers: what a goal looks at."""

    @property
    def accuracy(self) -> float | Floats:
        """Share that is right."""

    @property
    def mean(self) -> float | Floats:
        """Seconds."""

    @property
    def p95(self) -> float | Floats:
        """Seconds."""

    @property
    def up(self) -> float | Floats:
        """Bytes."""

    @property
    def cloud(self) -> float | Floats:
        """Seconds."""

    @property
    def macs(self) -> float | Floats:
        """Multiply-adds."""


@dataclass(frozen=True)
class Goal:
    """Make one figure least, within bounds; None is no bound. A `loss` to make least is accuracy to make most."""

    minimise: Minimised = "latency"
    accuracy: float | None = None  # at least
    deadline: float | None = None  # seconds, within which 95 % of the samples are answered
    up: float | None = None  # bytes to the cloud, a sample
    cloud: float | None = None  # seconds of the cloud's, a sample

    def __post_init__(self) -> None:
        if self.minimise not in MINIMISED:
            raise InputError(f"minimise {self.minimise!r}: unknown. Choose one of {', '.join(MINIMISED)}.")
        for name, bound in (("deadline", self.deadline), ("bytes", self.up), ("cloud", self.cloud)):
            if bound is not None and not 0 <= bound < np.inf:
                raise InputError(f"{name} {bound:g}: expected a number that is not negative.")

    def cost(self, figures: Measured) -> Floats:
        """What is to be least."""
        value = -np.asarray(figures.accuracy) if self.minimise == "loss" else getattr(figures, COSTS[self.minimise])
        return np.asarray(value, np.float64)

    def missed(self, figures: Measured) -> Floats:
        """By how much the bound that is missed most is, as a share of it (of 1, for accuracy); 0 where all are met."""
        over = np.zeros(np.shape(figures.accuracy))
        if self.accuracy is not None:
            over = np.maximum(over, self.accuracy - np.asarray(figures.accuracy))
        for bound, value in ((self.deadline, figures.p95), (self.up, figures.up), (self.cloud, figures.cloud)):
            if bound is not None:
                over = np.maximum(over, (np.asarray(value) - bound) / max(bound, 1e-12))
        return np.where(over > EQUAL, over, 0.0)

    def ranked(self, figures: Columns) -> npt.NDArray[np.intp]:
        """Places of the best few thousand: by bounds missed, what is to be least, accuracy, latency and bytes."""
        missed, cost = np.round(self.missed(figures), 12), np.round(self.cost(figures), 12)
        # Of hundreds of thousands only the first few thousand, with all that are as good as the last of them, are put
        # in order: nobody looks further.
        within, outside = np.flatnonzero(missed == 0), np.flatnonzero(missed)
        places = np.concatenate((_first(cost, within), _first(missed, outside)))
        of = (figures.up[places], figures.mean[places], figures.accuracy[places])
        return places[in_order(*of, cost[places], missed[places])]

    def met(self, figures: Measured) -> bool:
        """Whether one plan's figures are within the bounds."""
        return not self.missed(figures)


def in_order(up: Floats, mean: Floats, accuracy: Floats, cost: Floats, missed: Floats) -> npt.NDArray[np.intp]:
    """Places, the best first: by bounds missed, what is to be least, accuracy, latency and bytes."""
    return np.lexsort([np.round(key, 12) for key in (up, mean, -accuracy, cost, missed)])


def _first(values: Floats, places: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Of some places those of the lowest values, and of all that are equal to the last of them."""
    if len(places) <= LOOKED_AT:
        return places
    of = values[places]
    kept: npt.NDArray[np.intp] = places[of <= np.partition(of, LOOKED_AT)[LOOKED_AT]]
    return kept


def front(cost: Floats, accuracy: Floats) -> npt.NDArray[np.intp]:
    """Places that no other beats in both, from the cheapest to the most accurate."""
    cost, accuracy = np.round(cost, 12), np.round(accuracy, 12)
    order = np.lexsort((-accuracy, cost))
    before = np.concatenate(([-np.inf], np.maximum.accumulate(accuracy[order])[:-1]))
    return order[accuracy[order] > before]


def points(share: float) -> str:
    """A share as points of accuracy.

    >>> points(0.01), points(0.025)
    ('1 point', '2.5 points')
    """
    said = f"{100 * share:.3g}"
    return f"{said} point{'' if said == '1' else 's'}"
