"""A boundary, and all of a network's: the nouns alone."""

from dataclasses import dataclass
from typing import Literal

from offramp.artifacts.stages import features_name
from offramp.graphs.layout import Kind
from offramp.graphs.refusals import Refused
from offramp.graphs.tensors import Shape


@dataclass(frozen=True)
class Boundary:
    """A place where the network can be cut, and an exit can stand.

    `tensors` are what crosses, by their names in the source's graph, of one sample: the head stands on the first, the
    further ones are carried. `tolerance` is the largest difference seen, halves against whole, as a share of the
    largest value; 0 where nothing was checked.
    """

    number: int  # among those offered, from 1, rising along the network
    name: str
    tensors: dict[str, Shape]
    kind: Kind
    macs_before: int
    macs_after: int
    at: Literal["end", "inside"]  # of a block
    tolerance: float
    also: tuple[str, ...] = ()  # other modules that end there, by their paths

    @property
    def main(self) -> str:
        """The tensor that a head stands on."""
        return next(iter(self.tensors))

    def crossing(self, stage: int) -> dict[str, Shape]:
        """The same tensors by their names in a staged graph, where this is the end of a stage."""
        own = features_name(stage)
        further = [f"{own}_{place}" for place in range(1, len(self.tensors))]
        return dict(zip((own, *further), self.tensors.values(), strict=True))


@dataclass(frozen=True)
class Boundaries:
    """All of them, in the network's order; and what is none."""

    offered: tuple[Boundary, ...]
    refused: tuple[Refused, ...]
    macs: int  # multiply-adds of one sample through the whole network
