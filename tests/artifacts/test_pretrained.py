"""The weights that come with the package: whole, of one training, and as right as they are said to be."""

from pathlib import Path

import numpy as np
import pytest

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.pretrained import MEM, known, pretrained
from offramp.artifacts.suite import SUITE, RunKey, Suite
from offramp.errors import InputError

ROOT = Path(__file__).parents[2]
DATA = ROOT / "data" / "cifar10"
SAMPLES = 1_000
MOST = {MEM: 4_500_000, "cifar10-medium-mem": 10_000_000}  # bytes: an install stays small


@pytest.mark.parametrize("name", MOST)
def test_it_is_a_checkpoint_and_its_bundle(name: str) -> None:
    """Every byte is checked on opening; the bundle was made from the weights beside it."""
    from offramp.models.checkpoint import Checkpoint

    folder = pretrained(name)
    checkpoint, bundle = Checkpoint.open(folder), Bundle.open(folder / "bundle")
    assert bundle.manifest.model == "mem"
    assert bundle.manifest.exits == tuple(range(1, 10))
    assert bundle.manifest.origin.checkpoint_sha256 == checkpoint.card.weights_sha256


def test_each_is_small() -> None:
    """Weights and graph together; there is no other."""
    sizes = {
        name: sum(file.stat().st_size for file in pretrained(name).rglob("*") if file.is_file()) for name in known()
    }
    assert sizes.keys() == MOST.keys()
    assert [name for name, size in sizes.items() if size > MOST[name]] == []


def test_an_unknown_name_is_refused() -> None:
    """With those that there are."""
    with pytest.raises(
        InputError, match=rf"pretrained network 'resnet': unknown\. There is cifar10-medium-mem, {MEM}\."
    ):
        pretrained("resnet")


def stated(name: str) -> dict[int, float]:
    """The accuracy at each exit that a network's page gives, on pixels."""
    if name == MEM:
        suite = Suite.read(ROOT / "results" / "cifar10-small-conv" / SUITE)
        return {run.key: run for run in suite.runs}[RunKey(model="mem", regime="joint", seed=0)].test_accuracy
    lines = (pretrained(name) / "README.md").read_text().splitlines()
    (row,) = (lines[at + 2] for at, line in enumerate(lines) if line.startswith("| exit 1 |"))
    return {exit_: float(value) / 100 for exit_, value in enumerate(row.strip("| ").split(" | "), start=1)}


@pytest.mark.parametrize("name", MOST)
def test_it_is_as_right_as_the_results_say(name: str) -> None:
    """On the first thousand test images, within what so few may differ."""
    from offramp.data.load import load
    from offramp.exits.evaluation import accuracy_at
    from offramp.measure.predict import of_bundle

    if not DATA.exists():
        pytest.skip(f"CIFAR-10 is not at {DATA}")
    bundle = Bundle.open(pretrained(name) / "bundle")
    origin = bundle.manifest.origin
    test = load(str(DATA), (3, 32, 32), seed=origin.seed).test.rows(slice(SAMPLES))
    predictions = of_bundle(bundle).predict(test, "test")
    assert stated(name).keys() == set(bundle.manifest.exits)
    for exit_, accuracy in stated(name).items():
        error = 4 * np.sqrt(accuracy * (1 - accuracy) / SAMPLES)
        assert abs((accuracy_at(predictions, exit_) or 0) - accuracy) < error
