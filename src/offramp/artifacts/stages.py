"""Stages and heads of a network as a manifest lists them, and what the tensors at boundaries and exits are called."""

from math import prod
from operator import not_

from pydantic import Field

from offramp.artifacts.document import Frozen

IMAGE = "image"
LOGITS = "logits_"

Shape = tuple[int, ...]


def features_name(boundary: int) -> str:
    """Name of the tensor at a boundary; boundary 0 is the network's input."""
    return f"features_{boundary}" if boundary else IMAGE


def logits_name(exit_: int) -> str:
    """Name of an exit's logits."""
    return f"{LOGITS}{exit_}"


class StageSpec(Frozen):
    """Stage `index` of the network, and the features it leaves at its boundary (one sample, no batch axis).

    `shape` is of the one tensor there, `features_{index}`, or of several by name: what a skip past the boundary needs.
    `name` is the user's own word for the boundary, a module's path for one.
    """

    index: int
    shape: Shape | dict[str, Shape]
    macs: int
    parameters: int
    name: str = Field(default="", exclude_if=not_)

    @property
    def tensors(self) -> dict[str, Shape]:
        """Shapes of the tensors at this boundary by name, in their order."""
        return self.shape if isinstance(self.shape, dict) else {features_name(self.index): self.shape}

    @property
    def bytes_fp32(self) -> int:
        """Size of one sample's features at this boundary, in bytes."""
        return 4 * sum(map(prod, self.tensors.values()))


class HeadSpec(Frozen):
    """The head at boundary `exit`."""

    exit: int
    macs: int
    parameters: int
