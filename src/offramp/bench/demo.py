"""The demonstration: the paper's nine models on the digits, from training to a report, with real processes."""

import time
from pathlib import Path

from rich.console import Console

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.experiment import Agreed, Experiment, ModelResult, TrainingPoint
from offramp.artifacts.measurement import Conditions, Measurement
from offramp.artifacts.plan import PAPER_THRESHOLDS, Plan
from offramp.artifacts.predictions import Predictions
from offramp.bench.check import check
from offramp.bench.drive import drive, measurement
from offramp.bench.processes import edge_and_cloud
from offramp.bench.table import measurements_table
from offramp.data.image_set import Splits
from offramp.data.load import load
from offramp.errors import OfframpError, TrainingError
from offramp.exits.agreement import Agreement
from offramp.exits.evaluation import accuracy_at
from offramp.export.write import export
from offramp.link.client import Client
from offramp.measure.predict import of_bundle
from offramp.models.architecture import parse_exits, preset
from offramp.nodes.edge_model import describe_edge
from offramp.report.conditions import in_short
from offramp.report.figures import draw
from offramp.report.finding import finding
from offramp.report.html import write_report
from offramp.train.loop import LOG, Run, train
from offramp.train.observe import EpochRecord, ProgressBar
from offramp.train.recipe import recipe

MODELS = (*(f"sem-{k}" for k in range(1, 9)), "mem")
BATCH_SIZE = 32  # the paper's
PRESET, RECIPE, DATA = "tiny", "digits", "digits"
RESULTS = "experiment.json"
# A batch of 32 small images is too little work to share: a SEM trained at 2,100 images/s on one thread, at 2,200 on two
# of two free cores, and at 220 on two where somebody else used one of the cores.
TRAINING_THREADS = 1


def demo(out: Path, *, epochs: int | None, seed: int, console: Console) -> Experiment:
    """Train, export, run and measure the nine models; write everything into `out`, and a report that shows it.

    Models that are there already, of the same settings, are not trained again. Raises OfframpError if the nodes'
    answers differ from the offline evaluation's.
    """
    start = time.perf_counter()
    sizes, chosen = preset(PRESET), recipe(RECIPE).but(epochs=epochs)
    splits = load(DATA, (sizes.channels, sizes.size, sizes.size), seed=seed)
    models: list[ModelResult] = []
    measurements: list[Measurement] = []
    compared = differing = ties = 0
    for name in MODELS:
        architecture = sizes.architecture(parse_exits(name, len(sizes.widths)), splits.train.classes)
        folder = out / name
        run = Run(architecture, chosen, DATA, seed)
        try:
            with ProgressBar(f"train {name}") as bar:
                checkpoint = train(run, splits, folder, resume=True, observers=[bar], threads=TRAINING_THREADS)
        except TrainingError as error:
            raise TrainingError(f"{error} Or empty {out} and start anew.") from error
        bundle = export(checkpoint, folder / "bundle", splits.calibration)
        predictions = of_bundle(bundle).predict(splits.test, "test")
        predictions.write(folder / "predictions.parquet")
        models.append(_result(bundle, predictions, folder / LOG, checkpoint.card.seconds))
        for document, agreement in _measure(bundle, predictions, splits):
            measurements.append(document)
            compared, ties = compared + agreement.n, ties + agreement.ties
            differing += max(agreement.labels, agreement.exits, agreement.scores)
    experiment = Experiment(
        name="The paper's nine models on the digits",
        data=DATA,
        test_samples=len(splits.test),
        preset=PRESET,
        recipe=RECIPE,
        epochs=chosen.epochs,
        seed=seed,
        seconds=round(time.perf_counter() - start, 1),
        models=tuple(models),
        measurements=tuple(measurements),
        agreement=Agreed(compared=compared, differing=differing, ties=ties),
    )
    experiment.write(out / RESULTS)
    write_report(experiment, out / "report.html")
    draw(experiment, out / "figures")
    console.print(measurements_table(experiment.measurements, "edge and cloud processes on this machine"))
    console.print(" · ".join(in_short(experiment)), highlight=False)
    console.print(f"{finding(experiment)}", highlight=False)
    console.print(
        f"Nodes and offline evaluation: {compared:,} answers compared, {differing} differ, {ties} within 1e-5 of the "
        f"threshold left out. {experiment.seconds:.0f} s. Report: {out / 'report.html'}",
        highlight=False,
    )
    if differing:
        raise OfframpError(f"{differing} of {compared} answers of the nodes differ from the offline evaluation's.")
    return experiment


def _result(bundle: Bundle, predictions: Predictions, log: Path, seconds: float) -> ModelResult:
    records = [EpochRecord.model_validate_json(line) for line in log.read_text().splitlines()]
    return ModelResult.of(
        bundle,
        test_accuracy={k: accuracy_at(predictions, k) or 0.0 for k in bundle.manifest.exits},
        training=tuple(TrainingPoint(epoch=r.epoch, validation_accuracy=r.validation_accuracy) for r in records),
        training_seconds=seconds,
    )


def _measure(bundle: Bundle, predictions: Predictions, splits: Splits) -> list[tuple[Measurement, Agreement]]:
    """Run edge and cloud, drive the test set through every exit and threshold, and check every answer."""
    manifest, images = bundle.manifest, splits.test
    local = [exit_ for exit_ in manifest.exits if exit_ < manifest.last]
    pixels = manifest.preprocessing.from_uint8(images.images)
    found = []
    with edge_and_cloud(bundle.path, Plan.of(local[0], PAPER_THRESHOLDS[0])) as address, Client(address) as client:
        served = describe_edge(client)
        conditions = Conditions.here(batch_size=BATCH_SIZE, link="loopback, unshaped", runtime=served.runtime)
        for exit_ in local:
            for threshold in PAPER_THRESHOLDS:
                options = {"exit": exit_, "threshold": threshold}
                driven = drive(client, pixels, batch_size=BATCH_SIZE, options=options)
                plan = Plan.of(exit_, threshold)
                document = measurement(manifest.model, plan, images, driven, conditions)
                agreement = check(driven.answers, images, predictions, bundle_id=bundle.id, plan=plan)
                found.append((document, agreement))
    return found
