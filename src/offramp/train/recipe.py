"""Recipes: how to train, as a small typed document. The same recipe, data and seed give the same weights."""

import math
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, ValidationError, field_validator, model_serializer

from offramp.artifacts.document import Document, Frozen, why
from offramp.errors import InputError
from offramp.train.regimes.regime import Regime
from offramp.train.regimes.settings import REGIMES, RegimeSettings, regime

JpegQuality = Annotated[int, Field(ge=1, le=100)]
# Options that came after runs had been made, with what means nothing where they are off.
_LATER: dict[str, tuple[str, ...]] = {
    "jpeg": ("jpeg_quality",),
    "temperatures": (),
    "optimizer": ("muon_learning_rate", "muon_momentum"),
    "bias_rate": (),
    "lookahead": (),
    "initialization": (),
    "norm_momentum": (),
    "norm_scale": (),
    "alternating": (),
}


class Recipe(Frozen):
    """Gradient descent on a regime's loss: the paper's weighted sum of cross-entropies, or another's."""

    name: str
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    momentum: float = Field(ge=0, lt=1)
    nesterov: bool
    weight_decay: float = Field(ge=0)
    optimizer: Literal["sgd", "muon"] = "sgd"  # muon: for the convolutions (`train.optimizer`), and sgd for the rest
    muon_learning_rate: float = Field(0.1, gt=0)
    muon_momentum: float = Field(0.6, ge=0, lt=1)
    decay_everything: bool  # or convolutions and linear layers only: batch normalization does better without
    bias_rate: float = Field(1.0, gt=0)  # learning rate of biases and normalizations, as a multiple of the others'
    lookahead: float = Field(0.0, ge=0, lt=1)  # how slow the slow weights are at the end (`train.lookahead`); 0: none
    initialization: Literal["he", "dirac"] = "he"  # dirac: each convolution begins as the identity (`train.initial`)
    # Of batch normalizations of maps: a batch's share in the running statistics, and whether they learn a scale.
    norm_momentum: float | None = Field(None, gt=0, le=1)  # None: as the network has it
    norm_scale: bool = True
    schedule: Literal["constant", "one-cycle", "cosine"]
    label_smoothing: float = Field(ge=0, lt=1)
    flip: bool  # only where the image set says that mirrored images keep their class
    alternating: bool = False  # each image mirrored every other epoch, and not by chance
    crop: int = Field(ge=0)  # pixels of padding on each side, out of which a window is cut
    jpeg: float = Field(0.0, ge=0, le=1)  # share of the images that go through JPEG, each time anew
    jpeg_quality: tuple[JpegQuality, JpegQuality] = (70, 90)  # drawn evenly between the two
    precision: Literal["auto", "fp32", "bf16"]  # auto: bf16 where the processor multiplies it natively
    channels_last: bool
    compile: bool = False  # by torch.compile: it takes a minute at the start, and needs a C++ compiler or a GPU
    loss_weights: dict[int, float] | Literal["equal"] = "equal"
    temperatures: bool = False  # the logits of each exit rescaled at the end, so that a threshold keeps its meaning
    regime: RegimeSettings = REGIMES["joint"]

    @field_validator("regime", mode="before")
    @classmethod
    def _by_name(cls, value: object) -> object:
        return regime(value) if isinstance(value, str) else value

    @field_validator("jpeg_quality")
    @classmethod
    def _rising(cls, value: tuple[int, int]) -> tuple[int, int]:
        if value[0] > value[1]:
            raise ValueError("the lower quality comes first")
        return value

    @model_serializer(mode="wrap")
    def _what_is_off_is_not_written(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        """So that a run of before there was an option is known again."""
        fields: dict[str, object] = handler(self)
        off = [name for name in _LATER if getattr(self, name) == type(self).model_fields[name].default]
        left_out = {name for switch in off for name in (switch, *_LATER[switch])}
        return {name: value for name, value in fields.items() if name not in left_out}

    @field_validator("loss_weights")
    @classmethod
    def _not_negative(cls, value: dict[int, float] | Literal["equal"]) -> dict[int, float] | Literal["equal"]:
        if value != "equal" and (min(value.values(), default=0) < 0 or not any(value.values())):
            raise ValueError("loss weights must not be negative, and at least one must be above 0")
        return value

    def but(self, **changes: object) -> Self:
        """Give the recipe with some values changed; values of None change nothing.

        >>> RECIPES["modern"].but(epochs=3, batch_size=None).epochs
        3
        """
        try:
            return type(self)(
                **(self.model_dump() | {key: value for key, value in changes.items() if value is not None})
            )
        except ValidationError as error:
            first = error.errors()[0]
            cause = first.get("ctx", {}).get("error")
            if isinstance(cause, InputError):  # it says more than what pydantic makes of it
                raise cause from error
            raise InputError(
                f"recipe: {'.'.join(map(str, first['loc']))}: {why(error)}, got {first['input']!r}."
            ) from error

    def weights(self, exits: tuple[int, ...]) -> dict[int, float]:
        """Weight of each exit's loss."""
        if self.loss_weights == "equal":
            return dict.fromkeys(exits, 1.0)
        if set(self.loss_weights) != set(exits):
            raise InputError(
                f"loss weights: expected one for each of the exits {', '.join(map(str, exits))}, "
                f"got {', '.join(map(str, sorted(self.loss_weights)))}."
            )
        return dict(self.loss_weights)

    def regime_for(self, exits: tuple[int, ...]) -> Regime:
        """Put the regime together for a network with these exits."""
        return self.regime.regime(self.weights(exits), self.label_smoothing)


class RecipeFile(Document):
    """A recipe as a document: a named one with some of its values changed. The regime may be a name or all its parts.

    >>> {"format": "offramp.recipe", "version": 1, "base": "modern", "changes": {"epochs": 60, "regime": "mixed"}}
    {'format': 'offramp.recipe', 'version': 1, 'base': 'modern', 'changes': {'epochs': 60, 'regime': 'mixed'}}
    """

    FORMAT: ClassVar[str] = "offramp.recipe"
    VERSION: ClassVar[int] = 1

    base: str
    changes: dict[str, Any] = Field(default_factory=dict)


_MODERN = Recipe(
    name="modern",
    epochs=30,
    batch_size=128,
    learning_rate=0.1,
    momentum=0.9,
    nesterov=True,
    weight_decay=5e-4,
    decay_everything=False,
    schedule="one-cycle",
    # A network that is told never to be sure scores its surest answers near 0.2 at a smoothing of 0.1 and ten classes:
    # thresholds below that would let nothing exit.
    label_smoothing=0.0,
    flip=True,
    crop=2,
    precision="auto",
    channels_last=True,
)

RECIPES: dict[str, Recipe] = {
    # Table 1 of the paper, its learning rate and momentum as above. It names no augmentation and no schedule.
    "paper": _MODERN.but(
        name="paper",
        epochs=2000,
        batch_size=32,
        nesterov=False,
        weight_decay=1e-4,
        decay_everything=True,
        schedule="constant",
        flip=False,
        crop=0,
        precision="fp32",
        channels_last=False,
    ),
    "modern": _MODERN,
    # As right as few epochs allow: what is known of its parts is in docs/training.md.
    "fast": _MODERN.but(
        name="fast",
        epochs=18,
        batch_size=250,
        optimizer="muon",
        lookahead=0.95,
        alternating=True,
        label_smoothing=0.1,
        temperatures=True,
    ),
    # For images that travel as JPEG to the node that classifies them, at a quality near 75, Pillow's own: what it costs
    # on pixels and leaves of JPEG's price is in results/cifar10-small-jpeg. It wants to be trained for longer.
    "jpeg": _MODERN.but(name="jpeg", epochs=54, weight_decay=3e-4, jpeg=0.92, jpeg_quality=(70, 80)),
    # A set so small that an epoch is a few dozen steps wants small batches, and 16-pixel images a small crop.
    "digits": _MODERN.but(name="digits", epochs=12, batch_size=32, crop=1),
}


def recipe(name: str) -> Recipe:
    """Look a recipe up by its name, or read it from a file that ends in .json; then it is called as the file is."""
    if name.endswith(".json"):
        document = RecipeFile.read(Path(name))
        return recipe(document.base).but(**({"name": Path(name).stem} | document.changes))
    if name not in RECIPES:
        raise InputError(f"recipe {name!r}: unknown. Choose one of {', '.join(RECIPES)}, or give a .json file.")
    return RECIPES[name]


WARM_UP = 0.2  # share of the steps in which one-cycle's learning rate rises


def learning_rate(recipe: Recipe, progress: float) -> float:
    """Learning rate after a share `progress` in [0, 1) of all steps."""
    match recipe.schedule:
        case "constant":
            return recipe.learning_rate
        case "cosine":
            return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
        case "one-cycle":  # Smith & Topin 2018, with straight lines
            rising = progress / WARM_UP
            return recipe.learning_rate * max(0.02, min(rising, (1 - progress) / (1 - WARM_UP)))
