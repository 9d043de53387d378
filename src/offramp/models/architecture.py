"""What a network is, as a small typed document: enough to build it again, nothing of its weights."""

from collections.abc import Mapping
from typing import Literal, Self, get_args

from pydantic import Field, ValidationError, model_validator

from offramp.artifacts.document import Frozen, why
from offramp.artifacts.inputs import Input
from offramp.artifacts.names import name_of
from offramp.artifacts.preprocessing import Preprocessing
from offramp.errors import InputError

Head = Literal["linear", "conv"]
Pooling = Literal["average", "max"]


class Architecture(Frozen):
    """What networks of every family have in common. `exits` names the boundaries that have a head, the last always.

    A family says what one takes (`takes`).
    """

    family: str
    classes: tuple[str, ...]
    exits: tuple[int, ...]

    @model_validator(mode="after")
    def _has_exits(self) -> Self:
        last = self.last
        if not self.classes:
            raise ValueError("classes: at least one is needed")
        if list(self.exits) != sorted(set(self.exits)) or not self.exits or self.exits[-1] != last or self.exits[0] < 1:
            raise ValueError(f"exits must rise within 1 to {last} and end at {last}, got {list(self.exits)}")
        return self

    @property
    def last(self) -> int:
        """The last exit, and the number of stages."""
        return max(self.exits, default=0)

    @property
    def takes(self) -> Input:
        """What comes in, and how it is made ready."""
        raise NotImplementedError

    @property
    def shape(self) -> tuple[int, ...]:
        """One sample of the input: of an image `(C, H, W)`."""
        return self.takes.shape

    @property
    def beside(self) -> Mapping[str, str]:
        """Files that a checkpoint holds beside its weights, by name, with their sha256; most families have none."""
        return {}

    @property
    def name(self) -> str:
        """What it is called by its exits: standard, sem-k, mem, exits-2-5 and the like."""
        return name_of(self.exits)


class StandardCnn(Architecture):
    """The standard CNN of the paper's Figure 1 with exits: stage i is a block of two convolutions of `widths[i-1]`.

    A 2x2 pooling stands after each block named in `pool_after`, of the `pooling` named. `whitened` puts a convolution
    before the first block that is computed from the training images (`models.whitening`); with `shortcuts`, what goes
    into a block's second convolution is added to what comes out of its normalization. `head` is the kind of every head
    but the last: the paper's pooling and linear layer, or a convolution before them. `bottlenecks` gives, by boundary,
    the few channels that cross it (`models.bottleneck`).
    """

    family: Literal["standard-cnn"] = "standard-cnn"
    channels: int
    height: int
    width: int
    widths: tuple[int, ...]
    pool_after: tuple[int, ...]
    head: Head = "linear"
    bottlenecks: dict[int, int] = Field(default_factory=dict)
    # Not written where they are off, so that a network of before they were there is known again.
    pooling: Pooling = Field("average", exclude_if=lambda kind: kind == "average")
    whitened: bool = Field(False, exclude_if=lambda on: not on)
    shortcuts: bool = Field(False, exclude_if=lambda on: not on)

    @model_validator(mode="after")
    def _has_blocks(self) -> Self:
        last = self.last
        if any(not 1 <= boundary < last for boundary in self.pool_after):
            raise ValueError(f"pool_after must lie within 1 to {last - 1}, got {list(self.pool_after)}")
        if min(self.height, self.width) >> len(set(self.pool_after)) < 1:
            raise ValueError(f"{self.height}x{self.width} images are too small for {len(self.pool_after)} poolings")
        for boundary, channels in self.bottlenecks.items():
            if not 1 <= boundary < last:
                raise ValueError(f"bottlenecks: a boundary must lie within 1 to {last - 1}, got {boundary}")
            if not 1 <= channels <= self.widths[boundary - 1]:
                widest = self.widths[boundary - 1]
                raise ValueError(f"bottlenecks: at {boundary} channels must lie within 1 to {widest}, got {channels}")
        return self

    @property
    def last(self) -> int:
        """The last exit, and the number of blocks."""
        return len(self.widths)

    @property
    def takes(self) -> Preprocessing:
        """Images of its size."""
        return Preprocessing(channels=self.channels, height=self.height, width=self.width)


class Preset(Frozen):
    """Sizes of a standard CNN that suit a kind of machine."""

    channels: int
    size: int
    widths: tuple[int, ...]
    pool_after: tuple[int, ...]
    pooling: Pooling = "average"
    whitened: bool = False
    shortcuts: bool = False

    def architecture(
        self,
        exits: tuple[int, ...],
        classes: tuple[str, ...],
        head: str = "linear",
        bottlenecks: dict[int, int] | None = None,
    ) -> StandardCnn:
        """Give the network of these sizes with these exits and classes; an InputError says what does not fit."""
        if head not in get_args(Head):
            raise InputError(f"head {head!r}: unknown. Choose one of {', '.join(get_args(Head))}.")
        try:
            return StandardCnn(
                channels=self.channels,
                height=self.size,
                width=self.size,
                classes=classes,
                widths=self.widths,
                pool_after=self.pool_after,
                exits=exits,
                head=head,
                bottlenecks=bottlenecks or {},
                pooling=self.pooling,
                whitened=self.whitened,
                shortcuts=self.shortcuts,
            )
        except ValidationError as error:
            raise InputError(f"{why(error)}.") from error


# Widths are multiples of 16, which oneDNN's blocked kernels pad to anyway: a 12 M MAC network of widths 9, 18, 36
# trained at 880 images/s where one of these widths reached 2,000 (two Zen 4 cores, bf16, channels last). tiny and small
# have one block at full resolution, where a MAC costs the most time.
NARROW = (16, 16, 16, 32, 32, 32, 64, 64, 64)
PRESETS: dict[str, Preset] = {
    # 2.8 M MACs: the digits, in seconds on two CPU cores.
    "tiny": Preset(channels=1, size=16, widths=NARROW, pool_after=(1, 3, 6)),
    # 12 M MACs: CIFAR-10 on a CPU.
    "small": Preset(channels=3, size=32, widths=NARROW, pool_after=(1, 3, 6)),
    # 35 M MACs: CIFAR-10 on a CPU, as right as an hour or two of one thread allow. Whitening gives the first exits
    # most, shortcuts and maximum pooling the last ones (docs/training.md).
    "medium": Preset(
        channels=3,
        size=32,
        widths=(16, 32, 32, 64, 64, 64, 96, 96, 96),
        pool_after=(1, 3, 6),
        pooling="max",
        whitened=True,
        shortcuts=True,
    ),
    # 88 M MACs: CIFAR-10, for average costs of 20 to 30 M with several exits active. Every stage costs about the same:
    # leaving one earlier saves about a ninth.
    "slim": Preset(channels=3, size=32, widths=(32, 48, 48, 96, 96, 96, 192, 192, 192), pool_after=(1, 3, 6)),
    # 606 M MACs: CIFAR-10 on a GPU, ResNet-18's class.
    "full": Preset(channels=3, size=32, widths=(64, 64, 64, 128, 128, 128, 256, 256, 256), pool_after=(3, 6)),
}


def preset(name: str) -> Preset:
    """Look a preset up by its name."""
    if name not in PRESETS:
        raise InputError(f"preset {name!r}: unknown. Choose one of {', '.join(PRESETS)}.")
    return PRESETS[name]
