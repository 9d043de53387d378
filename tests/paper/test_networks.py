"""A suite's networks for nodes: exported where they were not, and refused where they are not what the suite says."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from offramp.artifacts.bundle import MANIFEST, Bundle
from offramp.artifacts.suite import BUNDLE, SUITE, Suite, bundles_in, open_suite
from offramp.errors import ArtifactMissingError, InputError, MissingExtraError
from offramp.paper.networks import networks, predictions_of, splits_of
from offramp.suite.budget import Clock
from offramp.suite.run import run_suite, suite_settings
from offramp.train.recipe import RECIPES

SEM = "runs/joint/sem-2-seed-0"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A suite of two networks, trained for an epoch and not exported."""
    out = tmp_path_factory.mktemp("suite")
    settings = suite_settings(
        data="digits", preset_name="tiny", recipe=RECIPES["digits"].but(epochs=1), models="standard,sem-2",
        regimes="joint", seeds="0",
    )  # fmt: skip
    run_suite(settings, out, clock=Clock(None), console=Console(quiet=True), threads=1)
    return out


@pytest.fixture(scope="module")
def exported(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with its bundles."""
    folder = tmp_path_factory.mktemp("exported") / "suite"
    shutil.copytree(trained, folder)
    networks(folder, open_suite(folder))
    return folder


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    shutil.copytree(exported, tmp_path / "suite")
    return tmp_path / "suite"


def test_what_was_not_exported_is_exported(exported: Path) -> None:
    """Once: what is there is only opened. A node finds the same bundles by the suite's folder."""
    written = {path: path.stat().st_mtime_ns for path in exported.rglob(MANIFEST)}
    found = networks(exported, open_suite(exported))
    assert list(found) == ["standard", "sem-2"]
    assert found["sem-2"].bundle.manifest.exits == (2, 9)
    assert {path: path.stat().st_mtime_ns for path in exported.rglob(MANIFEST)} == written
    assert [Bundle.open(path).manifest.model for path in bundles_in(exported)] == ["standard", "sem-2"]
    assert bundles_in(exported / SEM / BUNDLE) == [exported / SEM / BUNDLE]


def test_exporting_needs_torch_and_says_so(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node without it is told where to do it."""
    monkeypatch.setitem(sys.modules, "offramp.export.checkpoints", None)
    with pytest.raises(MissingExtraError, match=r"no bundle, and exporting one needs torch.*--prepare"):
        networks(trained, open_suite(trained))
    assert not (trained / SEM / BUNDLE).exists()


def test_export_writes_every_finished_run_of_a_suite(
    folder: Path, exported: Path, tmp_path: Path, offramp: Callable[..., Any]
) -> None:
    """By regime, model and seed; the same bundles that are made ready for nodes. What is not finished is named."""
    suite = Suite.read(folder / SUITE)
    suite.model_copy(update={"settings": suite.settings.model_copy(update={"seeds": (0, 1)})}).write(folder / SUITE)
    out = tmp_path / "bundles"
    done = offramp("export", str(folder), "--out", str(out))
    assert done.returncode == 0, done.stderr
    places = [f"joint/{model}-seed-0" for model in ("standard", "sem-2")]
    assert [line.split(": ")[0] for line in done.stdout.splitlines()[:-1]] == [f"{out}/{place}" for place in places]
    assert [Bundle.open(out / at).id for at in places] == [
        Bundle.open(exported / "runs" / at / BUNDLE).id for at in places
    ]
    assert done.stdout.splitlines()[-1] == (
        f"{folder}: 2 finished runs exported; not finished: standard joint seed 1, sem-2 joint seed 1. Go on with: "
        "offramp suite"
    )
    assert done.stderr.count("fingerprint") == 1, "the data are read once"


def test_export_of_a_suite_goes_where_nodes_look(folder: Path, offramp: Callable[..., Any]) -> None:
    """Without a place, into each run's own folder."""
    for bundle in bundles_in(folder):
        shutil.rmtree(bundle)
    done = offramp("export", str(folder))
    assert done.stdout.endswith(f"{folder}: 2 finished runs exported.\n"), done.stderr
    assert [Bundle.open(path).manifest.model for path in bundles_in(folder)] == ["standard", "sem-2"]


def test_export_names_a_run_that_is_not_there(folder: Path, refusal: Callable[..., str]) -> None:
    """Before it exports another."""
    shutil.rmtree(folder / SEM)
    assert refusal("export", str(folder), "--out", str(folder / "bundles")).startswith(f"{folder / SEM}: missing, and ")
    assert not (folder / "bundles").exists()


def test_a_folder_that_is_no_suite_is_refused(tmp_path: Path) -> None:
    """With the command that makes one."""
    with pytest.raises(ArtifactMissingError, match=r"it has no suite\.json\. Make one with: offramp suite"):
        open_suite(tmp_path)


def test_a_node_is_told_that_a_folder_holds_nothing_for_it(tmp_path: Path) -> None:
    """As a container is whose mounted folder is empty."""
    with pytest.raises(ArtifactMissingError, match=r"not a bundle, .*and not a suite, .*offramp reproduce --prepare"):
        bundles_in(tmp_path)


def test_a_run_that_is_not_there_is_named(folder: Path) -> None:
    """Copied in part, say."""
    shutil.rmtree(folder / SEM)
    with pytest.raises(ArtifactMissingError, match=r"sem-2-seed-0: missing, and .* says that sem-2 joint seed 0"):
        networks(folder, open_suite(folder))


def test_another_networks_bundle_is_refused(folder: Path) -> None:
    """Where it lies in this one's place."""
    shutil.rmtree(folder / SEM / BUNDLE)
    shutil.copytree(folder / "runs/joint/standard-seed-0" / BUNDLE, folder / SEM / BUNDLE)
    with pytest.raises(
        InputError, match=r"expected the bundle of sem-2, exits 2, 9, .*found that of standard, exits 9"
    ):
        networks(folder, open_suite(folder))


def test_other_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    """A bundle of the right name whose answers are not those that the suite was measured by."""
    suite = open_suite(folder)
    network = networks(folder, suite)["sem-2"]
    wrong = network.run.model_copy(update={"test_accuracy": {2: 0.5, 9: network.run.test_accuracy[9]}})
    changed = type(network)(wrong, network.bundle)
    test = splits_of(suite, None, network).test
    with pytest.raises(InputError, match=r"right at exit 2, and the suite says 50\.00 %"):
        predictions_of(changed, test, tmp_path / "p.parquet")
    assert not (tmp_path / "p.parquet").exists()


def test_predictions_are_made_once(folder: Path, tmp_path: Path) -> None:
    """And again where those that are there are another bundle's."""
    suite = open_suite(folder)
    found = networks(folder, suite)
    test = splits_of(suite, None, found["sem-2"]).test
    file = tmp_path / "p.parquet"
    first = predictions_of(found["sem-2"], test, file)
    before = file.stat().st_mtime_ns
    predictions_of(found["sem-2"], test, file)
    assert file.stat().st_mtime_ns == before
    other = predictions_of(found["standard"], test, file)
    assert other.header.source != first.header.source


def test_other_data_is_refused(folder: Path) -> None:
    """The suite says what it was measured on."""
    suite = Suite.read(folder / SUITE).model_copy(update={"test_samples": 10_000})
    network = networks(folder, suite)["sem-2"]
    with pytest.raises(InputError, match=r"359 test samples of 10 classes, and the suite was measured on 10000"):
        splits_of(suite, None, network)


def test_an_unknown_seed_is_refused(folder: Path) -> None:
    """With those that there are."""
    with pytest.raises(InputError, match=r"seed 3: .* has runs of seed 0\. Choose one of them"):
        networks(folder, open_suite(folder), seed=3)
