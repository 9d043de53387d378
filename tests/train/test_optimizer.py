"""Muon beside gradient descent: which weights are whose, what a step does to them, and a training from end to end."""

import hashlib
from pathlib import Path

import pytest
import torch
from torch import nn

from offramp.data.image_set import Splits
from offramp.models.architecture import Architecture
from offramp.models.checkpoint import WEIGHTS
from offramp.models.cnn import standard_cnn
from offramp.models.exit_net import ExitNet
from offramp.train.loop import Run, train
from offramp.train.optimizer import Optimizer
from offramp.train.recipe import RECIPES

MUON = RECIPES["digits"].but(epochs=10, optimizer="muon")


def convolutions(net: ExitNet) -> list[nn.Parameter]:
    """Of the stages and, where they have them, of heads."""
    return [parameter for parameter in net.parameters() if parameter.ndim == 4]


def stepped(net: ExitNet, optimizer: Optimizer, seed: int = 0) -> None:
    """A step along gradients drawn at random, each of the layout of its parameter."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in optimizer.parameters:
        parameter.grad = torch.empty_like(parameter).copy_(torch.randn(parameter.shape, generator=generator))
    optimizer.step()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_step_of_muon_moves_each_convolution_by_an_orthogonal_matrix(
    minute: Architecture, layout: torch.memory_format
) -> None:
    """Of the scale that it keeps them at; in whichever layout the weights lie, they move alike."""
    net = standard_cnn(minute, seed=1).to(memory_format=layout)  # type: ignore[call-overload]
    optimizer = Optimizer(net, MUON, fused=False)
    optimizer.set_rate(MUON.learning_rate)
    before = [weight.detach().clone() for weight in convolutions(net)]
    stepped(net, optimizer)
    for old, new in zip(before, convolutions(net), strict=True):
        scaled = old * (len(old) ** 0.5 / old.norm())
        moved = ((new.detach() - scaled) / MUON.muon_learning_rate).flatten(1)
        sizes = torch.linalg.svdvals(moved.double())
        assert 0.5 < float(sizes.min()) <= float(sizes.max()) < 1.3


def test_both_layouts_end_with_the_same_weights(minute: Architecture) -> None:
    """A row of the matrix is a filter, whatever the order of its values."""
    ends = []
    for layout in (torch.contiguous_format, torch.channels_last):
        net = standard_cnn(minute, seed=1).to(memory_format=layout)  # type: ignore[call-overload]
        optimizer = Optimizer(net, MUON, fused=False)
        for step in range(3):
            stepped(net, optimizer, step)
        ends.append(torch.cat([weight.detach().reshape(-1) for weight in convolutions(net)]))
    torch.testing.assert_close(ends[0], ends[1], rtol=0.05, atol=0.05)  # its iteration multiplies in bf16


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_momenta_of_before_are_read(minute: Architecture, layout: torch.memory_format) -> None:
    """A state of when they were matrices, a row a filter, in the order in which the weights lay."""
    net = standard_cnn(minute, seed=1).to(memory_format=layout)  # type: ignore[call-overload]
    optimizer = Optimizer(net, MUON, fused=False)
    stepped(net, optimizer)
    now = optimizer.momenta()

    def before(momentum: torch.Tensor | None, parameter: nn.Parameter) -> torch.Tensor | None:
        if momentum is None or momentum.ndim < 4:
            return momentum
        last = not parameter.is_contiguous()
        return (momentum.permute(0, 2, 3, 1) if last else momentum).flatten(1)

    earlier = [before(momentum, of) for momentum, of in zip(now, optimizer.parameters, strict=True)]
    assert {momentum.ndim for momentum in earlier if momentum is not None} == {1, 2}
    optimizer.resume(earlier)
    for one, other in zip(optimizer.momenta(), now, strict=True):
        assert one is not None
        assert other is not None
        assert torch.equal(one, other)


def test_what_is_no_convolution_steps_as_by_gradient_descent_alone(minute: Architecture) -> None:
    """Heads and normalizations move exactly as without Muon, and the convolutions do not."""
    nets = []
    for recipe in (MUON, MUON.but(optimizer="sgd")):
        net = standard_cnn(minute, seed=1)
        optimizer, generator = Optimizer(net, recipe, fused=False), torch.Generator().manual_seed(0)
        for parameter in net.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizer.step()
        nets.append(net)
    for one, other in zip(*(net.parameters() for net in nets), strict=True):
        assert torch.equal(one, other) == (one.ndim != 4)


def test_biases_and_normalizations_may_have_a_rate_of_their_own(minute: Architecture) -> None:
    """A multiple of the others', along the schedule, whatever decays."""
    moved = []
    for times, everything in ((1.0, False), (8.0, True)):
        net = standard_cnn(minute, seed=1)
        before = [parameter.detach().clone() for parameter in net.parameters()]
        recipe = RECIPES["digits"].but(bias_rate=times, weight_decay=0.0, decay_everything=everything)
        optimizer = Optimizer(net, recipe, fused=False)
        optimizer.set_rate(0.01)
        generator = torch.Generator().manual_seed(0)
        for parameter in net.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizer.step()
        moved.append([new.detach() - old for old, new in zip(before, net.parameters(), strict=True)])
    for one, other in zip(*moved, strict=True):
        torch.testing.assert_close(other, one * (8.0 if one.ndim == 1 else 1.0), rtol=1e-4, atol=1e-6)


def test_the_rate_of_muon_follows_the_schedule(minute: Architecture) -> None:
    """A tenth of the recipe's rate for the one is a tenth for the other; at none nothing moves but the scale."""
    net = standard_cnn(minute, seed=1)
    optimizer = Optimizer(net, MUON, fused=False)
    optimizer.set_rate(0.0)
    stepped(net, optimizer)
    once = [weight.detach().clone() for weight in convolutions(net)]
    stepped(net, optimizer, 1)
    for old, new in zip(once, convolutions(net), strict=True):
        torch.testing.assert_close(old, new)


def test_a_training_by_muon_learns_and_goes_on_where_it_was_stopped(
    minute: Architecture, few: Splits, tmp_path: Path
) -> None:
    """Bit for bit the weights of one that was not, far above chance after ten epochs of 160 digits."""

    class Stops:
        def step(self, done: int, total: int, loss: float) -> None: ...

        def epoch(self, record: object) -> None:
            raise KeyboardInterrupt

    run = Run(minute, MUON, "digits", 0)
    whole = train(run, few, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(run, few, tmp_path / "stopped", observers=[Stops()])
    train(run, few, tmp_path / "stopped", resume=True)
    hashes = {hashlib.sha256((tmp_path / name / WEIGHTS).read_bytes()).hexdigest() for name in ("whole", "stopped")}
    assert len(hashes) == 1
    assert whole.card.validation_accuracy[3] > 0.4
