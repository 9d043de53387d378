"""Temperatures against what calibration means, folded into weights, and in a training from end to end."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from offramp.data.image_set import Splits
from offramp.errors import TrainingError
from offramp.models.architecture import Architecture
from offramp.models.checkpoint import Checkpoint
from offramp.models.cnn import standard_cnn
from offramp.train.accuracy import logits_of
from offramp.train.loop import Run, train
from offramp.train.recipe import RECIPES
from offramp.train.temperature import MOST, fold, temperature, temperatures


def drawn(times: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from the softmax of logits, and those logits given `times` as large."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (20_000, 10))
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (shares.cumsum(1) < random.random((len(shares), 1))).sum(1)
    return (times * logits).astype(np.float32), labels


@pytest.mark.parametrize("times", [0.2, 1.0, 3.0])
def test_the_temperature_undoes_what_made_probabilities_too_sure_or_not_sure_enough(times: float) -> None:
    """Labels follow softmax(z): of `times` z it takes a temperature of `times`, to the noise of 20,000 draws."""
    assert temperature(*drawn(times)) == pytest.approx(times, rel=0.02)


def test_labels_that_have_nothing_to_do_with_the_logits_end_at_the_bound() -> None:
    """No temperature is right for them but an endless one, and the search gives the largest that it may."""
    logits, labels = drawn(1.0)
    assert temperature(logits, 9 - logits.argmax(1)) == pytest.approx(MOST, rel=0.01)
    assert temperature(logits, labels) < 2


def test_folding_divides_each_exits_logits_and_no_features(minute: Architecture, few: Splits) -> None:
    """By its own temperature; the exit that has none stays as it is."""
    net = standard_cnn(minute, seed=1).eval()
    before, images = logits_of(net, few.test), torch.from_numpy(few.test.images).permute(0, 3, 1, 2).float()
    features = [one.clone() for one in net.features(images)]
    fold(net, {1: 0.5, 3: 4.0})
    after = logits_of(net, few.test)
    for exit_, divisor in {1: 0.5, 2: 1.0, 3: 4.0}.items():
        np.testing.assert_allclose(after[exit_] * divisor, before[exit_], rtol=1e-5, atol=1e-6)
    assert all(torch.equal(*pair) for pair in zip(features, net.features(images), strict=True))


def test_a_head_that_ends_in_no_linear_layer_is_refused_by_name(minute: Architecture) -> None:
    """The message says which exit, what it ends in, and what to do."""
    net = standard_cnn(minute, seed=1)
    net.heads["2"].append(nn.Tanh())  # type: ignore[operator]
    with pytest.raises(TrainingError, match=r"exit 2 ends in Tanh.*\"temperatures\": false"):
        fold(net, {2: 2.0})


def test_a_training_that_asks_for_temperatures_ends_with_them_in_its_weights(
    minute: Architecture, few: Splits, tmp_path: Path
) -> None:
    """The card has them, the written network needs no other, and but for them it is the one without."""
    recipe = RECIPES["digits"].but(epochs=12, label_smoothing=0.3)
    plain = train(Run(minute, recipe, "digits", 0), few, tmp_path / "plain")
    asked = Run(minute, recipe.but(temperatures=True), "digits", 0)
    found = train(asked, few, tmp_path / "found")
    assert plain.card.temperatures == {}
    assert "temperatures" not in (tmp_path / "plain/model.json").read_text()
    by_exit = Checkpoint.open(tmp_path / "found").card.temperatures
    assert by_exit == temperatures(plain.net, few.validation)
    assert all(abs(1 - one) > 0.01 for one in by_exit.values())
    assert list(temperatures(found.net, few.validation).values()) == pytest.approx([1.0] * 3, abs=1e-3)
    without, with_them = logits_of(plain.net, few.test), logits_of(found.net, few.test)
    for exit_, divisor in by_exit.items():
        np.testing.assert_allclose(with_them[exit_] * divisor, without[exit_], rtol=1e-4, atol=1e-5)
    assert found.card.validation_accuracy == plain.card.validation_accuracy
