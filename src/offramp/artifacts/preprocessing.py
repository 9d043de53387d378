"""How an 8-bit image becomes the tensor a network takes: written into every bundle, applied in one place.

Normalization by mean and standard deviation is not here: it is the first step *inside* the network, so that no node
can forget it or use another data set's numbers. What other networks take than images: `artifacts.inputs`.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from offramp.artifacts.codec import CODECS, Codec
from offramp.artifacts.document import Frozen
from offramp.errors import InputError

# How an encoded image becomes 8-bit pixels: plainly as it lies in its file; as a person sees it (turned as EXIF says,
# on white where it is transparent); or as a person sees it, and large JPEGs decoded at a reduced size.
ReadAs = Literal["plain", "upright", "reduced"]
# How one of another shape becomes the network's: stretched, or cut off where it is too long, alike at both ends.
Fit = Literal["stretch", "crop"]
# How pixels between pixels are found; all of Pillow's, and all but `nearest` look at every pixel they make smaller.
Filter = Literal["bilinear", "bicubic", "lanczos", "nearest"]
Side = Annotated[int, Field(gt=0)]
FP32 = np.dtype(np.float32)
RANGE_SLACK = 1e-3  # a resized or re-scaled image may overshoot its range by rounding; 0..255 may not


@dataclass(frozen=True)
class Resampling:
    """How an image is brought to a size: `side` and `filter` of `Preprocessing`."""

    side: int | None = None
    filter: Filter = "bilinear"


BILINEAR = Resampling()


class Preprocessing(Frozen):
    """From uint8 `(N, H, W, C)` to float32 `(N, C, H, W)` with values in [0, 1].

    With a `side`, an image is brought to that first, its shorter side (`crop`) or both (`stretch`), and what is shown
    to the network is cut out of its centre: 256 and then 224 x 224, for one.
    """

    name: ClassVar[str] = "image"  # on the wire
    noun: ClassVar[str] = "image"  # in messages
    codecs: ClassVar[tuple[Codec, ...]] = CODECS  # in which it crosses from one node to another

    kind: Literal["images"] = Field(default="images", exclude=True)  # which the document of an image does not say
    channels: int
    height: int
    width: int
    layout: Literal["NCHW"] = "NCHW"
    scale: float = 1 / 255
    low: float = 0.0
    high: float = 1.0
    # What was before there were these fields is not written, so that a bundle of before keeps its id.
    reading: ReadAs = Field(default="plain", exclude_if=lambda reading: reading == "plain")
    fit: Fit = Field(default="stretch", exclude_if=lambda fit: fit == "stretch")
    side: Side | None = Field(default=None, exclude_if=lambda side: side is None)
    filter: Filter = Field(default="bilinear", exclude_if=lambda filter_: filter_ == "bilinear")

    @model_validator(mode="after")
    def _within(self) -> Self:
        if self.side is not None and self.side < max(self.height, self.width):
            raise ValueError(
                f"side {self.side}: {self.height} x {self.width} cannot be cut out of it. Expected "
                f"{max(self.height, self.width)} or more."
            )
        if self.side is not None and self.fit == "stretch" and self.height != self.width:
            raise ValueError(f"side {self.side}: of an image that is stretched it is both, and the network's differ.")
        return self

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(C, H, W)`: one sample of the network's input."""
        return self.channels, self.height, self.width

    @property
    def resampling(self) -> Resampling:
        """How an image is brought to its size."""
        return Resampling(self.side, self.filter)

    @property
    def forms(self) -> dict[str, str]:
        """The datatypes in which an edge takes a batch, and what each is."""
        return {"FP32": f"N,C,H,W in [{self.low:g}, {self.high:g}]", "UINT8": "N,H,W,C", "BYTES": "N encoded images"}

    def noise(self, drawn: np.random.Generator, size: int) -> npt.NDArray[np.float32]:
        """A batch that the network takes, of values as good as any."""
        return drawn.random((size, *self.shape), np.float32)

    def from_uint8(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Bring 8-bit images `(N, H, W, C)` into the network's layout and range."""
        expected = (self.height, self.width, self.channels)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != expected:
            raise InputError(
                f"image: expected uint8 of shape (N, {', '.join(map(str, expected))}), got {images.dtype} of shape "
                f"{images.shape}. Resize the images to the network's size first."
            )
        return np.multiply(images.transpose(0, 3, 1, 2), np.float32(self.scale), dtype=np.float32, order="C")

    def check(self, image: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        """Give `image` back if it is a batch that the network takes; raise InputError that says why if it is not."""
        if image.dtype != FP32:
            raise InputError(
                f"image: expected float32 (FP32), got {image.dtype}. "
                f"Scale 8-bit images to [{self.low:g}, {self.high:g}]."
            )
        if image.ndim != 4 or image.shape[1:] != self.shape:
            raise InputError(
                f"image: expected shape (N, {', '.join(map(str, self.shape))}), batch first, got {tuple(image.shape)}."
            )
        if len(image) == 0:
            raise InputError("image: the batch is empty (N = 0). Send at least one sample.")
        values: npt.NDArray[np.float32] = image  # type: ignore[assignment]  # as was just seen
        # One pass for what most batches are: from 0 up. A float's bits, read as a whole number, grow with it, and those
        # of what has a sign, of infinity and of NaN lie above.
        if np.maximum.reduce(values.view(np.uint32), axis=None) <= _most(self.low, self.high):
            return values
        # Both comparisons are false for NaN, and min and max carry a NaN through: one pass each finds all three faults.
        low, high = np.minimum.reduce(values, axis=None), np.maximum.reduce(values, axis=None)
        if not (low >= self.low - RANGE_SLACK and high <= self.high + RANGE_SLACK):
            bad = np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))
            if bad.size:
                raise InputError(
                    f"image: sample {bad[0]} of the batch holds NaN or infinity. Remove it and send the rest."
                )
            raise InputError(
                f"image: expected values in [{self.low:g}, {self.high:g}], got {low:g} to {high:g}. "
                "Divide 8-bit values by 255."
            )
        return values


@lru_cache
def _most(low: float, high: float) -> int:
    """The bits of the largest value in a range, below which all are of values in it; -1 where that is so of none."""
    most = np.float32(high + RANGE_SLACK)
    return int(most.view(np.uint32)) if low <= RANGE_SLACK and most >= 0 else -1
