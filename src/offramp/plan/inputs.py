"""Predictions that a plan may be chosen on: of one bundle, of one kind, told apart by split and route.

Takes predictions by the name of their file. The test split is for reporting alone: nothing is chosen on it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from offramp.artifacts.manifest import Manifest
from offramp.artifacts.predictions import Predictions
from offramp.errors import InputError
from offramp.plan.table import Crossing

CHOOSING = ("validation", "calibration")  # splits that a network has learnt nothing from, and that may be looked at


@dataclass(frozen=True)
class Samples:
    """One split's predictions: of the graph in one piece, and of its last exit by each lossy crossing measured."""

    plain: Predictions
    others: tuple[Predictions, ...] = ()

    @property
    def split(self) -> str:
        """Its name."""
        return self.plain.header.split

    def by(self, crossing: Crossing) -> Predictions | None:
        """Those of a lossy crossing; None where it was not measured."""
        single = [one for one in self.others if not one.header.behind]
        return next((one for one in single if (one.header.cut, one.header.codec) == crossing[:2]), None)

    def halves(self) -> tuple[Self, Self]:
        """Every other sample, and the rest: two parts without a sample in common."""
        parts = [slice(0, None, 2), slice(1, None, 2)]
        first, second = (
            type(self)(self.plain.rows(part), tuple(one.rows(part) for one in self.others)) for part in parts
        )
        return first, second

    def beside(self, other: Predictions) -> Self:
        """The same with the predictions of one more crossing."""
        return type(self)(self.plain, (*self.others, other))


def lossless(predictions: Predictions) -> bool:
    """Whether they stand for every plan that sends fp32 features, or the 8-bit image."""
    return predictions.header.active is None and predictions.header.codec == "fp32"


def sort_out(
    files: Mapping[str, Predictions], manifest: Manifest, *, reporting: bool = False, chains: bool = False
) -> dict[str, Samples]:
    """The samples of each split that there is, by its name.

    Raises InputError for predictions of another bundle or of other samples than the rest of their split, for those of
    a split that must not be looked at, where those of the graph in one piece are missing, and for those of a chain
    where no chain is planned.
    """
    found: dict[str, Samples] = {}
    for name, one in sorted(files.items(), key=lambda item: not lossless(item[1])):
        _check(name, one, manifest, reporting=reporting)
        if one.header.behind and not chains:
            raise InputError(
                f"{name}: of a chain ({one.header.route}), and an edge and its cloud are planned. Leave it out, or "
                "plan a chain: --device-profile FILE"
            )
        split = one.header.split
        if lossless(one):
            if split in found:
                raise InputError(f"{name}: of {split}, as another file is. Give one of them.")
            found[split] = Samples(one)
            continue
        if split not in found:
            raise InputError(
                f"{name}: measured by {one.header.route}, and there are no predictions of {split} by the graph in one "
                f"piece, which hold every exit. Measure them: offramp predict BUNDLE --split {split}"
            )
        found[split] = _beside(name, found[split], one)
    return found


def _check(name: str, one: Predictions, manifest: Manifest, *, reporting: bool) -> None:
    header = one.header
    if header.source != f"bundle:{manifest.id}":
        raise InputError(
            f"{name}: predictions of {header.model}, {header.source[:24]}…, and the bundle is {manifest.model}, "
            f"{manifest.id[:16]}…. Measure its own: offramp predict BUNDLE --split {header.split}"
        )
    if reporting and header.split not in ("test", *CHOOSING):
        raise InputError(f"{name}: of the split {header.split}, which the network learnt from. Report on test.")
    if not reporting and header.split not in CHOOSING:
        why = "what is chosen on it is not measured by it" if header.split == "test" else "the network learnt from it"
        raise InputError(
            f"{name}: of the split {header.split}, and {why}. Choose on validation: offramp predict BUNDLE --split "
            "validation. Of test, see what the choice comes to: --report FILE"
        )
    if not len(one):
        raise InputError(f"{name}: no samples. Measure some: offramp predict BUNDLE --split {header.split}")
    if bad := [exit_ for exit_, logits in one.logits.items() if not np.isfinite(logits).all()]:
        raise InputError(f"{name}: logits at exit {bad[0]} are not all finite numbers. Measure them again.")


def _beside(name: str, samples: Samples, other: Predictions) -> Samples:
    """One more crossing of the same samples."""
    plain, header = samples.plain, other.header
    if not (np.array_equal(plain.index, other.index) and np.array_equal(plain.labels, other.labels)):
        raise InputError(
            f"{name}: its samples are not those of the other {header.split} predictions. Measure both on the same data."
        )
    if (header.precision, header.runtime) != (plain.header.precision, plain.header.runtime):
        raise InputError(
            f"{name}: measured with {header.runtime} {header.precision}, and the others with {plain.header.runtime} "
            f"{plain.header.precision}. Measure both alike."
        )
    crossed = [(leg.cut, leg.codec) for leg in header.legs]
    if crossed in [[(leg.cut, leg.codec) for leg in one.header.legs] for one in samples.others]:
        where = " and ".join(f"cut {cut} in {codec}" for cut, codec in crossed)
        raise InputError(f"{name}: the crossing at {where} has been given already.")
    return samples.beside(other)
