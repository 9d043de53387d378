"""Triton's classification extension: an output as the top of its classes, `VALUE:INDEX:LABEL` each, the largest first.

Takes and gives tensors. Knows nothing of what the values mean: of `probabilities`, the largest is the likeliest.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from offramp.errors import InputError
from offramp.protocol.served import Array, TensorSpec

PARAMETER = "classification"  # of an output asked for: how many classes


def classes_asked(name: str, parameters: Mapping[str, Any]) -> int:
    """How many of its classes an output is asked for as; 0: as it is."""
    count = parameters.get(PARAMETER)
    if count is None:
        return 0
    if type(count) is not int or count < 1:
        raise InputError(f"output {name!r}: classification: expected how many classes, from 1, got {count!r}.")
    return count


def has_classes(spec: TensorSpec) -> bool:
    """Whether an output is numbers, several for each sample."""
    return len(spec.shape) > 1 and spec.datatype not in ("BYTES", "BOOL")


def top_classes(values: Array, count: int, labels: Sequence[str] = ()) -> Array:
    """The largest `count` of each row of `(N, ...)` as BYTES `(N, count)`; of less there are, all. Ties: in order.

    A value is written as Triton writes it, with six decimals; without labels an element is `VALUE:INDEX`.
    """
    rows = values.reshape(len(values), -1)
    # The last of what is sorted backwards: the smallest index stands first among equals, as argmax has it.
    order = rows.shape[1] - 1 - np.argsort(rows[:, ::-1], axis=1, kind="stable")[:, : -count - 1 : -1]
    form = "{:.6f}" if rows.dtype.kind == "f" else "{}"
    named = [f":{number}:{label}" for number, label in enumerate(labels)] or [f":{n}" for n in range(rows.shape[1])]
    top = np.empty(order.shape, np.object_)
    for row, column in np.ndindex(order.shape):
        index = order[row, column]
        top[row, column] = (form.format(rows[row, index]) + named[index]).encode()
    return top
