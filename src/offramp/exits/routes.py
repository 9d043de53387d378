"""One split's predictions by every route that plans take, and whether two splits are apart.

Takes tables of predictions; knows neither promises nor costs.
"""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from offramp.artifacts.legs import Leg, legs_of
from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.errors import InputError
from offramp.exits.asked import Answered, Asked
from offramp.exits.evaluation import check_route
from offramp.exits.posterior import posterior
from offramp.exits.score import Floats

ALIKE = 0.01  # of the smaller split's samples may be another's to the bit: a data set has a few that it has twice


@dataclass(frozen=True)
class Routes:
    """One split's predictions: by the plain route (fp32, no codec), and by the routes of plans that lose on the way."""

    plain: Predictions
    others: tuple[Predictions, ...] = ()
    _by: dict[tuple[Leg, ...], int] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        plain = self.plain.header
        if (plain.precision, plain.codec, plain.image) != ("fp32", "fp32", "UINT8"):
            raise InputError(
                f"predictions: what a loss is held against is measured in fp32 of 8-bit pixels, got {plain.precision} "
                f"by {plain.route}, of {plain.image} images. Measure it with: offramp predict BUNDLE --precision fp32"
            )
        for one in (self.plain, *self.others):
            _check_numbers(one)
            if one.header.source != plain.source or one.header.classes != plain.classes:
                raise InputError(
                    f"predictions: of {plain.source} and of {one.header.source}. A plan is held against the last exit "
                    "of its own network: measure both of one bundle."
                )

    @cached_property
    def likely(self) -> Floats:
        """How probable each class is of each sample `(N, classes)`, given all that its exits say."""
        return posterior(self.plain)

    @cached_property
    def asked(self) -> dict[int, tuple[Asked, npt.NDArray[np.intp]]]:
        """Of each predictions' id every exit asked once, and its rows in the order of the plain ones."""
        return {id(one): (Asked(one), paired(self.plain, one)) for one in (self.plain, *self.others)}

    def answers(self, plan: Plan) -> Answered:
        """What a plan answers by its own route, in the order of the plain one."""
        way = legs_of(plan, self.plain.last)
        if way not in self._by:  # a route knows no thresholds, and plans that are compared differ in little else
            self._by[way] = id(self.of(plan))
        asked, rows = self.asked[self._by[way]]
        found = asked.answers(plan)
        return Answered(found.label[rows], found.exit[rows])

    def of(self, plan: Plan) -> Predictions:
        """The predictions of a plan's own route; an InputError where there are none."""
        for one in self.others:
            if one.header.follows(plan):
                return one
        for one in self.others:  # in fp32 the graph in one piece gives the very numbers; below it, its own spans alone
            if one.header.precision == "fp32":
                try:
                    check_route(one, plan)
                except InputError:
                    continue
                return one
        check_route(self.plain, plan)
        return self.plain


def _check_numbers(predictions: Predictions) -> None:
    if not len(predictions):
        raise InputError("predictions: of no samples. Measure a split that has some with: offramp predict --split")
    for exit_, logits in predictions.logits.items():
        if not (finite := np.isfinite(logits).all(axis=1)).all():
            raise InputError(
                f"predictions: logits at exit {exit_} of sample {predictions.index[finite.argmin()]} are not finite. "
                "Look for what is wrong with the image or the network, and measure again."
            )
    values, counts = np.unique(predictions.index, return_counts=True)
    if (counts > 1).any():
        raise InputError(
            f"predictions: sample {values[counts.argmax()]} is there {counts.max()} times, expected once. Samples that "
            "are counted twice show nothing twice: leave the others out."
        )


def paired(plain: Predictions, other: Predictions) -> npt.NDArray[np.intp]:
    """Rows of `other` in the order of the samples of `plain`; an InputError where they are not of the same samples."""
    ours, theirs = np.argsort(plain.index), np.argsort(other.index)
    same = np.array_equal(plain.index[ours], other.index[theirs])
    if not same or not np.array_equal(plain.labels[ours], other.labels[theirs]):
        raise InputError(
            f"predictions: {len(plain)} samples of {plain.header.data} ({plain.header.split}) by one route and "
            f"{len(other)} of {other.header.data} ({other.header.split}) by another, and they are not the same. "
            "Measure both on one split."
        )
    rows = np.empty(len(plain), np.intp)
    rows[ours] = theirs
    return rows


def check_apart(order_on: Routes, calibrate_on: Routes) -> None:
    """Raise InputError where two splits share samples: what chose an order of plans shows nothing of one of them."""
    one, other = order_on.plain, calibrate_on.plain
    if one.header.source != other.header.source:
        raise InputError(
            f"predictions: ordered on those of {one.header.source} and calibrated on those of {other.header.source}. "
            "Measure both splits of one bundle."
        )
    _, ours, theirs = np.intersect1d(_contents(one), _contents(other), return_indices=True)
    renamed = len(ours) > ALIKE * min(len(one), len(other))
    shared = one.index[ours] == other.index[theirs]
    if shared.any() or renamed:
        count = len(ours) if renamed else int(shared.sum())
        raise InputError(
            f"predictions: {count} of the {len(other)} samples to calibrate on are among the {len(one)} that put plans "
            "in order. Give two splits without a sample in common, such as validation and calibration."
        )


def _contents(predictions: Predictions) -> npt.NDArray[np.void]:
    """What tells a sample whatever its number: its label and its logits at the last exit."""
    logits = np.ascontiguousarray(predictions.at(predictions.last), np.float32)
    rows = np.concatenate([predictions.labels[:, None].view(np.float32), logits], axis=1)
    return np.ascontiguousarray(rows).view(np.dtype((np.void, rows.shape[1] * rows.itemsize)))[:, 0]


def digest(predictions: Predictions) -> str:
    """sha256 of the samples' indices and labels, in the order of the index, as little-endian 64-bit integers."""
    order = np.argsort(predictions.index, kind="stable")
    pairs = np.stack([predictions.index[order], predictions.labels[order]], axis=1)
    return hashlib.sha256(pairs.astype("<i8").tobytes()).hexdigest()
