"""Training itself: it learns, repeats itself bit for bit, follows its recipe, and stops when it diverges."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors
import torch

from offramp.data.digits import digits
from offramp.data.image_set import Splits, split
from offramp.errors import InputError, TrainingError
from offramp.models.architecture import Architecture
from offramp.models.checkpoint import WEIGHTS, Checkpoint
from offramp.models.cnn import standard_cnn
from offramp.train.accuracy import accuracies
from offramp.train.loop import LOG, STATE, Run, train
from offramp.train.observe import EpochRecord
from offramp.train.recipe import RECIPES, Recipe, learning_rate

PAPER, DIGITS = RECIPES["paper"].but(epochs=2), RECIPES["digits"].but(epochs=2)
CPU = torch.device("cpu")


def weights_hash(folder: Path) -> str:
    """The weights file's sha256."""
    return hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()


def run(architecture: Architecture, recipe: Recipe, seed: int = 0) -> Run:
    """A run on the digits."""
    return Run(architecture, recipe, "digits", seed)


class Told:
    """An observer that keeps what it hears."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, int]] = []
        self.records: list[EpochRecord] = []

    def step(self, done: int, total: int, loss: float) -> None:
        """Keep the share of steps."""
        assert loss > 0
        self.steps.append((done, total))

    def epoch(self, record: EpochRecord) -> None:
        """Keep the record."""
        self.records.append(record)


@pytest.mark.parametrize("name", ["paper", "digits"])
def test_a_tiny_network_learns_the_digits(minute: Architecture, tmp_path: Path, name: str) -> None:
    """Five epochs bring each exit far above the 10 % of chance, on samples that it was not trained on."""
    splits = split(digits(), None, 0)
    checkpoint = train(run(minute, RECIPES[name].but(epochs=5)), splits, tmp_path)
    accuracy = accuracies(checkpoint.net, splits.test)
    assert accuracy[1] > 0.35
    assert accuracy[2] > 0.6
    assert accuracy[3] > 0.5
    losses = [json.loads(line)["loss"] for line in (tmp_path / LOG).read_text().splitlines()]
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("recipe", [PAPER, DIGITS], ids=["paper", "digits"])
def test_the_same_seed_gives_the_same_weights_bit_for_bit(
    few: Splits, minute: Architecture, tmp_path: Path, recipe: Recipe
) -> None:
    """On one machine's CPU; another seed gives others."""
    for folder, seed in (("a", 3), ("b", 3), ("c", 4)):
        train(run(minute, recipe, seed), few, tmp_path / folder)
    assert weights_hash(tmp_path / "a") == weights_hash(tmp_path / "b")
    assert weights_hash(tmp_path / "a") != weights_hash(tmp_path / "c")


def test_a_checkpoint_says_how_it_came_about(few: Splits, minute: Architecture, tmp_path: Path) -> None:
    """Architecture, recipe, data, seed, hardware and the accuracy of the weights that it holds."""
    recipe = PAPER.but(loss_weights={1: 0.5, 2: 1.0, 3: 2.0})
    checkpoint = train(run(minute, recipe, 5), few, tmp_path)
    card = checkpoint.card
    assert (card.architecture, card.data, card.seed, card.epochs) == (minute, "digits", 5, 2)
    assert Recipe.model_validate(card.recipe) == recipe
    assert card.weights_sha256 == weights_hash(tmp_path)
    assert card.validation_accuracy == accuracies(checkpoint.net, few.validation)
    assert card.seconds > 0
    assert card.commit
    assert card.hardware
    assert Checkpoint.open(tmp_path).card == card
    assert not (tmp_path / STATE).exists()


def test_the_card_returned_is_the_card_on_disk(few: Splits, minute: Architecture, tmp_path: Path) -> None:
    """With loss weights by exit, whose keys are numbers here and strings in JSON."""
    recipe = PAPER.but(loss_weights={1: 0.5, 2: 1.0, 3: 2.0})
    assert train(run(minute, recipe), few, tmp_path).card == Checkpoint.open(tmp_path).card


def test_observers_hear_of_every_epoch_and_of_all_steps(few: Splits, minute: Architecture, tmp_path: Path) -> None:
    """Steps are counted over the whole training, epochs from 1, and the rate is the schedule's at the epoch's end."""
    told = Told()
    recipe = DIGITS.but(epochs=3, batch_size=10)
    train(run(minute, recipe), few, tmp_path, observers=[told])
    assert told.steps == [(16, 48), (32, 48), (48, 48)]
    assert [record.epoch for record in told.records] == [1, 2, 3]
    assert [record.learning_rate for record in told.records] == [
        learning_rate(recipe, (16 * epoch - 1) / 48) for epoch in (1, 2, 3)
    ]
    assert [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()] == [
        json.loads(record.model_dump_json()) for record in told.records
    ]


def test_threads_are_torchs_own_again_after_a_training(few: Splits, minute: Architecture, tmp_path: Path) -> None:
    """As many as were asked for while it trains, and nothing of that stays, even where it fails."""
    before, seen = torch.get_num_threads(), []

    class Stops(Told):
        def epoch(self, record: EpochRecord) -> None:
            seen.append(torch.get_num_threads())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(run(minute, DIGITS), few, tmp_path, observers=[Stops()], threads=before + 1)
    assert seen == [before + 1]
    assert torch.get_num_threads() == before


def test_long_epochs_are_reported_on_the_way(minute: Architecture, few: Splits, tmp_path: Path) -> None:
    """Every 20 steps, and at the end."""
    told = Told()
    train(run(minute, DIGITS.but(epochs=1, batch_size=3)), few, tmp_path, observers=[told])
    assert told.steps == [(20, 53), (40, 53), (53, 53)]


def test_a_loss_weight_of_0_leaves_its_head_alone(few: Splits, minute: Architecture, tmp_path: Path) -> None:
    """Weights by exit reach the loss: that head stays as it was drawn, the others do not."""
    recipe = PAPER.but(loss_weights={1: 1.0, 2: 0.0, 3: 1.0}).but(weight_decay=0.0)
    trained = train(run(minute, recipe, 7), few, tmp_path).net.state_dict()
    drawn = standard_cnn(minute, seed=7).state_dict()
    kept = {
        exit_: torch.equal(trained[f"heads.{exit_}.2.weight"], drawn[f"heads.{exit_}.2.weight"]) for exit_ in (1, 2, 3)
    }
    assert kept == {1: False, 2: True, 3: False}


@pytest.mark.parametrize("everything", [True, False])
def test_weight_decay_spares_normalization_unless_everything_decays(
    few: Splits, minute: Architecture, tmp_path: Path, everything: bool
) -> None:
    """Five steps of a tenth each: what decays shrinks to 0.9**5 = 0.59 of what it was."""
    recipe = PAPER.but(epochs=1, learning_rate=0.001, momentum=0.0, weight_decay=100.0, decay_everything=everything)
    net = train(run(minute, recipe), few, tmp_path).net
    scale = dict(net.named_parameters())["stages.1.1.weight"].detach()
    convolution = dict(net.named_parameters())["stages.1.0.weight"].detach()
    drawn = standard_cnn(minute).state_dict()["stages.1.0.weight"]
    assert float(scale.mean()) == pytest.approx(0.59 if everything else 1.0, abs=0.05)
    assert float(convolution.norm() / drawn.norm()) == pytest.approx(0.59, abs=0.05)


def test_low_precision_trains_other_weights_and_stores_fp32(few: Splits, minute: Architecture, tmp_path: Path) -> None:
    """bf16 is of the computation, not of what is kept."""
    nets = {
        precision: train(run(minute, PAPER.but(precision=precision)), few, tmp_path / precision).net.state_dict()
        for precision in ("fp32", "bf16")
    }
    assert all(torch.isfinite(tensor).all() for tensor in nets["bf16"].values())
    for name, tensor in nets["bf16"].items():
        assert tensor.dtype == nets["fp32"][name].dtype
    assert not torch.equal(nets["bf16"]["stages.0.1.weight"], nets["fp32"]["stages.0.1.weight"])


def test_the_training_sets_statistics_are_put_into_the_network(
    few: Splits, minute: Architecture, tmp_path: Path
) -> None:
    """The training part's, no other's."""
    weights = train(run(minute, PAPER.but(epochs=1)), few, tmp_path).net.state_dict()
    pixels = few.train.images.astype(np.float64) / 255
    assert float(weights["stages.0.0.mean"]) == pytest.approx(pixels.mean(), rel=1e-5)
    assert float(weights["stages.0.0.std"]) == pytest.approx(pixels.std(), rel=1e-5)
    assert few.test.images.mean() / 255 != pytest.approx(pixels.mean(), rel=1e-5)


def test_loss_weights_of_other_exits_start_no_training(few: Splits, minute: Architecture, tmp_path: Path) -> None:
    """And leave no folder behind."""
    with pytest.raises(InputError) as caught:
        train(run(minute, PAPER.but(loss_weights={3: 1.0})), few, tmp_path / "out")
    assert str(caught.value) == "loss weights: expected one for each of the exits 1, 2, 3, got 3."
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("rate", "what"), [(1e24, "loss is not a number"), (1e14, "weights are not numbers")])
def test_a_training_that_diverges_stops_and_keeps_the_last_good_epoch(
    few: Splits, minute: Architecture, tmp_path: Path, rate: float, what: str
) -> None:
    """One step an epoch: the first throws the weights far out, the second overflows and is neither kept nor logged."""
    recipe = PAPER.but(epochs=3, batch_size=160, learning_rate=rate)
    for resume in (False, True):  # it goes on from that epoch, and does not get further
        with pytest.raises(TrainingError) as caught:
            train(run(minute, recipe), few, tmp_path, resume=resume)
        assert str(caught.value) == (
            f"the {what} any more (epoch 2, step 1 of 1, learning rate {rate:.3g}). Lower the learning rate and train "
            "again, in another folder: this one keeps epoch 1, and --resume goes on from there at the same rate alone."
        )
    with pytest.raises(TrainingError, match="holds a run of another model, recipe, data or seed"):
        train(run(minute, recipe.but(learning_rate=0.1)), few, tmp_path, resume=True)
    with safetensors.safe_open(tmp_path / STATE, "pt") as state:
        assert state.metadata()["epochs"] == "1"
        weights = [state.get_tensor(name) for name in state.keys() if name.startswith("net.")]  # noqa: SIM118
    assert all(torch.isfinite(tensor).all() for tensor in weights)
    assert [json.loads(line)["epoch"] for line in (tmp_path / LOG).read_text().splitlines()] == [1]
    assert not (tmp_path / WEIGHTS).exists()


def test_a_training_that_diverges_at_once_leaves_its_folder_free(
    few: Splits, minute: Architecture, tmp_path: Path
) -> None:
    """Nothing was kept, and nothing has to be resumed or removed."""
    recipe = PAPER.but(epochs=1, batch_size=16)
    with pytest.raises(TrainingError) as caught:
        train(run(minute, recipe.but(learning_rate=1e30)), few, tmp_path)
    assert str(caught.value).endswith(
        "Lower the learning rate and train again, in this folder or another: no epoch was kept."
    )
    assert not (tmp_path / STATE).exists()
    train(run(minute, recipe), few, tmp_path)
    assert [json.loads(line)["epoch"] for line in (tmp_path / LOG).read_text().splitlines()] == [1]


def test_a_runs_key_names_all_that_its_weights_depend_on(few: Splits, minute: Architecture) -> None:
    """Recipe, architecture, seed, training images and labels; not the folder, and not the other parts of the data."""
    base = run(minute, PAPER)
    part = few.train
    keys = [
        base.key(part),
        replace(base, seed=1).key(part),
        replace(base, recipe=PAPER.but(epochs=3)).key(part),
        replace(base, architecture=minute.model_copy(update={"exits": (2, 3)})).key(part),
        base.key(part.rows(slice(0, 159))),
        base.key(replace(part, labels=np.roll(part.labels, 1))),
        base.key(replace(part, images=255 - part.images)),
    ]
    assert len(set(keys)) == len(keys)
    assert base.key(split(digits().rows(slice(0, 400)), None, 0).train) == keys[0]
