"""Networks of any family are built in one place: a second one goes the whole way, and nothing on it knows."""

import json
from typing import Literal

import numpy as np
import pytest
import torch
from torch import nn

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.codec import CODECS, Codec
from offramp.artifacts.preprocessing import Preprocessing
from offramp.data.digits import digits
from offramp.data.image_set import Splits, split
from offramp.errors import InputError
from offramp.export.write import export
from offramp.measure.predict import of_bundle, of_checkpoint
from offramp.models.architecture import Architecture, StandardCnn
from offramp.models.build import FAMILIES, NetworkFamily, build, describe
from offramp.models.checkpoint import CARD, Checkpoint
from offramp.models.exit_net import ExitNet, Statistics
from offramp.runtime.open import open_span
from offramp.runtime.span import SpanSpec
from offramp.train.loop import Run, train
from offramp.train.recipe import RECIPES


class Perceptron(Architecture):
    """Layers of one width, an exit at each of `exits`: no convolution, and features `(N, width)`."""

    family: Literal["perceptron"] = "perceptron"
    width_of_layers: int

    @property
    def takes(self) -> Preprocessing:
        return Preprocessing(channels=1, height=8, width=8)


def perceptron(architecture: Perceptron, statistics: Statistics | None, seed: int) -> ExitNet:
    """Build one. Its features are below 0 as often as above."""
    torch.manual_seed(seed)
    width, pixels = architecture.width_of_layers, int(np.prod(architecture.shape))
    stages = [
        nn.Sequential(nn.Flatten(), nn.Linear(before, width), nn.Tanh())
        for before in (pixels, *[width] * (architecture.last - 1))
    ]
    return ExitNet(stages, {k: nn.Linear(width, len(architecture.classes)) for k in architecture.exits})


TWO = FAMILIES | {"perceptron": NetworkFamily(Perceptron, perceptron)}  # type: ignore[operator]
NET = Perceptron(classes=tuple("0123456789"), exits=(1, 3), width_of_layers=16)
CNN = StandardCnn(channels=1, height=8, width=8, classes=("a",), exits=(2,), widths=(4, 4), pool_after=())


@pytest.fixture(scope="module")
def few() -> Splits:
    """160 digits to train on and 80 in each other part, at their own size."""
    return split(digits().rows(slice(0, 400)), None, 0)


@pytest.fixture(scope="module")
def trained(few: Splits, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """The second family after two steps."""
    recipe = RECIPES["digits"].but(epochs=1, batch_size=80)
    return train(Run(NET, recipe, "digits", 0, TWO), few, tmp_path_factory.mktemp("perceptron") / "checkpoint")


@pytest.fixture(scope="module")
def bundle(trained: Checkpoint, few: Splits) -> Bundle:
    """What nodes would run of it."""
    return export(trained, trained.path / "bundle", few.calibration)


def test_a_documents_family_says_what_is_built() -> None:
    """Each by its own builder."""
    assert type(build(CNN).stages[0][0]) is not nn.Flatten
    assert type(build(NET, families=TWO).stages[0][0]) is nn.Flatten


def test_a_document_is_read_as_its_familys() -> None:
    """From plain fields."""
    assert [describe(document.model_dump(), TWO) for document in (CNN, NET)] == [CNN, NET]


def test_an_unknown_family_is_refused_with_those_there_are() -> None:
    """Where a network is built, too."""
    with pytest.raises(InputError) as caught:
        build(NET)
    assert str(caught.value) == "family 'perceptron': unknown, expected one of standard-cnn, graph."


def test_a_second_family_is_trained_and_read_again(trained: Checkpoint) -> None:
    """Its document is in the card, and its weights are those that two steps made of the ones drawn."""
    assert json.loads((trained.path / CARD).read_text())["architecture"] == NET.model_dump(mode="json")
    again, drawn = Checkpoint.open(trained.path, TWO), build(NET, families=TWO)
    assert again.card.architecture == trained.card.architecture == NET
    weights = trained.net.state_dict()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in again.net.state_dict().items())
    assert not any(torch.equal(tensor, weights[name]) for name, tensor in drawn.state_dict().items())


def test_a_second_family_becomes_a_bundle(trained: Checkpoint, bundle: Bundle, few: Splits) -> None:
    """Which answers as the network does, and says what its boundaries hold."""
    manifest = bundle.manifest
    assert (manifest.model, manifest.exits) == ("sem-1", (1, 3))
    assert [stage.shape for stage in manifest.stages] == [(16,)] * 3
    by_torch, by_graph = (one.predict(few.test, "test") for one in (of_checkpoint(trained, "cpu"), of_bundle(bundle)))
    for exit_ in NET.exits:
        np.testing.assert_allclose(by_graph.at(exit_), by_torch.at(exit_), rtol=0, atol=1e-5)


@pytest.mark.parametrize("codec", CODECS)
def test_its_features_cross_in_every_codec(bundle: Bundle, few: Splits, codec: Codec) -> None:
    """Though they are vectors, and below 0: the last exit answers nearly alike."""
    sent = open_span(bundle, SpanSpec(0, 1, gives=codec)).run(bundle.read(few.test.images))
    found = open_span(bundle, SpanSpec(1, 3, (3,), takes=codec)).run(*sent.values())["logits_3"]
    expected = of_bundle(bundle).predict(few.test, "test").at(3)
    np.testing.assert_allclose(found, expected, rtol=0, atol={"fp32": 1e-5, "fp16": 1e-3, "uint8": 0.05}[codec])
