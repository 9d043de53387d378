"""The report on one training: its curves, its recipe and its data, from the folder that it wrote or is writing."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from offramp._version import __version__
from offramp.artifacts.bundle import MANIFEST, Bundle
from offramp.artifacts.predictions import Predictions
from offramp.artifacts.suite import BUNDLE, PREDICTIONS
from offramp.charts.accuracies import Learning, Marks, while_training
from offramp.charts.sheet import Figure
from offramp.charts.training import loss_and_rate
from offramp.errors import InputError
from offramp.exits.evaluation import accuracy_at
from offramp.models.checkpoint import CARD, ModelCard
from offramp.report.evaluation_words import NONE, accuracy
from offramp.report.plates import plates, write_page
from offramp.report.template import render
from offramp.train.loop import LOG
from offramp.train.observe import EpochRecord, read_log

CAPTIONS = {
    "training": "The mean over each epoch of the loss that is minimized, all exits together, and the learning rate. "
    "Where a regime has two phases, the loss of the second is another.",
    "accuracy": "Accuracy of every exit over all validation samples after each epoch, a panel an exit. The number is "
    "the one after the last epoch; a hollow mark is what the finished network reaches on the predictions beside it.",
}


def write_run_report(folder: Path, out: Path) -> list[Path]:
    """Write the page and its figures into `out`; give their paths, the page's first.

    A training that is not finished has a log alone, and its page says so. Raises InputError where no epoch is over.
    """
    records = read_log(folder / LOG)
    card = ModelCard.read(folder / CARD) if (folder / CARD).is_file() else None
    if not records:
        raise InputError(f"{folder / LOG}: holds no epoch. Wait for the first, or go on with: offramp train --resume")
    measured = Predictions.read(folder / PREDICTIONS) if card and (folder / PREDICTIONS).is_file() else None
    warnings = [] if card else [f"Not finished: {records[-1].epoch} of {records[-1].of} epochs."]
    if card and measured and measured.header.source not in _sources(card, folder):
        warnings.append(f"{PREDICTIONS} is of another network ({measured.header.source}), and left out here.")
        measured = None
    figures = run_figures(records, run_conditions(card, records), measured)
    return write_page(out / "report.html", run_page(folder, card, records, measured, figures, warnings), figures)


def run_figures(
    records: Sequence[EpochRecord], conditions: Mapping[str, str], measured: Predictions | None
) -> dict[str, Figure]:
    """Draw loss, learning rate and each exit's accuracy over epochs."""
    exits, short = tuple(records[-1].validation_accuracy), list(conditions.values())
    curves = {k: {one.epoch: 100 * one.validation_accuracy[k] for one in records} for k in exits}
    family = Learning("validation", "mem", curves, 0.06, dotted=False)
    at_end = {k: 100 * share for k in exits if measured and (share := accuracy_at(measured, k)) is not None}
    marks = [Marks(at_end, "cloud", measured.header.split)] if measured else []
    losses, rates = ({one.epoch: getattr(one, name) for one in records} for name in ("loss", "learning_rate"))
    return {
        "training": loss_and_rate(short, "Loss and learning rate", losses, rates),
        "accuracy": while_training(short, "Accuracy of each exit while training (%)", exits, [family], marks),
    }


def run_page(
    folder: Path,
    card: ModelCard | None,
    records: Sequence[EpochRecord],
    measured: Predictions | None,
    figures: dict[str, Figure],
    warnings: Sequence[str],
) -> str:
    """Give the report as HTML text."""
    found = card.validation_accuracy if card else records[-1].validation_accuracy
    held = card.record.parts["validation"].images if card and card.record else 0
    cells = [[str(k), accuracy(share, held) if held else f"{100 * share:.2f}"] for k, share in found.items()]
    if measured:
        cells = [[*row, accuracy(accuracy_at(measured, k), len(measured))] for row, k in zip(cells, found, strict=True)]
    last = list(found)[-1]
    return render(
        "run.html",
        version=__version__,
        title=f"Training {card.architecture.name}" if card else f"Training in {folder.name}",
        finding=f"{100 * found[last]:.2f}\u00a0% of the validation samples are right at the last exit, {last}.",
        warnings=warnings,
        conditions=run_conditions(card, records),
        recipe=_recipe(card) if card else {},
        data=[line.strip() for line in card.record.lines()] if card and card.record else [],
        measured=measured.header.split if measured else "",
        folder=folder,
        predictions=PREDICTIONS,
        accuracies=cells,
        figures=plates(figures, CAPTIONS),
    )


def run_conditions(card: ModelCard | None, records: Sequence[EpochRecord]) -> dict[str, str]:
    """What was trained, on what, for how long; of an unfinished run what its log has."""
    speed = sum(one.images_per_second for one in records) / len(records)
    seconds = sum(one.seconds for one in records)
    took = {"Training": f"{records[-1].epoch} epochs, {seconds:,.0f} s, {speed:,.0f} images/s"}
    if card is None:
        return took
    shape = card.architecture
    said = ", ".join(f"{exit_}: {one:.2f}" for exit_, one in card.temperatures.items())
    temperatures = {"Temperatures": said} if said else {}
    return {
        "Data": Path(card.data).name,
        "Network": f"{shape.name}, {shape.family}, {'x'.join(map(str, shape.shape))}, {len(shape.classes)} classes",
        "Recipe": f"{card.recipe.get('name', NONE)}, seed {card.seed}",
        **temperatures,
        **took,
        "Hardware": card.hardware,
        "Commit": card.commit,
    }


def _sources(card: ModelCard, folder: Path) -> set[str]:
    """What predictions of this network say that they are of: it, or its bundle."""
    bundle = folder / BUNDLE
    own = {f"bundle:{Bundle.open(bundle).id}"} if (bundle / MANIFEST).is_file() else set()
    return own | {f"checkpoint:{card.weights_sha256}"}


def _recipe(card: ModelCard) -> dict[str, str]:
    """The recipe as it was followed: images are mirrored only where the data allow it."""
    said = {name.replace("_", " "): _said(value) for name, value in card.recipe.items()}
    if card.recipe.get("flip") and card.record and not card.record.mirrors:
        said["flip"] = f"no: the recipe would, the data do not allow it ({card.record.mirrors_because})"
    return said


def _said(value: object) -> str:
    """A recipe's value, a regime's parts one after another."""
    if isinstance(value, dict):
        return ", ".join(f"{str(name).replace('_', ' ')} {_said(part)}" for name, part in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return NONE if value is None else str(value)
