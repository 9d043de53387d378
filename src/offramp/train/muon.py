"""Muon: steps along orthogonal matrices (Jordan et al. 2024, kellerjordan.github.io/posts/muon), for convolutions.

torch has one since 2.9, which multiplies in bf16 whatever the processor: where that is emulated it takes some twenty
times as long as fp32, and more than the rest of a step. This one multiplies in what it is told to.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

STEPS = 5
# Of the quintic whose iteration brings singular values to between 0.7 and 1.2 in so many steps, as published.
A, B, C = 3.4445, -4.7750, 2.0315
TINY = 1e-7


class Muon:
    """Steps of weights `(out, in, k, k)`, each as a matrix of a row a filter, kept at one length: the root of `out`.

    A normalization follows each of these convolutions, so that their scale means nothing (as in cifar10-airbench).
    `momenta` has one for each weight that took a step, in the layout of the weight.
    """

    def __init__(self, weights: Sequence[nn.Parameter], momentum: float, dtype: torch.dtype) -> None:
        self.weights, self.momentum, self.dtype = weights, momentum, dtype
        self.momenta: list[Tensor | None] = [None] * len(weights)

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Take one of length `rate`, with Nesterov's momentum; weights without a gradient stay."""
        for position, weight in enumerate(self.weights):
            if weight.grad is None:
                continue
            momentum = self.momenta[position]
            if momentum is None:
                momentum = self.momenta[position] = torch.zeros_like(weight)
            momentum.lerp_(weight.grad, 1 - self.momentum)
            matrix = weight.grad.lerp(momentum, self.momentum).flatten(1)
            rows, columns = matrix.shape
            along = orthogonal(matrix, self.dtype).to(weight.dtype).reshape(weight.shape)
            weight.mul_(rows**0.5 / weight.norm())
            weight.sub_(along, alpha=rate * max(1.0, rows / columns) ** 0.5)


def orthogonal(matrix: Tensor, dtype: torch.dtype) -> Tensor:
    """The orthogonal matrix nearest to `(rows, columns)`, roughly: singular values between 0.7 and 1.2, in `dtype`.

    Newton-Schulz iterations of a quintic.
    """
    found = matrix.to(dtype)
    upright = found.shape[0] > found.shape[1]
    if upright:
        found = found.T
    found = found / found.norm().clamp(min=TINY)
    for _ in range(STEPS):
        gram = found @ found.T
        found = torch.addmm(found, torch.addmm(gram, gram, gram, beta=B, alpha=C), found, beta=A)
    return found.T if upright else found
