"""A suite's networks made ready for nodes: a bundle and its predictions on the test set for each."""

from dataclasses import dataclass
from pathlib import Path

from offramp.artifacts.bundle import MANIFEST, Bundle
from offramp.artifacts.data_record import POSITION
from offramp.artifacts.predictions import Predictions
from offramp.artifacts.preprocessing import Preprocessing
from offramp.artifacts.suite import BUNDLE, SUITE, Suite, SuiteRun, to_export
from offramp.data.image_set import ImageSet, Splits
from offramp.data.load import load
from offramp.errors import InputError, MissingExtraError
from offramp.exits.evaluation import accuracy_at
from offramp.measure.predict import of_bundle

APART = 0.002  # an accuracy over the test set may differ by rounding between torch and onnxruntime, not by more


@dataclass(frozen=True)
class Network:
    """One trained network, exported."""

    run: SuiteRun
    bundle: Bundle


def networks(folder: Path, suite: Suite, *, seed: int | None = None, data: str | None = None) -> dict[str, Network]:
    """Open each network of one seed under the suite's first regime, by name; export those that were not yet.

    Raises ArtifactMissingError where a run's files are not there, InputError where a bundle is another network's,
    MissingExtraError where something is to be exported and torch is not installed.
    """
    runs = suite.chosen(seed)
    if not runs:
        seeds = sorted({run.key.seed for run in suite.runs})
        raise InputError(f"seed {seed}: {folder} has runs of seed {', '.join(map(str, seeds))}. Choose one of them.")
    missing = [run for run in runs if not (folder / run.key.folder / BUNDLE / MANIFEST).is_file()]
    if missing:
        _export(folder, missing, data or suite.settings.data)
    ready = {}
    for run in runs:
        bundle = Bundle.open(folder / run.key.folder / BUNDLE)
        manifest = bundle.manifest
        expected = (run.key.model, run.exits, run.key.seed, run.commit)
        got = (manifest.model, manifest.exits, manifest.origin.seed, manifest.origin.commit)
        if got != expected:
            raise InputError(
                f"{bundle.path}: expected the bundle of {_said(*expected)}, as {folder / SUITE} has it; found that of "
                f"{_said(*got)}. Export it again: offramp export {folder / run.key.folder}"
            )
        ready[run.key.model] = Network(run, bundle)
    return ready


def splits_of(suite: Suite, data: str | None, network: Network) -> Splits:
    """The data that a suite was trained on, `data` standing in for where it lay."""
    origin = network.bundle.manifest
    takes = origin.preprocessing
    assert isinstance(takes, Preprocessing)  # the paper's networks take images
    rule = origin.origin.record.rule if origin.origin.record else POSITION
    splits = load(
        data or suite.settings.source or suite.settings.data, takes, seed=origin.origin.seed, rule=rule,
        read_as=takes.reading,
    )  # fmt: skip
    if (splits.test.classes, len(splits.test)) != (suite.classes, suite.test_samples):
        raise InputError(
            f"{data or suite.settings.data}: {len(splits.test)} test samples of {len(splits.test.classes)} classes, "
            f"and the suite was measured on {suite.test_samples} of {len(suite.classes)}. Give its data by --data."
        )
    return splits


def predictions_of(network: Network, test: ImageSet, file: Path) -> Predictions:
    """What a bundle answers at every exit, from `file` where it is there already.

    Raises InputError where that is not what the suite says of the network.
    """
    if file.exists():
        kept = Predictions.read(file)
        if kept.header.source == f"bundle:{network.bundle.id}" and len(kept) == len(test):
            return kept
    predictions = of_bundle(network.bundle).predict(test, "test")
    for exit_, stated in network.run.test_accuracy.items():
        measured = accuracy_at(predictions, exit_) or 0.0
        if abs(measured - stated) > APART + 2 / max(1, len(test)):
            raise InputError(
                f"{network.bundle.path}: {100 * measured:.2f} % right at exit {exit_}, and the suite says "
                f"{100 * stated:.2f} %. The bundle is not of this run: delete it, and it is exported again."
            )
    predictions.write(file)
    return predictions


def _export(folder: Path, runs: list[SuiteRun], data: str) -> None:
    places = to_export(folder, runs)
    try:
        from offramp.export.checkpoints import export_checkpoints
    except ImportError as error:
        raise MissingExtraError(
            f"{folder / runs[0].key.folder}: no bundle, and exporting one needs torch. Do it where torch is installed: "
            f"offramp reproduce {folder} --prepare"
        ) from error
    for _ in export_checkpoints(places, data):
        pass


def _said(model: str, exits: tuple[int, ...], seed: int, commit: str) -> str:
    return f"{model}, exits {', '.join(map(str, exits))}, seed {seed}, commit {commit}"
