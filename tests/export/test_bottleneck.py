"""A network with convolutional heads and a learned bottleneck goes through export, cut and codec as any other does."""

from pathlib import Path

import numpy as np
import pytest

from offramp.artifacts.bundle import Bundle
from offramp.data.image_set import Splits
from offramp.exits.evaluation import accuracy_at
from offramp.export.write import export
from offramp.measure.predict import of_bundle
from offramp.models.architecture import preset
from offramp.models.checkpoint import Checkpoint
from offramp.train.accuracy import accuracies
from offramp.train.loop import Run, train
from offramp.train.recipe import recipe

CUT = 3


@pytest.fixture(scope="module")
def squeezed(digits: Splits, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """SEM-3 whose boundary 3 carries 3 channels of 16, trained for five epochs."""
    architecture = preset("tiny").architecture((CUT, 9), digits.train.classes, "conv", {CUT: 3})
    run = Run(architecture, recipe("digits").but(epochs=5), "digits", 0)
    return train(run, digits, tmp_path_factory.mktemp("squeezed") / "checkpoint")


@pytest.fixture(scope="module")
def exported(squeezed: Checkpoint, digits: Splits) -> Bundle:
    """As nodes run it."""
    return export(squeezed, squeezed.path / "bundle", digits.calibration)


def test_a_checkpoint_holds_its_heads_and_bottlenecks(squeezed: Checkpoint, digits: Splits) -> None:
    """Opened again it is the same network."""
    again = Checkpoint.open(squeezed.path)
    assert again.card.architecture.bottlenecks == {CUT: 3}
    assert accuracies(again.net, digits.test) == accuracies(squeezed.net, digits.test)


def test_few_bytes_cross_at_a_bottleneck(exported: Bundle) -> None:
    """3 channels of 4x4 places, a byte each, where the image has 256."""
    cut = exported.manifest.cut(CUT)
    assert exported.manifest.tensors(CUT) == {"features_3": (3, 4, 4)}
    assert len(cut.scale) == 3
    assert cut.codecs["uint8"].bytes_per_sample == 48


def test_answers_agree_whether_features_cross_as_they_are_or_in_a_byte_each(exported: Bundle, digits: Splits) -> None:
    """The last exit was trained behind that rounding: it gives the same label to 98 of 100 samples."""
    whole, crossed = (of_bundle(exported, CUT, codec).predict(digits.test, "test") for codec in ("fp32", "uint8"))
    assert accuracy_at(whole, 9) > 0.7  # type: ignore[operator]
    labels = [predictions.at(9).argmax(axis=1) for predictions in (whole, crossed)]
    assert float(np.mean(labels[0] == labels[1])) >= 0.98
    np.testing.assert_array_equal(whole.at(CUT), crossed.at(CUT))


def test_it_can_be_written_in_int8(squeezed: Checkpoint, digits: Splits, tmp_path: Path) -> None:
    """Convolutions of a head and of a bottleneck are quantized as a stage's are."""
    bundle = export(squeezed, tmp_path / "bundle", digits.calibration, int8=True, force_int8=True)
    assert bundle.manifest.int8 is not None
    before, after = bundle.manifest.int8.fp32_accuracy, bundle.manifest.int8.int8_accuracy
    assert {k: after[k] == pytest.approx(before[k], abs=0.1) for k in before} == {CUT: True, 9: True}
