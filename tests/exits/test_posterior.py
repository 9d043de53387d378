"""Losses that are expected of a sample, given what all its exits say."""

import numpy as np
import pytest
import scipy.special

from offramp.artifacts.predictions import Predictions, PredictionsHeader
from offramp.exits.posterior import expected_losses, posterior


@pytest.fixture(scope="module")
def truthful() -> Predictions:
    """Labels drawn by the second of three exits, of which the logits are halved; the others are noise around it."""
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 2, (4000, 3))
    labels = (scipy.special.softmax(truth, axis=1).cumsum(axis=1) < rng.random((4000, 1))).sum(axis=1)
    noise = rng.normal(0, 1, (2, 4000, 3))
    header = PredictionsHeader(
        model="m", source="bundle:0", data="d", split="validation", classes=("a", "b", "c"), exits=(1, 2, 5)
    )
    logits = {1: truth + noise[0], 2: truth / 2, 5: truth + noise[1]}
    return Predictions(header, np.arange(4000), labels, {k: x.astype(np.float32) for k, x in logits.items()})


def test_the_weights_find_what_the_labels_were_drawn_by(truthful: Predictions) -> None:
    """The exit that knows gets its scale back, and the noise nothing."""
    truth = scipy.special.softmax(2 * truthful.at(2).astype(np.float64), axis=1)
    assert np.abs(posterior(truthful) - truth).mean() < 0.01


def test_an_expected_loss_is_the_counted_one_in_the_mean_with_less_scatter(truthful: Predictions) -> None:
    """Within three standard errors, at each local exit."""
    right = [truthful.at(k).argmax(axis=1) == truthful.labels for k in (1, 2, 5)]
    found = expected_losses(truthful)
    assert found.shape == (2, 4000)
    for loss, local in zip(found, right[:-1], strict=True):
        counted = right[-1].astype(float) - local
        assert abs(loss.mean() - counted.mean()) < 3 * (counted - loss).std() / 4000**0.5
        assert loss.std() < 0.7 * counted.std()


def test_a_network_of_one_exit_has_nothing_to_lose() -> None:
    """No local exit, no row."""
    header = PredictionsHeader(model="m", source="bundle:0", data="d", split="s", classes=("a", "b"), exits=(3,))
    one = Predictions(header, np.arange(2), np.array([0, 1]), {3: np.eye(2, dtype=np.float32)})
    assert expected_losses(one).shape == (0, 2)
