"""The page on a choice of plan: the Pareto picture, baselines and choice marked, the table and the plan itself."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from offramp._version import __version__
from offramp.artifacts.document import write_bytes
from offramp.charts.live import live
from offramp.charts.pareto import Group, Point, pareto
from offramp.charts.sheet import Figure, as_png
from offramp.charts.svg import inline
from offramp.exits.score import Floats
from offramp.plan.goal import front
from offramp.plan.pricing import Figures
from offramp.plan.search import Scan
from offramp.report.evaluation_words import evaluation_conditions
from offramp.report.plan_words import COLUMNS, PREDICTED, SAYS, Outcome, answer, asked, rows_of
from offramp.report.template import Markup, render, unbroken

CAPTION = (
    "Small points: of all plans with one threshold those that no other of their kind beats, in latency or bytes, and "
    "accuracy. Larger ones: what others would deploy, hollow where no edge can. Star: the choice. Dotted: the accuracy "
    "asked for. Everything is predicted. Point at one, or go through them with the arrow keys, for the plan's name; a "
    "name above shows and hides its points"
)
MARKERS = "sDP^vX8<>"  # of the baselines, in their order
SHOWN = 48  # of a kind: more cannot be told apart


def write_plan_page(found: Outcome, out: Path) -> list[Path]:
    """Write `plan.html` and its figure into `out`; give their paths, the page's first."""
    figure = picture(found)
    drawn, answers = live(figure), answer(found)
    page = render(
        "plan.html",
        version=__version__,
        title=f"What to deploy of {found.chosen.samples.plain.header.model}",
        finding=unbroken(answers[0]),
        more=[unbroken(sentence) for sentence in answers[1:]],
        conditions=_conditions(found),
        figures=[],
        drawing=Markup(inline(drawn.svg, "pareto", CAPTION)),
        points=Markup(drawn.points),
        caption=f"{CAPTION}.",
        rows=rows_of(found),
        columns=COLUMNS,
        predicted=PREDICTED,
        says=SAYS,
        plan=found.plan.to_json(),
    )
    contents = {"plan.html": page.encode(), "pareto.svg": drawn.svg.encode(), "pareto.png": as_png(figure)}
    for name, content in contents.items():
        write_bytes(out / name, content)
    return [out / name for name in contents]


def picture(found: Outcome) -> Figure:
    """The plans, as points."""
    chosen = found.chosen
    marks = zip(found.rows, MARKERS, strict=False)
    groups = [
        Group("the edge alone", "edge", "o", *_fronts(found, sends=False), many=True),
        Group("edge and cloud", "cloud", "o", *_fronts(found, sends=True), many=True),
        *(_marked(row.name.partition(":")[0], row.figures, mark, row.candidate is None) for row, mark in marks),
        _marked("the choice", found.deployed.figures, "*", hollow=False, color="mem"),
    ]
    least = chosen.goal.accuracy
    conditions = [f"{name}: {value}" for name, value in _conditions(found).items()]
    return pareto(conditions, "Latency, accuracy, bytes", groups, wanted=None if least is None else 100 * least)


def _fronts(found: Outcome, *, sends: bool) -> tuple[list[Point], list[Point]]:
    """Of the plans that send something on, or of those that do not, those that none beats: in latency, and in bytes."""
    scan, last = found.chosen.scan, found.chosen.table.last
    goes = np.array([way.cut != last for way in scan.crossings])[scan.which[:, 1]]
    places = np.flatnonzero(goes == sends)
    times, sizes = (
        _beaten_by_none(scan, places, column, last) for column in (1000 * scan.figures.mean, scan.figures.up)
    )
    return times, sizes


def _beaten_by_none(scan: Scan, places: npt.NDArray[np.intp], column: Floats, last: int) -> list[Point]:
    if not len(places):
        return []
    kept = places[front(column[places], scan.figures.accuracy[places])]
    few = kept[np.unique(np.linspace(0, len(kept) - 1, min(SHOWN, len(kept))).astype(np.intp))]
    return [Point(float(column[k]), 100 * float(scan.figures.accuracy[k]), scan.at(int(k)).brief(last)) for k in few]


def _marked(name: str, figures: Figures, marker: str, hollow: bool, color: str = "ink") -> Group:
    times = [Point(1000 * figures.mean, 100 * figures.accuracy, name)]
    return Group(name, color, marker, times, [times[0]._replace(across=figures.up)], hollow=hollow)


def _conditions(found: Outcome) -> dict[str, str]:
    chosen = found.chosen
    return {
        **evaluation_conditions(chosen.samples.plain),
        "Asked for": asked(chosen.goal, chosen.whole),
        "Plans priced": f"{len(chosen.scan):,}, predicted one sample at a time",
    }
