"""Numbers as a network takes them: readings of sensors, vectors, sequences. Nothing is done to them on the way."""

from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, PositiveInt

from offramp.artifacts.codec import Codec
from offramp.artifacts.document import Frozen
from offramp.errors import InputError


class Values(Frozen):
    """Float32 `(N, *shape)`, finite. What scales them is the first step *inside* the network, as it is of images."""

    name: ClassVar[str] = "values"  # on the wire
    noun: ClassVar[str] = "sample"  # in messages
    codecs: ClassVar[tuple[Codec, ...]] = ("fp32", "fp16")  # in which they cross from one node to another

    kind: Literal["values"] = "values"
    shape: tuple[PositiveInt, ...] = Field(min_length=1)  # of one sample

    @property
    def forms(self) -> dict[str, str]:
        """The datatypes in which an edge takes a batch, and what each is."""
        return {"FP32": f"N,{','.join(map(str, self.shape))}"}

    def noise(self, drawn: np.random.Generator, size: int) -> npt.NDArray[np.float32]:
        """A batch that the network takes, of values as good as any."""
        return drawn.random((size, *self.shape), np.float32)

    def check(self, values: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        """Give `values` back if they are a batch that the network takes; raise InputError that says why if not."""
        found = checked_batch(self.name, values, self.shape, "Convert it: values.astype(numpy.float32).")
        if not np.isfinite(found).all():
            bad = np.flatnonzero(~np.isfinite(found.reshape(len(found), -1)).all(axis=1))
            raise InputError(
                f"values: sample {bad[0]} of the batch holds NaN or infinity. Fill the gap as the network's training "
                "data were, or remove it."
            )
        return found


def checked_batch(
    name: str, batch: npt.NDArray[np.generic], shape: tuple[int, ...], instead: str
) -> npt.NDArray[np.float32]:
    """Give a batch back that is float32 `(N, *shape)` and not empty; InputError says what else it is."""
    if batch.dtype != np.float32:
        raise InputError(f"{name}: expected float32 (FP32), got {batch.dtype}. {instead}")
    if batch.ndim != len(shape) + 1 or batch.shape[1:] != shape:
        raise InputError(
            f"{name}: expected shape (N, {', '.join(map(str, shape))}), batch first, got {tuple(batch.shape)}."
        )
    if len(batch) == 0:
        raise InputError(f"{name}: the batch is empty (N = 0). Send at least one sample.")
    return batch  # type: ignore[return-value]  # as was just seen
