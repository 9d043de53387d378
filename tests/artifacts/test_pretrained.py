"""The weights that come with the package: whole, of one training, and as right as they are said to be."""

from pathlib import Path

import numpy as np
import pytest

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.pretrained import MEM, pretrained
from offramp.artifacts.suite import SUITE, RunKey, Suite
from offramp.errors import InputError

ROOT = Path(__file__).parents[2]
DATA = ROOT / "data" / "cifar10"
SAMPLES = 1_000
WEIGHTS, WHOLE = 3_000_000, 4_500_000  # bytes at most: an install stays small


def test_it_is_a_checkpoint_and_its_bundle() -> None:
    """Every byte is checked on opening; the bundle was made from the weights beside it."""
    from offramp.models.checkpoint import Checkpoint

    folder = pretrained()
    checkpoint, bundle = Checkpoint.open(folder), Bundle.open(folder / "bundle")
    assert bundle.manifest.model == "mem"
    assert bundle.manifest.exits == tuple(range(1, 10))
    assert bundle.manifest.origin.checkpoint_sha256 == checkpoint.card.weights_sha256


def test_it_is_small() -> None:
    """The weights, and they and the graph together."""
    assert (pretrained() / "model.safetensors").stat().st_size < WEIGHTS
    assert sum(file.stat().st_size for file in pretrained().rglob("*") if file.is_file()) < WHOLE


def test_an_unknown_name_is_refused() -> None:
    """With those that there are."""
    with pytest.raises(InputError, match=rf"pretrained network 'resnet': unknown\. There is {MEM}"):
        pretrained("resnet")


def test_it_is_as_right_as_the_results_say() -> None:
    """On the first thousand test images, within what so few may differ."""
    from offramp.data.load import load
    from offramp.exits.evaluation import accuracy_at
    from offramp.measure.predict import of_bundle

    if not DATA.exists():
        pytest.skip(f"CIFAR-10 is not at {DATA}")
    bundle = Bundle.open(pretrained() / "bundle")
    origin = bundle.manifest.origin
    test = load(str(DATA), (3, 32, 32), seed=origin.seed).test.rows(slice(SAMPLES))
    predictions = of_bundle(bundle).predict(test, "test")
    suite = Suite.read(ROOT / "results" / "cifar10-small-conv" / SUITE)
    runs = {run.key: run for run in suite.runs}
    stated = runs[RunKey(model="mem", regime="joint", seed=origin.seed)].test_accuracy
    for exit_, accuracy in stated.items():
        error = 4 * np.sqrt(accuracy * (1 - accuracy) / SAMPLES)
        assert abs((accuracy_at(predictions, exit_) or 0) - accuracy) < error
