"""Heads alone are trained on a backbone that stays as it is."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from offramp.data.digits import digits
from offramp.data.image_set import ImageSet
from offramp.errors import TrainingError
from offramp.models.graph_network import BACKBONE, GraphNet, graph_network
from offramp.models.heads import GraphHead
from offramp.train.heads import HeadRecipe, Learnt, train_heads
from offramp.train.observe import EpochRecord
from offramp.train.stand import MOST, Backbone, standing
from small_graphs import CLASSES, residual_network

QUICK = HeadRecipe(epochs=4, batch_size=32, learning_rate=1e-2)


@pytest.fixture(scope="module")
def three() -> tuple[ImageSet, ImageSet]:
    """Zeros, ones and twos to learn from, and others to look at."""
    images = digits()
    chosen = images.rows(np.flatnonzero(images.labels < 3))
    named = replace(chosen, classes=CLASSES, mirrors=True)
    return named.rows(slice(0, 300)), named.rows(slice(300, 400))


def learnt(
    sets: tuple[ImageSet, ImageSet], folder: Path, recipe: HeadRecipe = QUICK, *, seed: int = 0, most: int = MOST
) -> tuple[GraphNet, Learnt]:
    """A network with trained heads, and what came of them."""
    network, graph = residual_network(recipe.head)
    net = graph_network(network, seed=seed, files={BACKBONE: graph})
    backbone = Backbone(graph, net, network.shape, net.exits, network.takes.from_uint8, threads=1)
    with standing(backbone, backbone, *sets, folder / "features", views=recipe.views, most=most) as (train, validation):
        found = train_heads(net, train, validation, recipe, seed)
    return net.eval(), found


@pytest.mark.parametrize(
    ("samples", "batch", "epochs"),
    [(100, 16, 20), (1_000, 25, 20), (10_000, 250, 20), (45_000, 256, 11), (10**6, 256, 8)],
)
def test_batches_and_epochs_go_by_the_size_of_the_set(samples: int, batch: int, epochs: int) -> None:
    """Unless they are said."""
    assert (HeadRecipe().batch(samples), HeadRecipe().rounds(samples)) == (batch, epochs)
    assert (QUICK.batch(samples), QUICK.rounds(samples)) == (32, 4)


@pytest.mark.parametrize("head", ["linear", "mlp", "conv"])
def test_heads_learn_what_the_features_tell(three: tuple[ImageSet, ImageSet], tmp_path: Path, head: GraphHead) -> None:
    """Even of a graph whose weights are random; and the accuracies are those of the network as it answers."""
    net, found = learnt(three, tmp_path, QUICK.model_copy(update={"head": head}))
    assert found.accuracy[2] > {"linear": 0.5, "mlp": 0.85, "conv": 0.6}[head]
    image = torch.from_numpy(three[1].images.transpose(0, 3, 1, 2).astype(np.float32) / 255)
    with torch.inference_mode():
        logits = net(image)
    labels = torch.from_numpy(three[1].labels)
    right = {exit_: round(float((at.argmax(1) == labels).float().mean()), 6) for exit_, at in logits.items()}
    assert right == found.accuracy
    assert set(found.temperatures) == {1, 2}
    assert not list(tmp_path.iterdir())


def test_the_same_seed_gives_the_same_weights(three: tuple[ImageSet, ImageSet], tmp_path: Path) -> None:
    """And another gives others."""
    one, two, other = (digest(learnt(three, tmp_path, seed=seed)[0]) for seed in (1, 1, 2))
    assert one == two != other


def test_past_the_bound_features_are_computed_again_and_heads_are_the_same(
    three: tuple[ImageSet, ImageSet], tmp_path: Path
) -> None:
    """The disk is spared, and nothing else changes: onnxruntime gives a sample the same features in any batch."""
    kept, again = (learnt(three, tmp_path, QUICK.model_copy(update={"views": 2}), most=most) for most in (MOST, 0))
    assert kept[1].accuracy == again[1].accuracy
    for exit_ in (1, 2):
        torch.testing.assert_close(
            kept[0].head(exit_)[-1].weight, again[0].head(exit_)[-1].weight, rtol=1e-3, atol=1e-4
        )


def test_a_second_view_is_the_mirrored_image(three: tuple[ImageSet, ImageSet], tmp_path: Path) -> None:
    """Rows behind the images' own."""
    network, graph = residual_network("linear")
    net = graph_network(network, files={BACKBONE: graph})
    backbone = Backbone(graph, net, network.shape, net.exits, network.takes.from_uint8, threads=1)
    images = three[0].rows(slice(0, 5))
    mirrored = replace(images, images=np.ascontiguousarray(images.images[:, :, ::-1]))
    with standing(backbone, backbone, images, images, tmp_path / "f", views=2) as (train, _):
        second = train.read(np.arange(5, 10))
        assert np.array_equal(train.labels, np.tile(images.labels, 2))
        assert (tmp_path / "f" / "training-features-1.npy").exists()
    with standing(backbone, backbone, mirrored, images, tmp_path / "f") as (train, _):
        for exit_, found in train.read(np.arange(5)).items():
            assert torch.equal(found, second[exit_])


def test_each_epoch_is_told_with_the_last_exits_own_accuracy(three: tuple[ImageSet, ImageSet], tmp_path: Path) -> None:
    """As of any other training."""

    class Told:
        def __init__(self) -> None:
            self.steps, self.epochs = list[tuple[int, int]](), list[EpochRecord]()

        def step(self, done: int, total: int, loss: float) -> None:
            assert np.isfinite(loss)
            self.steps.append((done, total))

        def epoch(self, record: EpochRecord) -> None:
            self.epochs.append(record)

    told = Told()
    network, graph = residual_network("linear")
    net = graph_network(network, files={BACKBONE: graph})
    backbone = Backbone(graph, net, network.shape, net.exits, network.takes.from_uint8, threads=1)
    with standing(backbone, backbone, *three, tmp_path / "f") as (train, validation):
        found = train_heads(net, train, validation, QUICK, 0, [told])
    assert told.steps[-1] == (40, 40)
    assert [record.epoch for record in told.epochs] == [1, 2, 3, 4]
    assert {record.validation_accuracy[3] for record in told.epochs} == {found.accuracy[3]}
    assert told.epochs[-1].loss < told.epochs[0].loss


def test_features_that_are_no_numbers_end_the_training(three: tuple[ImageSet, ImageSet], tmp_path: Path) -> None:
    """With the exit's number."""
    network, graph = residual_network("linear")
    net = graph_network(network, files={BACKBONE: graph})

    def broken(images: np.ndarray) -> np.ndarray:
        return np.full((len(images), 1, 8, 8), np.nan, np.float32)

    backbone = Backbone(graph, net, network.shape, net.exits, broken, threads=1)
    with (
        standing(backbone, backbone, *three, tmp_path / "f") as (train, validation),
        pytest.raises(TrainingError) as caught,
    ):
        train_heads(net, train, validation, QUICK, 0)
    assert str(caught.value) == (
        "exit 1: the backbone's features there are not numbers on some of the 300 training samples. "
        "Choose another exit, or mend the network."
    )
    assert not list(tmp_path.iterdir())


def digest(net: GraphNet) -> str:
    """One name for all its weights."""
    return hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in net.state_dict().values())).hexdigest()
