"""What a classifier was trained to be given, in the words of those who publish such: mean, range, order, crop.

Takes nothing and does nothing: `graphs.configs` reads it from files, `graphs.inputs` makes a graph take what offramp
sends.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from offramp.artifacts.preprocessing import Filter, Fit
from offramp.errors import InputError

Kind = Literal["images", "text", "values"]


@dataclass(frozen=True)
class InputSpec:
    """What comes before the first layer, in the order in which it is done.

    An image's pixels in [0, 1] are put in the order BGR, multiplied by `scale` (255 for a network of 8-bit values), and
    per channel `mean` is subtracted and by `std` divided; in the units of what they are applied to. `grey`: one channel
    comes, and is repeated as often as the network has some. `channels_last` of None is seen by the shape.

    `size` (height, width), `fit`, `side` and `filter` are how an image of another shape becomes one of the network's,
    as in `Preprocessing`; the graph knows nothing of them.

    Of text, `pad` is the id that fills up, `vocabulary` how many ids there are (None: as many as the graph's table
    has), `tokenizer` the content of a `tokenizer.json`.
    """

    kind: Kind = "images"
    scale: float = 1.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    bgr: bool = False
    grey: bool = False
    channels_last: bool | None = None
    size: tuple[int, int] | None = None
    fit: Fit = "stretch"
    side: int | None = None
    filter: Filter = "bilinear"
    pad: int = 0
    pad_left: bool = False
    vocabulary: int | None = None
    tokenizer: bytes | None = None

    def __post_init__(self) -> None:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (0, 1, 3):
                raise InputError(f"{name}: {len(values)} numbers. Expected one, or one for each channel.")
        if any(not value > 0 for value in self.std):
            raise InputError(f"std: expected numbers above 0, got {', '.join(f'{value:g}' for value in self.std)}.")
        if not self.scale > 0:
            raise InputError(f"scale: expected a number above 0, got {self.scale:g}.")

    def but(self, **changes: Any) -> Self:
        """The same with other fields."""
        return replace(self, **changes)

    @classmethod
    def of_range(cls, low: float, high: float, **others: Any) -> Self:
        """Of a network whose pixels lie between two numbers: 0 and 255, or -1 and 1.

        >>> InputSpec.of_range(-1, 1)
        InputSpec(kind='images', scale=2.0, mean=(1.0,), ...
        """
        mean: Sequence[float] = (-low,) if low else ()
        return cls(scale=float(high - low), mean=tuple(map(float, mean)), **others)
