"""Text as a network takes it: token ids of a fixed length, which a tokenizer in the bundle makes of strings.

The tokenizer is a file that `tokenizers` reads (`tokenizer.json`), whoever trained it. Its own truncation and padding
do not count: the network's length does.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from offramp.artifacts.codec import Codec
from offramp.artifacts.document import Frozen
from offramp.artifacts.values import checked_batch
from offramp.errors import InputError, MissingExtraError

LARGEST_ID = 1 << 24  # fp32 holds every whole number up to this
LONGEST = 1 << 20  # characters, or bytes, of a text: all of it is read before it is cut off


class Text(Frozen):
    """Token ids as float32 `(N, length)`, what is shorter filled up with `pad`; or strings, where there is a tokenizer.

    Ids are below `vocabulary`. `tokenizer` says whether one lies beside the document; without one, ids alone are taken.
    """

    name: ClassVar[str] = "text"  # on the wire
    noun: ClassVar[str] = "text"  # in messages
    codecs: ClassVar[tuple[Codec, ...]] = ("fp32",)  # in which ids cross from one node to another: exactly

    kind: Literal["text"] = "text"
    length: PositiveInt
    vocabulary: int = Field(gt=1, le=LARGEST_ID)
    pad: NonNegativeInt = 0
    pad_left: bool = Field(default=False, exclude_if=lambda left: not left)
    tokenizer: bool = True

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.pad >= self.vocabulary:
            raise ValueError(f"pad {self.pad}: not below the vocabulary's {self.vocabulary}")
        return self

    @property
    def shape(self) -> tuple[int]:
        """`(L,)`: one sample of the network's input."""
        return (self.length,)

    @property
    def forms(self) -> dict[str, str]:
        """The datatypes in which an edge takes a batch, and what each is."""
        ids = {"FP32": f"N,{self.length} token ids"}
        return {**ids, "BYTES": "N strings in UTF-8"} if self.tokenizer else ids

    def noise(self, drawn: np.random.Generator, size: int) -> npt.NDArray[np.float32]:
        """A batch that the network takes, of ids as good as any."""
        ids: npt.NDArray[np.float32] = drawn.integers(0, self.vocabulary, (size, self.length)).astype(np.float32)
        ids[:, 0] = (self.pad + 1) % self.vocabulary  # no row of padding alone
        return ids

    def check(self, ids: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        """Give `ids` back if they are a batch that the network takes; raise InputError that says why if not."""
        also = ", or send strings" if self.tokenizer else ""
        found = checked_batch("text", ids, self.shape, f"Convert token ids: ids.astype(numpy.float32){also}.")
        # NaN compares false with everything, and is found by the first.
        wrong = ~((found >= 0) & (found < self.vocabulary) & (found == np.rint(found)))
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise InputError(
                f"text: sample {row} of the batch: {found[row, column]:g} is no token id. Expected whole numbers of 0 "
                f"to {self.vocabulary - 1}."
            )
        if empty := np.flatnonzero((found == self.pad).all(axis=1)).tolist():
            raise InputError(f"text: sample {empty[0]} of the batch holds no token, only padding. Leave it out.")
        return found

    def tokenized(self, texts: Iterable[object], tokenizer: bytes | None) -> npt.NDArray[np.float32]:
        """Make ids `(N, length)` of strings, or their UTF-8, by a tokenizer's file; InputError names the row at fault.

        Raises MissingExtraError where `tokenizers` is not installed.
        """
        if tokenizer is None:
            raise InputError(
                f"text: this network has no tokenizer, and takes token ids alone. Send them as float32 "
                f"(N, {self.length})."
            )
        read = opened_tokenizer(tokenizer, self.length, self.pad, self.pad_left)
        # One after another: a batch's own threads would stand beside those of the network.
        rows = [read.encode(_string(one, row)).ids for row, one in enumerate(texts)]
        return self.check(np.array(rows, np.float32).reshape(-1, self.length))


def _string(one: object, row: int) -> str:
    if not isinstance(one, str | bytes | bytearray | memoryview):
        raise InputError(f"text: sample {row}: expected a string, got {type(one).__name__}. Leave it out.")
    if len(one) > LONGEST:
        raise InputError(
            f"text: sample {row}: {len(one)} long, and at most {LONGEST} is read. Send the beginning of it."
        )
    if isinstance(one, str):
        return one
    try:
        return bytes(one).decode()
    except UnicodeDecodeError as error:
        raise InputError(
            f"text: sample {row}: not UTF-8 ({error.reason} at byte {error.start}). Decode it by its own encoding, and "
            "send it as UTF-8."
        ) from error


@lru_cache(maxsize=8)
def opened_tokenizer(content: bytes, length: int, pad: int = 0, pad_left: bool = False) -> Any:
    """A tokenizer of `tokenizers` that gives so many ids for each text.

    Raises InputError for a file that is none, MissingExtraError where the library is not installed.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise MissingExtraError(
            "strings are made token ids of by tokenizers. Install it with: pip install 'offramp[text]', or send the "
            "ids themselves."
        ) from error
    try:
        tokenizer = Tokenizer.from_buffer(content)
    except Exception as error:  # it raises Exception itself
        raise InputError(f"tokenizer: not a file that tokenizers {_version()} reads ({error}).") from error
    tokenizer.enable_truncation(length)
    direction = "left" if pad_left else "right"
    tokenizer.enable_padding(length=length, pad_id=pad, pad_token=tokenizer.id_to_token(pad) or "", direction=direction)
    return tokenizer


def _version() -> str:
    from importlib.metadata import version

    return version("tokenizers")
