"""A batch's way through the network while training: to some exits, over frozen stages, with gradients that meet."""

import os
import shutil
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from offramp.errors import TrainingError
from offramp.models.exit_net import ExitNet
from offramp.train.regimes.regime import Meeting

TINY = 1e-30  # a gradient of nothing is divided by this


class _Meeting(torch.autograd.Function):
    """Features for a head and for the stages after it; on the way back their two gradients are joined by a rule."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, rule: Callable[[Tensor, Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        ctx.rule = rule
        return features.view_as(features), features.view_as(features)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return ctx.rule(*gradients), None


def fork(features: Tensor, meeting: Meeting, left: int) -> tuple[Tensor, Tensor]:
    """Give the same features twice: to a head, and to the stages after it, with `left` exits from this one on.

    Of their gradients the features get, h the head's and r the later stages':

    `sum`: h + r, as of itself.
    `mean`: (h + (left - 1) r) / left, gradient equilibrium (arXiv 1908.06294, section 3.1): a stage gets the mean of
    the gradients of all exits after it, whose size does not grow with their number. A head's own stays whole.
    `project`: of a sample for which they point against each other, each without what it has along the other, as PCGrad
    does with the gradients of tasks (Yu et al. 2020, arXiv 2001.06782), here where two meet and not on the weights.
    `equalize`: both made as long as they are in the mean, over the batch (a worker's part of it), so that neither
    drowns the other, as GradNorm wants of tasks (Chen et al. 2018, arXiv 1711.02257).
    """
    if meeting == "sum":
        return features, features
    rules: dict[Meeting, Callable[[Tensor, Tensor], Tensor]] = {
        "mean": lambda head, rest: (rest * (left - 1) + head) / left,
        "project": _projected,
        "equalize": _equalized,
    }
    head, rest = _Meeting.apply(features, rules[meeting])  # type: ignore[no-untyped-call]
    return head, rest


def _projected(head: Tensor, rest: Tensor) -> Tensor:
    within = tuple(range(1, head.ndim))
    along = (head * rest).sum(within, keepdim=True).clamp_max(0.0)  # 0 where they do not disagree
    sizes = [one.square().sum(within, keepdim=True).clamp_min(TINY) for one in (head, rest)]
    return rest * (1 - along / sizes[1]) + head * (1 - along / sizes[0])


def _equalized(head: Tensor, rest: Tensor) -> Tensor:
    lengths = torch.stack([head.norm(), rest.norm()])
    # Nothing is no length to bring the other to: both stay as they are then.
    factors = torch.where(lengths.prod() > 0, lengths.mean() / lengths.clamp_min(TINY), 1.0)
    return rest * factors[1] + head * factors[0]


def forward(
    net: ExitNet,
    image: Tensor,
    exits: tuple[int, ...] | None = None,
    *,
    frozen: bool = False,
    meeting: Meeting = "sum",
) -> dict[int, Tensor]:
    """Classify `(N, C, H, W)` at some exits, None for all: logits `(N, classes)` by exit.

    With neither `frozen` nor another `meeting` this is `net(image)`. `frozen`: no gradient reaches the stages.
    `meeting` says what the stages before a head get of its gradient and of that of what comes after it (`fork`).
    """
    wanted = net.exits if exits is None else exits
    found: dict[int, Tensor] = {}

    # Heads between stages, not after all of them as in ExitNet.forward: on the way back, a boundary's gradient is then
    # begun by the next stage and keeps its channels last. A head's is NCHW, and every kernel after it would be slow.
    def passed(boundary: int, features: Any) -> Any:
        if boundary not in wanted:
            return features
        left = len(wanted) - len(found)
        mine, rest = fork(features, meeting, left) if left > 1 else (features, features)
        found[boundary] = net.head(boundary)(mine)
        return rest

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
