"""Multiply-adds and parameters against a formula by hand."""

import pytest
import torch

from offramp.artifacts.names import parse_exits
from offramp.models.architecture import PRESETS, Architecture, StandardCnn, preset
from offramp.models.cnn import standard_cnn
from offramp.models.count import ModuleCost, count

TEN = tuple("0123456789")
SMALL = StandardCnn(
    channels=3, height=8, width=12, classes=TEN[:4], widths=(8, 12, 16), pool_after=(1, 2), exits=(1, 3)
)


def stages_by_hand(architecture: Architecture) -> dict[int, ModuleCost]:
    """Two 3x3 convolutions a block, k*k*cin*cout*h*w; two normalizations of two parameters a channel."""
    costs = {}
    (before, height, width) = architecture.shape
    front = 0
    if architecture.whitened:  # 2x2 patches to their components and the negatives, each with a bias
        front, before = 2 * 2 * before * 8 * before, 8 * before
    for index, after in enumerate(architecture.widths, start=1):
        weights = (front if index == 1 else 0) + 3 * 3 * before * after + 3 * 3 * after * after
        macs = weights * height * width
        if index in architecture.pool_after:
            height, width = height // 2, width // 2
        costs[index] = ModuleCost(
            macs,
            weights + 2 * 2 * after + (8 * architecture.channels if front and index == 1 else 0),
            (after, height, width),
        )
        before = after
    return costs


def heads_by_hand(architecture: Architecture) -> dict[int, ModuleCost]:
    """A linear layer with a bias a class."""
    classes = len(architecture.classes)
    return {
        exit_: ModuleCost(
            architecture.widths[exit_ - 1] * classes, (architecture.widths[exit_ - 1] + 1) * classes, (classes,)
        )
        for exit_ in architecture.exits
    }


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_costs_what_the_formula_says(name: str) -> None:
    """Stage by stage and head by head: MACs, parameters and shape."""
    architecture = preset(name).architecture(parse_exits("mem", 9), TEN)
    stages, heads = count(standard_cnn(architecture), architecture.shape)
    assert stages == stages_by_hand(architecture)
    assert heads == {exit_: ModuleCost(c.macs, c.parameters, (10,)) for exit_, c in heads_by_hand(architecture).items()}


@pytest.mark.parametrize(
    ("name", "millions"), [("tiny", 2.8), ("small", 11.6), ("medium", 34.9), ("slim", 88.2), ("full", 605.7)]
)
def test_presets_have_the_sizes_they_are_known_by(name: str, millions: float) -> None:
    """What the documentation promises of each."""
    architecture = preset(name).architecture((9,), TEN)
    total = sum(cost.macs for cost in stages_by_hand(architecture).values())
    assert total / 1e6 == pytest.approx(millions, abs=0.05)


def test_oblong_images_and_changing_widths_are_counted() -> None:
    """Height and width are not taken for one another, nor a stage's input for its output."""
    stages, heads = count(standard_cnn(SMALL), SMALL.shape)
    assert stages == stages_by_hand(SMALL)
    assert heads == heads_by_hand(SMALL)
    assert stages[1] == ModuleCost((27 * 8 + 72 * 8) * 96, 27 * 8 + 72 * 8 + 32, (8, 4, 6))


def test_parameters_add_up_to_the_networks() -> None:
    """No parameter is counted twice or forgotten."""
    net = standard_cnn(SMALL)
    stages, heads = count(net, SMALL.shape)
    counted = sum(cost.parameters for cost in (*stages.values(), *heads.values()))
    assert counted == sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize("training", [True, False])
def test_counting_changes_nothing(training: bool) -> None:
    """Weights, running statistics and the mode are as before."""
    net = standard_cnn(SMALL).train(training)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    count(net, SMALL.shape)
    assert net.training is training
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
