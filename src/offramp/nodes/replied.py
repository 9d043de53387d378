"""Logits and answers as another node sends them: held to what they must be before anybody uses them."""

from collections.abc import Collection
from dataclasses import fields

import numpy as np

from offramp.errors import LinkError
from offramp.exits.answers import Answers, tier_name
from offramp.protocol.datatypes import NAMES
from offramp.protocol.served import Array


def check_logits(peer: str, name: str, logits: Array | None, rows: int, classes: int | None = None) -> Array:
    """Give logits `(rows, classes)` back; LinkError, which names the peer, where they are not that, or not finite.

    Without `classes` any number of them will do. A NaN would be the first class to whoever asks for the largest.
    """
    shape = f"({rows}, {'C' if classes is None else classes})"
    if logits is None:
        raise LinkError(f"{peer}: expected {name} of shape {shape}, got nothing.")
    if logits.dtype != np.float32:
        raise LinkError(f"{peer}: expected {name} as FP32, got {NAMES[logits.dtype]}.")
    if logits.ndim != 2 or len(logits) != rows or logits.shape[1] != (classes or logits.shape[1]):
        raise LinkError(f"{peer}: expected {name} of shape {shape}, got shape {logits.shape}.")
    if not (finite := np.isfinite(logits)).all():
        bad = int(np.flatnonzero(~finite.all(axis=1))[0])
        raise LinkError(f"{peer}: {name} holds NaN or infinity, first in row {bad} of {rows}. Look at its log.")
    return logits


DTYPES_OF_ANSWERS = {
    "probabilities": np.float32, "label": np.int64, "exit": np.int64, "score": np.float32, "tier": np.int8,
    "degraded": np.bool_, "dropped": np.bool_,
}  # fmt: skip


def check_answers(
    peer: str, answers: Answers, rows: int, classes: int, exits: Collection[int], tiers: Collection[str]
) -> Answers:
    """Give answers to so many rows back; LinkError, which names the peer, where they are not that.

    They are made at one of these exits, by one of these tiers.
    """
    for field in fields(Answers):
        array, shape = getattr(answers, field.name), (rows, classes) if field.name == "probabilities" else (rows,)
        if array.dtype != DTYPES_OF_ANSWERS[field.name] or array.shape != shape:
            raise LinkError(
                f"{peer}: expected {field.name} as {NAMES.get(np.dtype(DTYPES_OF_ANSWERS[field.name]), 'BYTES')} of "
                f"shape {shape}, got {NAMES.get(array.dtype, array.dtype)} of shape {array.shape}."
            )
    if not (np.isfinite(answers.probabilities).all() and np.isfinite(answers.score).all()):
        raise LinkError(f"{peer}: its answers hold NaN or infinity. Look at its log.")
    if not 0 <= answers.label.min(initial=0) <= answers.label.max(initial=0) < classes:
        raise LinkError(f"{peer}: its labels go beyond the {classes} classes of the network.")
    if unknown := {int(exit_) for exit_ in answers.exit} - set(exits):
        raise LinkError(f"{peer}: answered at exit {min(unknown)}, which is none behind the cut.")
    if others := {tier_name(int(tier)) for tier in np.unique(answers.tier)} - set(tiers):
        raise LinkError(f"{peer}: answered by tier {min(others)!r}, and behind this one there are {', '.join(tiers)}.")
    return answers
