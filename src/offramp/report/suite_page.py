"""The report on a suite: figures as files, and one HTML page that stands alone, from a suite's folder."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from offramp._version import __version__
from offramp.artifacts.predictions import Predictions
from offramp.artifacts.suite import PREDICTIONS, Suite, open_suite
from offramp.charts.sheet import Figure
from offramp.exits.frontier import FrontierPoint, frontier
from offramp.report import seeds
from offramp.report.plates import plates, write_page
from offramp.report.published import NOTHING, Published
from offramp.report.suite_figures import SUITE_FIGURES, frontier_figure
from offramp.report.suite_words import (
    difference_rows,
    percents,
    sampling_sentence,
    standard_sentence,
    suite_conditions,
    suite_finding,
)
from offramp.report.template import render, unbroken

THRESHOLDS = tuple(np.round(np.linspace(0, 1, 51), 2))
CAPTIONS = {
    "figure-9": "Accuracy of every exit over all validation samples after each epoch, a panel an exit: SEM solid, MEM "
    "dotted, a colour a regime. The numbers are those after the last epoch",
    "figure-10": "Accuracy when all test samples are answered at one exit, none of them leaving before. Bars: the "
    "local exit, whiskers from the lowest seed to the highest. Lines: the last exit of the same model",
    "frontier": "Each point is one threshold at all local exits of MEM: a sample leaves at the first exit that is sure "
    "enough. Multiply-adds are counted by one counter, heads included",
}


def write_suite_report(folder: Path, out: Path, known: Callable[[Suite], Published] | None = None) -> list[Path]:
    """Write the page and each figure as SVG and PNG into `out`; give their paths, the page's first.

    `known`: gives what others state of networks like the suite's; without it the report stands alone.
    """
    absent = f"no suite, no reproduction and no training run. Write one with: offramp suite SOURCE --out {folder}"
    suite = open_suite(folder, absent)
    beside = NOTHING if known is None else known(suite)
    figures = {name: draw(suite, beside) for name, draw in SUITE_FIGURES.items()}
    points = suite_frontier(suite, folder)
    if points:
        figures["frontier"] = frontier_figure(suite, points, beside)
    return write_page(out / "report.html", suite_page(suite, figures, beside), figures)


def suite_frontier(suite: Suite, folder: Path) -> dict[str, tuple[FrontierPoint, ...]]:
    """MEM's frontier under each regime, mean over seeds at each threshold, from the predictions in the folder.

    A run whose predictions are not there, as in a copy that left them out, is not in it.
    """
    points = {}
    for regime in seeds.regimes(suite):
        mems = seeds.runs(suite, seeds.many(suite), regime).values()
        files = {folder / run.key.folder / PREDICTIONS: run for run in mems}
        by_seed = [
            frontier(Predictions.read(file), run.stage_macs, run.head_macs, run.exits[:-1], THRESHOLDS)
            for file, run in files.items()
            if file.exists()
        ]
        if by_seed:
            points[regime] = tuple(FrontierPoint(*map(float, row)) for row in np.array(by_seed).mean(axis=0))
    return points


def suite_page(suite: Suite, figures: dict[str, Figure], beside: Published = NOTHING) -> str:
    """Give the report as HTML text."""
    first, trained = seeds.baseline(suite), seeds.regimes(suite)
    sems, clouds = seeds.sem_edge(suite, first), seeds.sem_cloud(suite, first)
    mems = {regime: seeds.mem_edge(suite, regime) for regime in trained}
    exits = seeds.local_exits(suite)
    last = max((max(run.exits) for run in suite.runs), default=0)
    captions = {name: text + (beside.captions or {}).get(name, ".") for name, text in CAPTIONS.items()}
    return render(
        "suite.html",
        version=__version__,
        title=f"Training with local exits on {Path(suite.settings.data).name}",
        finding=unbroken(suite_finding(suite, beside)),
        standard=standard_sentence(suite),
        conditions=suite_conditions(suite),
        figures=plates(figures, captions),
        exits=exits,
        differences=difference_rows(suite),
        sampling=sampling_sentence(suite),
        baseline=first,
        regimes=trained,
        accuracies=[
            (
                exit_,
                percents(sems.get(exit_)),
                percents(clouds.get(exit_)),
                [percents(spreads.get(exit_)) for spreads in mems.values()],
            )
            for exit_ in (*exits, last)
        ],
        claims=beside.claims,
        comparable=beside.comparable,
        left=[str(key) for key in suite.left],
    )
