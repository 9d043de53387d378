"""Slow weights: where they stand after each step, and that an interruption changes nothing."""

import torch
from torch import nn

from offramp.models.exit_net import ExitNet
from offramp.train.lookahead import EVERY, Lookahead


def test_both_go_where_the_schedule_says() -> None:
    """By hand, for a weight that is one more after each step: nothing between two calls, a share of the way at one."""
    net = ExitNet([nn.Identity()], {1: nn.Linear(1, 1, bias=False)})
    weight = net.get_parameter("heads.1.weight")
    weight.data.zero_()
    lookahead = Lookahead(net, 0.9)
    lookahead.epoch()
    slow = fast = 0.0
    for step in range(1, 13):
        fast += 1
        weight.data.add_(1)
        lookahead.step(step, 12, step / 12)
        if step in (EVERY, 2 * EVERY, 12):  # the last of the epoch too
            slow = fast = slow + (1 - 0.9**EVERY * (step / 12) ** 3) * (fast - slow)
        torch.testing.assert_close(float(weight.detach()), fast)


def test_counts_of_batches_are_left_alone() -> None:
    """An average of whole numbers is none."""
    net = ExitNet([nn.BatchNorm1d(1)], {1: nn.Linear(1, 1)})
    lookahead = Lookahead(net, 0.9)
    net(torch.rand(4, 1))
    lookahead.step(EVERY, EVERY, 1.0)
    assert int(net.get_buffer("stages.0.num_batches_tracked")) == 1
