"""Joint training: every exit classifies every sample, and the weighted sum of their cross-entropies is minimized."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from offramp.train.regimes.balance import Balance, factors
from offramp.train.regimes.regime import Meeting, Phase


def joint_loss(
    logits: dict[int, Tensor], labels: Tensor, weights: dict[int, float], label_smoothing: float = 0.0
) -> Tensor:
    """Weighted sum over exits of the mean cross-entropy of `(N, classes)` logits: the paper's section 3.2."""
    losses = [
        weights[exit_] * F.cross_entropy(at_exit.float(), labels, label_smoothing=label_smoothing)
        for exit_, at_exit in logits.items()
    ]
    return torch.stack(losses).sum()


@dataclass(frozen=True)
class Joint:
    """The paper's regime (section 3.2): L = sum over exits k of w_k CE(z_k, y), with w_k equal or by a balance.

    A `meeting` of "mean" adds gradient equilibrium (Li et al., "Improved Techniques for Training Adaptive Deep
    Networks", ICCV 2019, arXiv 1908.06294): a stage's gradient is the mean over the exits after it, not their sum.
    """

    weights: dict[int, float]
    balance: Balance = "even"
    label_smoothing: float = 0.0
    meeting: Meeting = "sum"

    def phase(self, progress: float) -> Phase:
        """One phase: every exit, all the time."""
        return Phase(progress, meeting=self.meeting)

    def at(self, exits: tuple[int, ...], progress: float) -> dict[int, float]:
        """Weights of some exits' losses at a moment of the training."""
        share = factors(self.balance, tuple(self.weights), progress)
        return {exit_: self.weights[exit_] * share[exit_] for exit_ in exits}

    def loss(self, logits: dict[int, Tensor], labels: Tensor, progress: float) -> Tensor:
        """Weighted sum of the cross-entropies."""
        return joint_loss(logits, labels, self.at(tuple(logits), progress), self.label_smoothing)
