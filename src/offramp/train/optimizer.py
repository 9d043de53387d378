"""What takes a step: stochastic gradient descent, or Muon for the convolutions beside it."""

import torch
from torch import Tensor, nn

from offramp.models.exit_net import ExitNet
from offramp.train.recipe import Recipe


class Optimizer:
    """The recipe's optimizer of a network. `parameters` stand in the order in which a state keeps their momenta.

    Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon) makes an orthogonal matrix of each step. It takes the
    convolutions without a bias: a normalization follows them, so that their scale means nothing, and is kept at one
    (the root of their filters' number, as in cifar10-airbench). Everything else is left to gradient descent.
    """

    def __init__(self, net: ExitNet, recipe: Recipe, *, fused: bool) -> None:
        self.recipe = recipe
        convolutions = _convolutions(net) if recipe.optimizer == "muon" else []
        taken = set(map(id, convolutions))
        rest = [one for one in net.parameters() if id(one) not in taken and one.requires_grad]
        decayed = [p for p in rest if p.ndim > 1 or recipe.decay_everything]
        others = [p for p in rest if not (p.ndim > 1 or recipe.decay_everything)]
        self.parameters = decayed + others + convolutions
        # torch's Muon takes matrices: these are the same weights, a row a filter.
        self.matrices = [(weight, nn.Parameter(_matrix(weight.detach(), weight))) for weight in convolutions]
        self.sgd = torch.optim.SGD(
            [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}],
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
            nesterov=recipe.nesterov,
            fused=fused,
        )
        self.muon = None
        if self.matrices:
            matrices = [matrix for _, matrix in self.matrices]
            self.muon = torch.optim.Muon(
                matrices, lr=recipe.muon_learning_rate, momentum=recipe.muon_momentum, weight_decay=0.0
            )
        if fused and recipe.momentum:
            # The kernel takes momenta of all parameters or of none, and heads that a phase leaves out come to theirs
            # later.
            for parameter in decayed + others:
                self.sgd.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)

    def set_rate(self, rate: float) -> None:
        """The learning rate of gradient descent from now on; Muon's is as large a share of its own."""
        for group, times in zip(self.sgd.param_groups, (1.0, self.recipe.bias_rate), strict=True):
            group["lr"] = rate * times
        if self.muon is not None:
            self.muon.param_groups[0]["lr"] = rate * (self.recipe.muon_learning_rate / self.recipe.learning_rate)

    def forget(self) -> None:
        """Before a step's gradients are computed: none is left of the one before."""
        for parameter in self.parameters:
            parameter.grad = None

    def step(self) -> None:
        """Take one along the gradients that the parameters have; those that have none stay."""
        self.sgd.step()
        if self.muon is None:
            return
        for weight, matrix in self.matrices:
            matrix.grad = None if weight.grad is None else _matrix(weight.grad, weight)
            if matrix.grad is not None:
                matrix.data.mul_(len(matrix) ** 0.5 / matrix.data.norm())
        self.muon.step()  # type: ignore[no-untyped-call]

    def momenta(self) -> list[Tensor | None]:
        """Of each parameter, of those that took a step."""
        return [optimizer.state[key].get("momentum_buffer") for optimizer, key in self._kept()]

    def resume(self, momenta: list[Tensor | None]) -> None:
        """Go on with the momenta that there were."""
        for (optimizer, key), momentum in zip(self._kept(), momenta, strict=True):
            if momentum is not None:
                # The layout must be the parameter's own, or sums would round in another order.
                optimizer.state[key]["momentum_buffer"] = torch.empty_like(key).copy_(momentum)

    def _kept(self) -> list[tuple[torch.optim.Optimizer, Tensor]]:
        """Who keeps the momentum of each parameter, and by what."""
        plain = self.parameters[: len(self.parameters) - len(self.matrices)]
        kept: list[tuple[torch.optim.Optimizer, Tensor]] = [(self.sgd, parameter) for parameter in plain]
        if self.muon is not None:
            kept += [(self.muon, matrix) for _, matrix in self.matrices]
        return kept


def _convolutions(net: ExitNet) -> list[nn.Parameter]:
    """Weights of those without a bias."""
    plain = [one for one in net.modules() if isinstance(one, nn.Conv2d) and one.bias is None]
    return [weight for one in plain for weight in one.parameters()]


def _matrix(tensor: Tensor, weight: Tensor) -> Tensor:
    """A row a filter `(out, in k k)`, its values in the order in which `weight` has them: of that itself, a view."""
    last = not weight.is_contiguous() and weight.is_contiguous(memory_format=torch.channels_last)
    return (tensor.permute(0, 2, 3, 1) if last else tensor).flatten(1)
