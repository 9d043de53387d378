"""Multiply-adds and parameters of each stage and head, by torch's own counter: one counter for every claim.

It does not see into the stages of a graph from elsewhere: their document has what was counted on the graph.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from offramp.models.exit_net import ExitNet
from offramp.models.graph_network import GraphStage, OnnxStage


@dataclass(frozen=True)
class ModuleCost:
    """What one sample costs in a part of the network, and the shape `(C, H, W)` or `(classes,)` of what it gives.

    Of a stage that gives several tensors, their shapes by name.
    """

    macs: int
    parameters: int
    shape: tuple[int, ...] | dict[str, tuple[int, ...]]

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of each tensor."""
        return tuple(self.shape.values()) if isinstance(self.shape, dict) else (self.shape,)


def count(net: ExitNet, shape: tuple[int, ...]) -> tuple[dict[int, ModuleCost], dict[int, ModuleCost]]:
    """Count one sample of `shape` `(C, H, W)` through every stage and every head: two tables by number."""
    stages, heads = {}, {}
    training = net.training
    net.eval()
    device = next(net.parameters()).device
    features: Any = torch.zeros(1, *shape, device=device)
    with torch.no_grad():
        for index, stage in enumerate(net.stages, start=1):
            stages[index], features = module_cost(stage, features)
            if index in net.exits:
                heads[index], _ = module_cost(net.head(index), features)
    net.train(training)
    return stages, heads


def module_cost(module: nn.Module, features: Any) -> tuple[ModuleCost, Any]:
    """Count one sample's features through a stage or a head; what comes of them is given too."""
    if isinstance(module, OnnxStage):
        return _known(module.stage, features)
    with FlopCounterMode(display=False) as counter:
        after: Tensor = module(features)
    # torch counts a multiply-add as two operations. Batch normalization, ReLU and pooling are not counted, as usual.
    macs = counter.get_total_flops() // 2
    parameters = sum(parameter.numel() for parameter in module.parameters())
    return ModuleCost(macs, parameters, tuple(after.shape[1:])), after


def _known(stage: GraphStage, features: Any) -> tuple[ModuleCost, Any]:
    """What a graph's document says, and features of that shape: its heads are counted on any."""
    device = (features[0] if isinstance(features, tuple) else features).device
    made = tuple(torch.zeros(1, *shape, device=device) for shape in stage.tensors.values())
    if len(made) > 1:
        return ModuleCost(stage.macs, stage.parameters, dict(stage.tensors)), made
    (shape,) = stage.tensors.values()
    return ModuleCost(stage.macs, stage.parameters, shape), made[0]
