"""The report on a suite: figures as files, and one HTML page that stands alone, from a suite's folder."""

from pathlib import Path

import numpy as np

from offramp._version import __version__
from offramp.artifacts.document import write_bytes
from offramp.artifacts.predictions import Predictions
from offramp.artifacts.suite import PREDICTIONS, SUITE, Suite
from offramp.charts.sheet import Figure, as_png, as_svg
from offramp.charts.svg import inline
from offramp.errors import ArtifactMissingError, InputError
from offramp.exits.frontier import Point, frontier
from offramp.paper.claims import claims
from offramp.report.seeds import baseline, local_exits, many, mem_edge, regimes, runs, sem_cloud, sem_edge
from offramp.report.suite_figures import SUITE_FIGURES, comparable, frontier_figure
from offramp.report.suite_words import (
    difference_rows,
    percents,
    sampling_sentence,
    standard_sentence,
    suite_conditions,
    suite_finding,
)
from offramp.report.template import Markup, render, unbroken

THRESHOLDS = tuple(np.round(np.linspace(0, 1, 51), 2))
CAPTIONS = {
    "figure-9": "Accuracy of every exit over all validation samples after each epoch, a panel an exit: SEM solid, MEM "
    "dotted, a colour a regime. The numbers are those after the last epoch; hollow marks at the end are the paper's.",
    "figure-10": "Accuracy when all test samples are answered at one exit, none of them leaving before. Bars: the "
    "local exit, whiskers from the lowest seed to the highest. Lines: the last exit of the same model. Hollow marks: "
    "the numbers that the paper states; it trained another network for 2,000 epochs, so compare differences, not "
    "heights.",
    "frontier": "Each point is one threshold at all local exits of MEM: a sample leaves at the first exit that is sure "
    "enough. Multiply-adds are counted by one counter, heads included. Published points are of other networks and of "
    "their authors' counting.",
}


def write_suite_report(folder: Path, out: Path) -> list[Path]:
    """Write the page and each figure as SVG and PNG into `out`; give their paths, the page's first."""
    if not (folder / SUITE).is_file():
        raise ArtifactMissingError(
            f"{folder}: no suite and no reproduction. Write one with: offramp suite SOURCE --out {folder}"
        )
    suite = Suite.read(folder / SUITE)
    if not suite.runs:
        raise InputError(f"{folder}: none of the suite's {len(suite.left)} runs is finished. Go on with: offramp suite")
    figures = {name: draw(suite) for name, draw in SUITE_FIGURES.items()}
    points = suite_frontier(suite, folder)
    if points:
        figures["frontier"] = frontier_figure(suite, points)
    written = [out / "report.html"]
    write_bytes(written[0], suite_page(suite, figures).encode())
    for name, figure in figures.items():
        for path, content in ((out / f"{name}.svg", as_svg(figure).encode()), (out / f"{name}.png", as_png(figure))):
            write_bytes(path, content)
            written.append(path)
    return written


def suite_frontier(suite: Suite, folder: Path) -> dict[str, tuple[Point, ...]]:
    """MEM's frontier under each regime, mean over seeds at each threshold, from the predictions in the folder.

    A run whose predictions are not there, as in a copy that left them out, is not in it.
    """
    found = {}
    for regime in regimes(suite):
        by_seed = []
        for run in runs(suite, many(suite) or "", regime).values():
            file = folder / run.key.folder / PREDICTIONS
            if not file.exists():
                continue
            predictions = Predictions.read(file)
            by_seed.append(frontier(predictions, run.stage_macs, run.head_macs, run.exits[:-1], THRESHOLDS))
        if by_seed:
            found[regime] = tuple(Point(*map(float, row)) for row in np.array(by_seed).mean(axis=0))
    return found


def suite_page(suite: Suite, figures: dict[str, Figure]) -> str:
    """Give the report as HTML text."""
    first, found = baseline(suite), regimes(suite)
    sems, clouds = sem_edge(suite, first), sem_cloud(suite, first)
    mems = {regime: mem_edge(suite, regime) for regime in found}
    exits = local_exits(suite)
    last = max((max(run.exits) for run in suite.runs), default=0)
    return render(
        "suite.html",
        version=__version__,
        title=f"Training with local exits on {Path(suite.settings.data).name}",
        finding=unbroken(suite_finding(suite)),
        standard=standard_sentence(suite),
        conditions=suite_conditions(suite),
        figures=[
            {
                "name": name,
                "title": name.replace("-", " ").capitalize(),
                "caption": unbroken(CAPTIONS[name]),
                "drawing": Markup(inline(as_svg(figure), name, CAPTIONS[name])),
            }
            for name, figure in figures.items()
        ],
        exits=exits,
        differences=difference_rows(suite),
        sampling=sampling_sentence(suite),
        baseline=first,
        regimes=found,
        accuracies=[
            (
                exit_,
                percents(sems.get(exit_)),
                percents(clouds.get(exit_)),
                [percents(mems[r].get(exit_)) for r in found],
            )
            for exit_ in (*exits, last)
        ],
        claims=claims(suite),
        comparable=comparable(suite),
        left=[str(key) for key in suite.left],
    )
