"""The report: one HTML page that stands alone, with figures, tables and the conditions they hold under.

Takes an experiment and a path. The page loads nothing: style and figures are inside it.
"""

from pathlib import Path

from offramp._version import __version__
from offramp.artifacts.document import write_bytes
from offramp.artifacts.experiment import Experiment
from offramp.report.captions import caption
from offramp.report.conditions import conditions
from offramp.report.families import main_threshold
from offramp.report.figures import FIGURES
from offramp.report.finding import finding
from offramp.report.notes import notes
from offramp.report.sheet import as_svg
from offramp.report.svg import inline
from offramp.report.tables import costs, image_bytes, threshold_tables
from offramp.report.template import Markup, render, unbroken


def write_report(experiment: Experiment, path: Path) -> None:
    """Write the report whole or not at all."""
    write_bytes(path, page(experiment).encode())


def page(experiment: Experiment) -> str:
    """Give the report as HTML text. Every value is escaped; only our own drawings are not."""
    return render(
        "report.html",
        version=__version__,
        experiment=experiment,
        finding=unbroken(finding(experiment)),
        figures=_figures(experiment),
        conditions=conditions(experiment),
        tables=threshold_tables(experiment),
        main=f"{main_threshold(experiment):g}",
        costs=costs(experiment, image_bytes(experiment)),
        image_bytes=image_bytes(experiment),
        notes=[unbroken(note) for note in notes(experiment)],
        degraded=sum(m.degraded for m in experiment.measurements),
    )


def _figures(experiment: Experiment) -> list[dict[str, str]]:
    """Draw each figure that the experiment holds something of, with its caption."""
    found = []
    for name, plate in FIGURES.items():
        if plate.holds(experiment):
            text = caption(name, experiment)
            drawing = inline(as_svg(plate.draw(experiment)), name, text)
            title = name.replace("-", " ").capitalize()
            found.append({"name": name, "title": title, "caption": unbroken(text), "drawing": Markup(drawing)})
    return found
