"""The page on predictions: plans with their intervals, what each class was taken for, risk against coverage."""

from collections.abc import Sequence
from pathlib import Path

from offramp._version import __version__
from offramp.artifacts.predictions import Predictions
from offramp.charts.sheet import Figure
from offramp.exits.answers import Answers, Judged, Tier
from offramp.exits.classes import ByClass, by_class
from offramp.exits.evaluation import Evaluated
from offramp.report.evaluation_figures import evaluation_figures
from offramp.report.evaluation_words import (
    COLUMNS,
    SAYS,
    cells,
    class_cells,
    evaluation_conditions,
    evaluation_finding,
    everyone,
    plan_name,
)
from offramp.report.plates import plates, write_page
from offramp.report.template import render, unbroken

CAPTIONS = {
    "coverage": "Every sample asked at each exit. (A) If those that an exit is surest of leave there, so many of them "
    "are wrong; at the right end all leave. (B) Which threshold lets how many leave. A threshold is to be chosen on "
    "validation predictions",
    "confusion": "A row is a class, a column what its samples were answered as; the darker, the larger the share of "
    "the row. On the diagonal they are right",
    "classes": "Accuracy over all samples of a class, with its 95 % interval (Wilson), and how many of them were "
    "answered before the cloud, where a plan lets any leave",
}


def write_evaluation(predictions: Predictions, found: Sequence[Evaluated], out: Path) -> list[Path]:
    """Write `evaluation.html` and its figures into `out`; give their paths, the page's first.

    Classes are shown as the one plan of `found` answers them, or of several plans as the network's end does.
    """
    one = len(found) == 1
    answers = found[0].answers if one else _at_the_end(predictions)
    whose = plan_name(found[0].plan) if one else f"every sample at exit {predictions.last}"
    counted = by_class(answers, predictions.labels, len(predictions.header.classes))
    figures = evaluation_figures(predictions, counted, found[0].plan.score, whose, local=one)
    page = evaluation_page(predictions, found, counted, figures, whose)
    return write_page(out / "evaluation.html", page, figures)


def evaluation_page(
    predictions: Predictions, found: Sequence[Evaluated], counted: ByClass, figures: dict[str, Figure], whose: str
) -> str:
    """Give the page as HTML text."""
    header, one = predictions.header, len(found) == 1
    return render(
        "evaluation.html",
        version=__version__,
        title=f"{header.model} on {Path(header.data).name}",
        finding=unbroken(evaluation_finding(predictions, found)),
        conditions=evaluation_conditions(predictions),
        figures=plates(figures, {name: f"{text}." for name, text in CAPTIONS.items()}),
        plans=[cells(each) for each in found],
        columns=COLUMNS,
        says=SAYS,
        one=one,
        whose=whose,
        classes=[class_cells(counted, header.classes, k, local=one) for k in range(len(header.classes))],
        everyone=everyone(predictions),
    )


def _at_the_end(predictions: Predictions) -> Answers:
    return Judged.of(predictions.at(predictions.last)).answers(predictions.last, Tier.CLOUD)
