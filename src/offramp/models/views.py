"""A network of several views, as small typed documents: what each device takes, how they are joined, how wide it is.

Of it come two kinds of ordinary networks: what a device is alone (`ViewAlone`), and what comes behind the join
(`Joined`). DDNN (S. Teerapittayanon et al. 2017, arXiv 1709.01921) has the same parts, exits and aggregators.
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from offramp.artifacts.document import Frozen
from offramp.artifacts.inputs import Input
from offramp.artifacts.preprocessing import Preprocessing
from offramp.artifacts.values import Values
from offramp.artifacts.views import Join, Place, joined_shape
from offramp.errors import InputError
from offramp.models.architecture import Architecture

Widths = tuple[int, ...]
CUT = 1  # the boundary of a device's network that is joined: the end of its first stage


class ViewsNetwork(Frozen):
    """A front for each view, a join, and two stages behind it.

    A front of images is a 3 x 3 convolution of each width, halved by a pooling after each but the last; of vectors a
    linear layer of each width. It leaves features of the last width, or logits where those are joined. `bits`: behind
    the join every feature was its sign alone in training, which is what crosses in one bit a value.
    """

    takes: dict[str, Input]  # by view, in the order in which they are joined
    classes: tuple[str, ...]
    join: Join = "concat"
    at: Place = "features"
    bits: bool = False
    front: Widths = (16, 16)
    behind: int = Field(default=32, ge=1)  # channels, or numbers

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not self.takes or not self.front:
            raise ValueError("at least one view and one width of the fronts are needed")
        if self.bits and self.at == "logits":
            raise ValueError("bits: of features; logits are few, and a bit of each would say next to nothing")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The views."""
        return tuple(self.takes)

    def shape(self, view: str) -> tuple[int, ...]:
        """Shape of what a view's front leaves of one sample, where it is joined."""
        takes = self.takes[view]
        if self.at == "logits":
            return (len(self.classes),)
        if isinstance(takes, Preprocessing):
            halved = len(self.front) - 1
            return self.front[-1], takes.height >> halved, takes.width >> halved
        if len(takes.shape) != 1:
            raise InputError(f"view {view}: expected images or vectors, got samples of shape {takes.shape}.")
        return (self.front[-1],)

    @property
    def joined(self) -> tuple[int, ...]:
        """Shape of one sample's joined features; an InputError where the shapes of the views cannot be joined so."""
        return joined_shape({name: self.shape(name) for name in self.names}, self.join)

    def alone(self, view: str) -> "ViewAlone":
        """The document of what a device is alone."""
        return ViewAlone(classes=self.classes, network=self, view=view)

    def behind_the_join(self) -> "Joined":
        """The document of what comes behind the join."""
        return Joined(classes=self.classes, network=self)


class ViewAlone(Architecture):
    """The network as it is where one device alone sees the thing: its front, and what is behind the join."""

    family: Literal["view"] = "view"
    exits: tuple[int, ...] = (CUT, CUT + 1, CUT + 2)
    network: ViewsNetwork
    view: str

    @property
    def takes(self) -> Input:
        """What the device sees."""
        return self.network.takes[self.view]

    @property
    def name(self) -> str:
        """What it is called: as its view."""
        return self.view


class Joined(Architecture):
    """What comes behind the join: joined features in, the aggregator's exit, and the last one."""

    family: Literal["joint"] = "joint"
    exits: tuple[int, ...] = (1, 2)
    network: ViewsNetwork

    @property
    def takes(self) -> Values:
        """Joined features."""
        return Values(shape=self.network.joined)

    @property
    def name(self) -> str:
        """What it is called."""
        return "joint"
