"""What takes a step: stochastic gradient descent, or Muon for the convolutions beside it."""

import torch
from torch import Tensor, nn

from offramp.models.exit_net import ExitNet
from offramp.train.muon import Muon
from offramp.train.recipe import Recipe


class Optimizer:
    """The recipe's optimizer of a network. `parameters` stand in the order in which a state keeps their momenta.

    Muon takes the convolutions without a bias; everything else is left to gradient descent. It multiplies in bf16 where
    that is `low_precision`'s.
    """

    def __init__(self, net: ExitNet, recipe: Recipe, *, fused: bool, low_precision: bool = False) -> None:
        self.recipe = recipe
        convolutions = _convolutions(net) if recipe.optimizer == "muon" else []
        taken = set(map(id, convolutions))
        rest = [one for one in net.parameters() if id(one) not in taken and one.requires_grad]
        decayed = [p for p in rest if p.ndim > 1 or recipe.decay_everything]
        others = [p for p in rest if not (p.ndim > 1 or recipe.decay_everything)]
        self.parameters = decayed + others + convolutions
        vectors = [p for p in rest if p.ndim <= 1]  # biases and normalizations
        decay = recipe.weight_decay if recipe.decay_everything else 0.0
        self.sgd = torch.optim.SGD(
            [
                {"params": [p for p in rest if p.ndim > 1], "weight_decay": recipe.weight_decay},
                {"params": vectors, "weight_decay": decay},
            ],
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
            nesterov=recipe.nesterov,
            fused=fused,
        )
        self.muon = Muon(convolutions, recipe.muon_momentum, torch.bfloat16 if low_precision else torch.float32)
        self.rate = recipe.learning_rate
        if fused and recipe.momentum:
            # The kernel takes momenta of all parameters or of none, and heads that a phase leaves out come to theirs
            # later.
            for parameter in decayed + others:
                self.sgd.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)

    def set_rate(self, rate: float) -> None:
        """The learning rate of gradient descent from now on; Muon's is as large a share of its own."""
        self.rate = rate
        for group, times in zip(self.sgd.param_groups, (1.0, self.recipe.bias_rate), strict=True):
            group["lr"] = rate * times

    def forget(self) -> None:
        """Before a step's gradients are computed: none is left of the one before."""
        for parameter in self.parameters:
            parameter.grad = None

    def step(self) -> None:
        """Take one along the gradients that the parameters have; those that have none stay."""
        self.sgd.step()
        self.muon.step(self.rate * self.recipe.muon_learning_rate / self.recipe.learning_rate)

    def momenta(self) -> list[Tensor | None]:
        """Of each parameter, of those that took a step."""
        return [self.sgd.state[one].get("momentum_buffer") for one in self._descending()] + self.muon.momenta

    def resume(self, momenta: list[Tensor | None]) -> None:
        """Go on with the momenta that there were."""
        # The layout must be the parameter's own, or sums would round in another order.
        own = [
            None if momentum is None else torch.empty_like(parameter).copy_(_shaped(momentum, parameter))
            for parameter, momentum in zip(self.parameters, momenta, strict=True)
        ]
        descending = self._descending()
        for parameter, momentum in zip(descending, own, strict=False):
            if momentum is not None:
                self.sgd.state[parameter]["momentum_buffer"] = momentum
        self.muon.momenta = own[len(descending) :]

    def _descending(self) -> list[nn.Parameter]:
        """Those of gradient descent."""
        return self.parameters[: len(self.parameters) - len(self.muon.weights)]


def _shaped(momentum: Tensor, parameter: Tensor) -> Tensor:
    """A momentum in its parameter's shape: a state of before had Muon's as matrices, their columns as weights lay."""
    if momentum.ndim == parameter.ndim:
        return momentum
    rows, channels, height, width = parameter.shape
    if parameter.is_contiguous():
        return momentum.view(rows, channels, height, width)
    return momentum.view(rows, height, width, channels).permute(0, 3, 1, 2)


def _convolutions(net: ExitNet) -> list[nn.Parameter]:
    """Weights of those without a bias."""
    plain = [one for one in net.modules() if isinstance(one, nn.Conv2d) and one.bias is None]
    return [weight for one in plain for weight in one.parameters()]
