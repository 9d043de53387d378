"""What a recipe makes of a network before its first step."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from offramp.data.image_set import Splits
from offramp.errors import InputError
from offramp.models.architecture import Architecture
from offramp.models.cnn import standard_cnn
from offramp.models.whitening import Whitening
from offramp.train import initial
from offramp.train.initial import prepare
from offramp.train.loop import Run, Trainer
from offramp.train.recipe import RECIPES

DIGITS = RECIPES["digits"]


def test_filters_begin_as_the_identity(minute: Architecture, few: Splits) -> None:
    """As many as channels come in; the others stay as they were drawn, of the run's seed."""
    drawn, prepared = standard_cnn(minute, seed=3), standard_cnn(minute, seed=3)
    prepare(prepared, minute, DIGITS.but(initialization="dirac"), few.train)
    for before, after in zip(drawn.modules(), prepared.modules(), strict=True):
        if isinstance(before, nn.Conv2d) and isinstance(after, nn.Conv2d):
            features = torch.rand(2, before.in_channels, 5, 5)
            assert torch.equal(after(features)[:, : before.in_channels], features)
            assert torch.equal(before.weight[before.in_channels :], after.weight[before.in_channels :])


def test_a_network_that_comes_with_its_weights_keeps_them(minute: Architecture, few: Splits) -> None:
    """It is refused, and not drawn anew."""

    class Elsewhere(Architecture):
        """Of another family."""

    document = Elsewhere(family="graph", classes=minute.classes, exits=minute.exits)
    net = standard_cnn(minute)
    with pytest.raises(InputError, match=r"^recipe: initialization dirac: .* graph comes with its weights"):
        prepare(net, document, DIGITS.but(initialization="dirac"), few.train)
    assert all(torch.equal(*pair) for pair in zip(net.parameters(), standard_cnn(minute).parameters(), strict=True))


def test_normalizations_forget_and_scale_as_the_recipe_says(minute: Architecture, few: Splits) -> None:
    """A training without a scale leaves it at one, where shifts learn."""
    recipe = DIGITS.but(epochs=1, norm_momentum=0.5, norm_scale=False)
    trainer = Trainer(Run(minute, recipe, "digits", 0), few, torch.device("cpu"))
    trainer.epoch([])
    norms = [module for module in trainer.net.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {norm.momentum for norm in norms} == {0.5}
    assert all(bool((norm.weight == 1).all()) and bool((norm.bias != 0).any()) for norm in norms)


def test_a_networks_own_normalizations_are_left_alone(minute: Architecture, few: Splits) -> None:
    """Where the recipe says nothing: how soon they forget, and one that has no scale at all."""
    net = standard_cnn(minute)
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm, momentum in zip(norms, (0.01, None, 0.5), strict=False):
        norm.momentum = momentum
    before = [norm.momentum for norm in norms]
    net.stages[0].append(nn.BatchNorm2d(8, affine=False))
    prepare(net, minute, DIGITS.but(norm_scale=False), few.train)
    assert [norm.momentum for norm in norms] == before


def test_whitening_looks_at_the_whole_set(minute: Architecture, few: Splits, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which may stand in the order of its classes: a few images are taken from all over it."""
    monkeypatch.setattr(initial, "PATCHES_OF", 10)
    document = minute.model_copy(update={"whitened": True})
    found = []
    for last in (0, 255):
        images = few.train.images.copy()
        images[-1] = last
        net = standard_cnn(document)
        prepare(net, document, DIGITS, replace(few.train, images=images))
        found.append(net.get_parameter("stages.0.1.convolution.weight").detach().clone())
    assert not torch.equal(*found)


def test_whitening_is_of_the_training_images_and_stays(minute: Architecture, few: Splits) -> None:
    """The filters after an epoch are those of before, and the biases are not."""
    document = minute.model_copy(update={"whitened": True})
    trainer = Trainer(Run(document, DIGITS.but(optimizer="muon"), "digits", 0), few, torch.device("cpu"))
    (layer,) = (module for module in trainer.net.modules() if isinstance(module, Whitening))
    filters = layer.convolution.weight.detach().clone()
    assert not torch.equal(filters, standard_cnn(document).get_parameter("stages.0.1.convolution.weight"))
    trainer.epoch([])
    assert torch.equal(layer.convolution.weight, filters)
    assert bool((layer.convolution.bias != 0).any())
