"""Predictions of a checkpoint and of its bundle."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.codec import CODECS, Codec
from offramp.artifacts.predictions import Predictions
from offramp.data.image_set import Splits
from offramp.data.load import load
from offramp.errors import ArtifactDamagedError, ArtifactMissingError, DataError, InputError
from offramp.measure.predict import BATCH, of_bundle, of_checkpoint, open_predictor
from offramp.models.checkpoint import WEIGHTS, Checkpoint
from offramp.train.accuracy import accuracies
from offramp.train.pixels import to_tensor


@pytest.fixture(scope="module")
def by_torch(checkpoint: Checkpoint, digits: Splits) -> Predictions:
    """The checkpoint's predictions of the test set."""
    return open_predictor(checkpoint.path).predict(digits.test, "test")


def test_checkpoint_and_bundle_agree_at_every_exit(by_torch: Predictions, predictions: Predictions) -> None:
    """To a ten-thousandth of a logit, on more samples than one pass takes."""
    assert len(predictions) == len(by_torch) > BATCH
    assert predictions.header.exits == by_torch.header.exits == tuple(range(1, 10))
    for exit_ in predictions.header.exits:
        np.testing.assert_allclose(predictions.at(exit_), by_torch.at(exit_), rtol=0, atol=1e-4)


def test_predictions_are_the_networks_logits_in_the_sets_order(
    checkpoint: Checkpoint, by_torch: Predictions, digits: Splits
) -> None:
    """All at once by hand; index and labels are the set's."""
    with torch.inference_mode():
        logits = checkpoint.net(to_tensor(digits.test, torch.device("cpu")))
    for exit_, values in logits.items():
        np.testing.assert_allclose(by_torch.at(exit_), values.numpy(), rtol=0, atol=1e-4)
    assert np.array_equal(by_torch.index, digits.test.index)
    assert np.array_equal(by_torch.labels, digits.test.labels)


def test_their_accuracies_are_those_that_training_measures(checkpoint: Checkpoint, predictions: Predictions) -> None:
    """One definition of accuracy at an exit, whoever computes the logits."""
    splits = load("digits", (1, 16, 16))
    found = {k: float(np.mean(logits.argmax(1) == predictions.labels)) for k, logits in predictions.logits.items()}
    assert found == pytest.approx(accuracies(checkpoint.net, splits.test), abs=1e-6)


def test_a_header_says_what_was_measured_on_what(
    checkpoint: Checkpoint, bundle: Bundle, by_torch: Predictions, predictions: Predictions
) -> None:
    """The source tells a bundle's predictions from its checkpoint's, and from any other's."""
    assert predictions.header.source == f"bundle:{bundle.id}"
    assert by_torch.header.source == f"checkpoint:{checkpoint.card.weights_sha256}"
    for header in (predictions.header, by_torch.header):
        assert (header.model, header.data, header.split) == ("mem", "digits", "test")
        assert header.classes == bundle.manifest.classes
        assert (header.cut, header.codec) == (0, "fp32")


def test_a_folder_is_opened_as_what_it_is(checkpoint: Checkpoint, bundle: Bundle) -> None:
    """Both give the shape and the seed that the data must be loaded with."""
    for path, kind in ((checkpoint.path, "checkpoint"), (bundle.path, "bundle")):
        predictor = open_predictor(path)
        assert predictor.about.source.startswith(f"{kind}:")
        assert (predictor.shape, predictor.seed, predictor.about.exits) == ((1, 16, 16), 0, tuple(range(1, 10)))


def test_a_checkpoint_is_predicted_on_so_many_threads(checkpoint: Checkpoint, digits: Splits) -> None:
    """And torch has its own number again; without one it is not told any."""
    before, seen = torch.get_num_threads(), []
    watched = Checkpoint.open(checkpoint.path)
    watched.net.register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
    for threads in (before + 1, None):
        of_checkpoint(watched, "cpu", threads).predict(digits.test.rows(slice(2)), "test")
    assert seen == [before + 1, before]
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("cut", [0, 1, 4, 8])
def test_a_codec_changes_the_last_exit_only(
    bundle: Bundle, predictions: Predictions, digits: Splits, cut: int, codec: Codec
) -> None:
    """Local exits answer before the cut; the last exit's logits are of features that crossed it."""
    found = of_bundle(bundle, cut, codec).predict(digits.test, "test")
    assert (found.header.cut, found.header.codec) == (cut, codec)
    for exit_ in range(1, 9):
        np.testing.assert_allclose(found.at(exit_), predictions.at(exit_), rtol=0, atol=1e-4)
    difference = float(np.abs(found.at(9) - predictions.at(9)).max())
    exact = codec == "fp32" or (cut, codec) == (0, "uint8")  # an 8-bit image is an 8-bit image
    assert difference < 1e-4 if exact else 1e-4 < difference < 2


def test_images_of_other_classes_are_refused(bundle: Bundle, checkpoint: Checkpoint, digits: Splits) -> None:
    """Their labels would mean something else; the message shows both."""
    letters = replace(digits.test, name="letters", classes=tuple("abcdefghijkl"))
    for path in (bundle.path, checkpoint.path):
        with pytest.raises(DataError) as caught:
            open_predictor(path).predict(letters, "test")
        assert str(caught.value) == (
            "letters: its classes are a, b, c, d, e… (12), the model's 0, 1, 2, 3, 4… (10). "
            "It was trained on digits: give that by --data."
        )


def test_classes_in_another_order_are_other_classes(bundle: Bundle, digits: Splits) -> None:
    """Label 0 would be the digit 9."""
    with pytest.raises(DataError, match=r"^digits: its classes are 9, 8, 7, 6, 5… \(10\), the model's 0, 1, 2, 3, 4"):
        of_bundle(bundle).predict(replace(digits.test, classes=digits.test.classes[::-1]), "test")


def test_images_of_another_size_are_refused(bundle: Bundle) -> None:
    """They are not resized behind the caller's back."""
    with pytest.raises(InputError) as caught:
        of_bundle(bundle).predict(load("digits", (1, 8, 8)).test.rows(slice(7)), "test")
    assert str(caught.value) == (
        "image: expected uint8 of shape (N, 16, 16, 1), got uint8 of shape (7, 8, 8, 1). "
        "Resize the images to the network's size first."
    )


def test_a_folder_that_is_neither_checkpoint_nor_bundle_is_refused(tmp_path: Path) -> None:
    """Empty, or not there at all."""
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ArtifactMissingError) as caught:
            open_predictor(path)
        assert str(caught.value) == (
            f"{path}: neither a checkpoint (model.json) nor a bundle (manifest.json). "
            "Write one with: offramp train, then offramp export"
        )


def test_a_damaged_checkpoint_is_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    """Predictions of other weights than the card's are never made."""
    (tmp_path / "model.json").write_bytes((checkpoint.path / "model.json").read_bytes())
    weights = bytearray((checkpoint.path / WEIGHTS).read_bytes())
    weights[-1] ^= 1
    (tmp_path / WEIGHTS).write_bytes(weights)
    with pytest.raises(ArtifactDamagedError, match="expected sha256"):
        open_predictor(tmp_path)


def test_a_checkpoint_has_no_codec(checkpoint: Checkpoint) -> None:
    """Its scales are calibrated at export."""
    with pytest.raises(InputError) as caught:
        open_predictor(checkpoint.path, 3, "uint8")
    assert str(caught.value) == (
        f"{checkpoint.path}: a checkpoint has no codec uint8. Export it, and predict the bundle."
    )


def test_a_cut_that_the_bundle_lacks_is_refused(bundle: Bundle) -> None:
    """With or without a codec."""
    for codec in CODECS:
        with pytest.raises(InputError) as caught:
            of_bundle(bundle, 9, codec)
        assert str(caught.value) == "cut 9: mem can be cut at 0, 1, 2, 3, 4, 5, 6, 7, 8. Choose one of them."
