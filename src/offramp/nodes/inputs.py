"""A batch in any of the forms that an edge takes, of whatever kind its network takes, as the network takes it.

Images: `nodes.images`. Text is BYTES `(N,)` of UTF-8, or FP32 `(N, L)` token ids; values are FP32 `(N, …)`.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from offramp.artifacts.inputs import Input
from offramp.artifacts.preprocessing import Preprocessing
from offramp.artifacts.text import Text
from offramp.artifacts.values import Values
from offramp.errors import InputError
from offramp.nodes.images import as_batch, read_images
from offramp.protocol.tensors import objects

STRING = str | bytes | bytearray | memoryview


def read_batch(takes: Input, batch: object, tokenizer: bytes | None = None) -> npt.NDArray[np.float32]:
    """Give a batch as the network takes it; InputError says what is wrong with it.

    `tokenizer` is the file of one, of a network that takes strings.
    """
    if isinstance(takes, Preprocessing):
        return read_images(takes, batch)
    found = as_samples(takes, batch)
    if not isinstance(takes, Text) or found.dtype != np.object_:
        return takes.check(found)
    return takes.tokenized(found, tokenizer)


def as_samples(takes: Input, batch: object) -> npt.NDArray[Any]:
    """A batch as an array that can be sent: numbers as they are, images' files and strings in UTF-8 as objects.

    Raises InputError, which says what to pass in place of anything else.
    """
    if isinstance(takes, Preprocessing):
        return as_batch(batch)
    name, strings = takes.name, "BYTES" in takes.forms
    if isinstance(batch, np.ndarray) and batch.dtype.kind in "SUTO":
        if batch.ndim != 1:
            raise InputError(f"{name}: expected strings of shape (N,), got {batch.shape}.")
        if not len(batch):
            raise InputError(f"{name}: the batch is empty (N = 0). Send at least one sample.")
    several = batch if isinstance(batch, list | tuple | np.ndarray) else ()
    if isinstance(batch, np.ndarray) and batch.dtype.kind not in "SUTO":
        return batch
    if strings and len(several) and all(isinstance(one, STRING) for one in several):
        return objects([_in_utf8(one, row) for row, one in enumerate(several)])
    got = f"one {type(batch).__name__}" if isinstance(batch, STRING) else f"a {type(batch).__name__}"
    instead = "Put it into a list: [text]." if strings and isinstance(batch, STRING) else "Make one array of it."
    also = " or a list of strings" if strings else ""
    of = ", ".join(map(str, takes.shape))
    raise InputError(f"{name}: expected a NumPy array, float32 (N, {of}){also}, got {got}. {instead}")


def by_form(batch: object) -> tuple[str, npt.NDArray[Any]]:
    """The name of the input that a batch is for, by what it is, and the batch as an array that can be sent.

    Strings are text, arrays of any shape but an image's values. For who cannot know better: token ids pass for values.
    """
    if isinstance(batch, list | tuple) and batch and all(isinstance(one, str) for one in batch):
        return Text.name, objects([_in_utf8(one, row) for row, one in enumerate(batch)])
    if isinstance(batch, np.ndarray) and batch.dtype.kind in "fiub" and batch.ndim != 4:
        return Values.name, batch
    return Preprocessing.name, as_batch(batch)


def _in_utf8(one: Any, row: int) -> bytes:
    if not isinstance(one, str):
        return bytes(one)
    try:
        return one.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"text: sample {row}: {one[error.start]!r} at {error.start} is half a character.") from error
