"""Logits as another node sends them: held to what they must be before anybody judges them."""

import numpy as np

from offramp.errors import LinkError
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
