"""Answers: what a batch gets back, a row a sample in the caller's order.

The running nodes and the offline evaluation both give `Answers`, so "the same" is a comparison of two of them.
"""

from dataclasses import dataclass, fields
from enum import IntEnum
from functools import lru_cache
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from offramp.artifacts.outcome import LAST_TIER
from offramp.errors import InputError
from offramp.exits.score import PATIENCE, Floats, patience, score, softmax


class Tier(IntEnum):
    """Where an answer was made. A longer chain has tiers by names of its own: see `tier_number`."""

    DEVICE = 0
    EDGE = 1
    CLOUD = 2


MOST_TIERS = 127  # numbers of 8 bits
_names = [tier.name.lower() for tier in Tier]  # by number; those of longer chains as they are met


def tier_number(name: str) -> int:
    """Give the number by which `Answers` tell a tier: a `Tier`, or in this process one above, always the same."""
    if name not in _names:
        if len(_names) > MOST_TIERS:
            raise InputError(f"tier {name!r}: {MOST_TIERS} names of tiers are known already, the most there can be.")
        _names.append(name)
    return _names.index(name)


def tier_name(number: int) -> str:
    """Give the name of a tier, as it stands on the wire."""
    return _names[number]


def tier_names() -> tuple[str, ...]:
    """Give the names of all tiers that this process has met; the cloud, where every chain ends, is the last."""
    return *(name for name in _names if name != LAST_TIER), LAST_TIER


@dataclass(frozen=True)
class Answers:
    """One answer a row. All arrays have the same length N."""

    probabilities: npt.NDArray[np.float32]  # (N, classes)
    label: npt.NDArray[np.int64]  # the class with the highest probability
    exit: npt.NDArray[np.int64]  # the exit that answered
    score: npt.NDArray[np.float32]  # how unsure that exit was
    tier: npt.NDArray[np.int8]  # a Tier, or a number of `tier_number`
    degraded: npt.NDArray[np.bool_]  # answered here only because the next tier could not
    dropped: npt.NDArray[np.bool_]  # answered here because it was too unsure to be worth the next tier

    def __len__(self) -> int:
        return len(self.label)

    def rows(self, index: npt.NDArray[np.intp] | npt.NDArray[np.bool_] | slice) -> Self:
        """Some of the rows, in the order of `index`."""
        return type(self)(*(getattr(self, field.name)[index] for field in fields(self)))


class Judged(NamedTuple):
    """What an exit says of a batch, in double precision, before anybody decides."""

    probabilities: Floats
    scores: Floats

    @classmethod
    def of(cls, logits: npt.ArrayLike, score_name: str = "entropy", before: Self | None = None) -> Self:
        """Softmax and score logits `(N, classes)`; `before` is what the tier's active exit before said of these rows.

        Only patience asks for it: behind no exit, and at each tier's first, it starts anew.
        """
        probabilities = softmax(logits)
        if before is not None and score_name == PATIENCE:
            return cls(probabilities, patience(probabilities, before.probabilities, before.scores))
        return cls(probabilities, score(probabilities, score_name))

    def at(self, rows: npt.NDArray[np.intp]) -> Self:
        """The same of some of the rows."""
        return type(self)(self.probabilities[rows], self.scores[rows])

    def answers(
        self,
        exit_: int,
        tier: int,
        rows: npt.NDArray[np.intp] | None = None,
        *,
        dropped: bool = False,
        degraded: bool = False,
    ) -> Answers:
        """Answer for these of the rows at this exit, or for all."""
        probabilities, scores = self if rows is None else self.at(rows)
        exits, tiers, all_degraded, all_dropped = _alike(exit_, tier, degraded, dropped, len(scores))
        return Answers(
            probabilities.astype(np.float32),
            probabilities.argmax(axis=1),
            exits,
            scores.astype(np.float32),
            tiers,
            all_degraded,
            all_dropped,
        )


@lru_cache(maxsize=1024)
def _alike(exit_: int, tier: int, degraded: bool, dropped: bool, count: int) -> tuple[npt.NDArray[Any], ...]:
    """What is the same in every row, not to be written to: the answers to most batches share theirs."""
    values = (exit_, np.int64), (tier, np.int8), (degraded, np.bool_), (dropped, np.bool_)
    arrays = tuple(np.full(count, value, dtype) for value, dtype in values)
    for array in arrays:
        array.setflags(write=False)
    return arrays


def merge(parts: list[tuple[npt.NDArray[np.intp], Answers]], count: int) -> Answers:
    """Put answers that were made in parts back into the caller's order; `rows` of all parts together are 0..count-1."""
    order = np.concatenate([rows for rows, _ in parts])
    back = np.empty(count, np.intp)
    back[order] = np.arange(count)
    return Answers(
        *(np.concatenate([getattr(part, field.name) for _, part in parts])[back] for field in fields(Answers))
    )
