"""The joint loss: every exit classifies every sample, and the weighted sum of their losses is minimized."""

import torch
from torch import Tensor
from torch.nn import functional as F


def joint_loss(
    logits: dict[int, Tensor], labels: Tensor, weights: dict[int, float], label_smoothing: float = 0.0
) -> Tensor:
    """Weighted sum over exits of the mean cross-entropy of `(N, classes)` logits: the paper's section 3.2."""
    losses = [
        weights[exit_] * F.cross_entropy(at_exit.float(), labels, label_smoothing=label_smoothing)
        for exit_, at_exit in logits.items()
    ]
    return torch.stack(losses).sum()
