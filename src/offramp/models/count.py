"""Multiply-adds and parameters of each stage and head, by torch's own counter: one counter for every claim."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from offramp.models.exit_net import ExitNet


@dataclass(frozen=True)
class ModuleCost:
    """What one sample costs in a part of the network, and the shape `(C, H, W)` or `(classes,)` of what it gives."""

    macs: int
    parameters: int
    shape: tuple[int, ...]


def count(net: ExitNet, shape: tuple[int, int, int]) -> tuple[dict[int, ModuleCost], dict[int, ModuleCost]]:
    """Count one sample of `shape` `(C, H, W)` through every stage and every head: two tables by number."""
    stages, heads = {}, {}
    training = net.training
    net.eval()
    device = next(net.parameters()).device
    features = torch.zeros(1, *shape, device=device)
    with torch.no_grad():
        for index, stage in enumerate(net.stages, start=1):
            stages[index], features = _count(stage, features)
            if index in net.exits:
                heads[index], _ = _count(net.head(index), features)
    net.train(training)
    return stages, heads


def _count(module: nn.Module, features: Tensor) -> tuple[ModuleCost, Tensor]:
    with FlopCounterMode(display=False) as counter:
        after: Tensor = module(features)
    # torch counts a multiply-add as two operations. Batch normalization, ReLU and pooling are not counted, as usual.
    macs = counter.get_total_flops() // 2
    parameters = sum(parameter.numel() for parameter in module.parameters())
    return ModuleCost(macs, parameters, tuple(after.shape[1:])), after
