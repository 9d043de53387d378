"""What a network takes: images, text, or values; one of three documents, alike in what the rest asks of them.

Each has a `kind`, the `name` of its tensor on the wire, the `shape` of one sample of the network's input, which is
float32 whatever the kind, the `forms` (datatypes) in which an edge takes a batch and the `codecs` in which it crosses
to the next node, `check` for a batch as the network takes it, and `noise`.
"""

from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Discriminator, Tag

from offramp.artifacts.preprocessing import Preprocessing
from offramp.artifacts.text import Text
from offramp.artifacts.values import Values

TOKENIZER = "tokenizer.json"  # its file's name, in a bundle and in a checkpoint


def _kind_of(value: Any) -> str:
    """That of an image is not written: such documents were before there were others."""
    found = value.get("kind", "images") if isinstance(value, dict) else getattr(value, "kind", "images")
    return str(found)


Input = Annotated[
    Annotated[Preprocessing, Tag("images")] | Annotated[Values, Tag("values")] | Annotated[Text, Tag("text")],
    Discriminator(_kind_of),
]


def read_samples(takes: Input, samples: npt.NDArray[Any], tokenizer: bytes | None = None) -> npt.NDArray[np.float32]:
    """Samples as a data set holds them, as the network takes them: float32 `(N, *shape)`.

    These are uint8 images `(N, H, W, C)` of the network's size, float32 values, or strings `(N,)` (objects), which the
    `tokenizer`'s file makes ids of. InputError says what does not fit.
    """
    if isinstance(takes, Preprocessing):
        return takes.from_uint8(samples)
    if isinstance(takes, Text) and samples.dtype == np.object_:
        return takes.tokenized(samples, tokenizer)
    return takes.check(samples)
