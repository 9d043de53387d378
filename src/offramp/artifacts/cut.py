"""How features cross a boundary where the network can be cut, as the bundle's manifest says it."""

from collections.abc import Mapping
from operator import not_

from pydantic import Field

from offramp.artifacts.codec import Codec
from offramp.artifacts.document import Frozen

Scale = tuple[float, ...]
Zero = tuple[int, ...]


class CodecResult(Frozen):
    """What a codec costs and does at a cut: every sample forwarded there."""

    bytes_per_sample: int
    accuracy: float | None  # of the last exit on the calibration samples; None where they had no labels


class Levels(Frozen):
    """What a bit stands for, of each channel or of all: set above `above`, and then `high`; else `low`."""

    above: Scale
    low: Scale
    high: Scale


class CutSpec(Frozen):
    """How features cross a boundary; of several tensors, what is said of each is by name.

    uint8 is affine: a value is `scale * (q - zero)`. `scale` is one step of each channel, or of all (the image); `zero`
    is the step that stands for 0, of each channel, and is not written where it is 0 for all: features out of a ReLU.
    `plain` tensors cross as fp32 in every codec: masks, token ids. A cut without uint8 has neither scale nor zero.
    `bits` says by tensor what its bits stand for in the codec of one bit a value, where there is that.
    """

    boundary: int
    scale: Scale | dict[str, Scale]
    codecs: dict[Codec, CodecResult]
    samples: int  # calibration samples that the scale and the accuracies were taken from
    zero: Zero | dict[str, Zero] = Field(default=(), exclude_if=not_)
    plain: tuple[str, ...] = Field(default=(), exclude_if=not_)
    # The axis of a sample that holds the channels, by tensor, where its rank does not say so.
    axes: dict[str, int] = Field(default_factory=dict, exclude_if=not_)
    bits: dict[str, Levels] = Field(default_factory=dict, exclude_if=not_)

    def scale_of(self, name: str) -> Scale:
        """The scale of one of the boundary's tensors."""
        return self.scale.get(name, ()) if isinstance(self.scale, dict) else self.scale

    def zero_of(self, name: str) -> Zero:
        """The steps that stand for 0 in one of the boundary's tensors, as many as its scale has."""
        zero = self.zero.get(name, ()) if isinstance(self.zero, dict) else self.zero
        return zero or (0,) * len(self.scale_of(name))

    def axis_of(self, name: str, shape: tuple[int, ...]) -> int:
        """Axis of one sample that holds a tensor's channels: `(C, H, W)` the first, `(L, D)` and `(D,)` the last."""
        return self.axes.get(name, 0 if len(shape) > 2 else len(shape) - 1)

    def check(self, tensors: Mapping[str, tuple[int, ...]], only: str) -> None:
        """Raise ValueError unless each of the boundary's tensors has what uint8 needs; `only` is called the one alone.

        That is a scale and a zero point for each channel, or for all; of those that stay plain nothing.
        """
        here = f"cut {self.boundary}"
        if unknown := [name for name in (*self.plain, *self.axes) if name not in tensors]:
            raise ValueError(f"{here}: {unknown[0]} is none of {', '.join(tensors)}")
        scaled = set(self.scale) if isinstance(self.scale, dict) else {only}
        if scaled - {*self.plain} != tensors.keys() - {*self.plain}:
            raise ValueError(f"{here}: a scale for each of {', '.join(tensors)} is needed, got {sorted(scaled)}")
        self._check_bits({name: shape for name, shape in tensors.items() if name not in self.plain})
        for name in (name for name in tensors if name not in self.plain and "uint8" in self.codecs):
            shape, scale, zero = tensors[name], self.scale_of(name), self.zero_of(name)
            axis = self.axis_of(name, shape)
            if not 0 <= axis < len(shape):
                raise ValueError(f"{here}: a sample of {name} has {len(shape)} axes, and axis {axis} is none of them")
            if len(scale) not in (1, shape[axis]) or len(zero) != len(scale):
                raise ValueError(
                    f"{here}: {name} has {shape[axis]} channels, and {len(scale)} scales and {len(zero)} zero points"
                )
            if min(scale) <= 0 or min(zero) < 0 or max(zero) > 255:
                raise ValueError(f"{here}: {name} needs scales above 0, and zero points within 0 to 255")

    def _check_bits(self, tensors: Mapping[str, tuple[int, ...]]) -> None:
        """Raise ValueError unless each tensor has what one bit a value needs, or none has where there is no such."""
        if (set(tensors) if "1bit" in self.codecs else set()) != self.bits.keys():
            raise ValueError(f"cut {self.boundary}: bits of each tensor and 1bit among the codecs, or neither")
        for name, levels in self.bits.items():
            channels = tensors[name][self.axis_of(name, tensors[name])]
            counts = {len(levels.above), len(levels.low), len(levels.high)}
            if len(counts) != 1 or counts.pop() not in (1, channels):
                raise ValueError(f"cut {self.boundary}: {name} has {channels} channels, and its bits levels of others")

    def is_new(self, tensors: Mapping[str, tuple[int, ...]]) -> bool:
        """Whether programs that know bundles of versions 1 and 2 alone cannot run this."""
        wide = [self.axis_of(name, shape) for name, shape in tensors.items() if len(self.scale_of(name)) > 1]
        return bool(self.zero or self.plain or self.axes or any(wide))
