"""A batch's way through the network while training: to some exits, over frozen stages, with rescaled gradients."""

import os
import shutil
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from offramp.errors import TrainingError
from offramp.models.exit_net import ExitNet


class _Rescale(torch.autograd.Function):
    """The identity, whose gradient is multiplied by a factor on the way back."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return features.view_as(features)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0] * ctx.factor, None


def rescale(features: Tensor, factor: float) -> Tensor:
    """Give the same features, through which `factor` times the gradient goes back."""
    rescaled: Tensor = _Rescale.apply(features, factor)  # type: ignore[no-untyped-call]
    return rescaled


def forward(
    net: ExitNet, image: Tensor, exits: tuple[int, ...] | None = None, *, frozen: bool = False, rescaled: bool = False
) -> dict[int, Tensor]:
    """Classify `(N, C, H, W)` at some exits, None for all: logits `(N, classes)` by exit.

    With neither `frozen` nor `rescaled` this is `net(image)`. `frozen`: no gradient reaches the stages.

    `rescaled` is gradient equilibrium (arXiv 1908.06294, section 3.1): where r exits are left, this one counted, the
    features' gradient is divided by r, and what comes from the later exits is multiplied by r - 1 before. So a stage
    gets the mean of the gradients of all exits after it, whose size does not grow with their number; a head's own
    gradient stays whole. (Their sum is what joint training gives: nine equal losses make a first stage's steps about
    nine times the standard network's.)
    """
    wanted = net.exits if exits is None else exits
    found: dict[int, Tensor] = {}

    # Heads between stages, not after all of them as in ExitNet.forward: on the way back, a boundary's gradient is then
    # begun by the next stage and keeps its channels last. A head's is NCHW, and every kernel after it would be slow.
    def passed(boundary: int, features: Any) -> Any:
        if boundary not in wanted:
            return features
        left = len(wanted) - len(found)
        if rescaled:
            features = rescale(features, 1 / left)
        found[boundary] = net.head(boundary)(features)
        return rescale(features, left - 1) if rescaled and left > 1 else features

    net.walk(image, passed, frozen=frozen)
    return found


def compiled(device: torch.device, compiler: str = os.environ.get("CXX", "g++")) -> Callable[..., dict[int, Tensor]]:
    """Give `forward` compiled for a network that is to come: its first batches take a minute, the others less time."""
    if device.type == "cpu" and shutil.which(compiler) is None:
        raise TrainingError(
            f"compile: on a CPU it takes a C++ compiler, and there is no {compiler}. Install one or name it in CXX, or "
            "train with --no-compile."
        )
    torch.compiler.reset()  # what was compiled for another network would count towards a limit on variants
    return torch.compile(forward)
