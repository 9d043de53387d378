"""The interface of a training regime, and the phases that it divides a training into.

A regime knows logits, labels and the share of the training that is done. It keeps no state: where a training stands
says all, so that an interrupted one goes on exactly where it stopped. It knows nothing of networks and optimizers.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

Meeting = Literal["sum", "mean", "project", "equalize"]


@dataclass(frozen=True)
class Phase:
    """How a batch goes through the network at a moment of the training.

    `progress` in [0, 1) is within the phase: the learning rate's schedule starts anew with each. `exits` are those
    that classify; None stands for all. In a `frozen` phase the stages stay as they are and heads alone learn. `meeting`
    says how a head's gradient and that of the stages after it are joined (`offramp.train.forward.fork`).
    """

    progress: float
    exits: tuple[int, ...] | None = None
    frozen: bool = False
    meeting: Meeting = "sum"


class Regime(Protocol):
    """Turns logits into a loss. `progress` in [0, 1) is the share of all steps that is done."""

    def phase(self, progress: float) -> Phase:
        """Say how the next batch goes through the network."""

    def loss(self, logits: dict[int, Tensor], labels: Tensor, progress: float) -> Tensor:
        """Give the loss of a batch from its logits `(N, classes)` at the phase's exits and its labels `(N,)`."""
