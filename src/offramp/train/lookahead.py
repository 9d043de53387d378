"""Lookahead: slow weights that follow the ones that learn, and call them back to where they are."""

import torch

from offramp.models.exit_net import ExitNet

EVERY = 5  # steps


class Lookahead:
    """Slow weights behind a network in training (Zhang et al., NeurIPS 2019, arXiv 1907.08610).

    Every five steps they go a share of the way to the network's, and the network to where they are then. The share is 1
    at first and falls with the cube of the training's progress to 1 - `slowness`^5, as in Jordan's cifar10-airbench
    (arXiv 2404.00498, section 3.4): fast while there is far to go, an average at the end. An epoch ends with both at
    one place, so that an interrupted training goes on without the slow ones. Running statistics are among them.
    """

    def __init__(self, net: ExitNet, slowness: float) -> None:
        self.slowness = slowness
        self.fast = [value for value in net.state_dict().values() if value.is_floating_point()]
        self.slow = [value.clone() for value in self.fast]

    def epoch(self) -> None:
        """Begin where the network is."""
        for slow, fast in zip(self.slow, self.fast, strict=True):
            slow.copy_(fast)

    @torch.no_grad()
    def step(self, step: int, of: int, progress: float) -> None:
        """After step `step` of an epoch of `of`, counted from 1, at a share `progress` of the training."""
        if step % EVERY and step != of:
            return
        kept = self.slowness**EVERY * progress**3
        for slow, fast in zip(self.slow, self.fast, strict=True):
            fast.copy_(slow.lerp_(fast, 1 - kept))
