"""The page on a choice of plan: the Pareto picture, baselines and choice marked, the table and the plan itself."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from offramp._version import __version__
from offramp.artifacts.document import write_bytes
from offramp.charts.live import live
from offramp.charts.pareto import Group, Point, pareto
from offramp.charts.sheet import Figure, as_png
from offramp.charts.svg import inline
from offramp.plan.candidate import Candidate
from offramp.plan.goal import front
from offramp.plan.pricing import Figures
from offramp.report.evaluation_words import evaluation_conditions
from offramp.report.plan_words import COLUMNS, PREDICTED, SAYS, Outcome, answer, asked, rows_of
from offramp.report.template import Markup, render, unbroken

CAPTION = (
    "Small points: of all plans with one threshold those that no other of their kind beats in latency and accuracy. "
    "Squares: what others would deploy. Star: the choice. Dotted: the accuracy asked for. Everything is predicted. "
    "Point at one, or go through them with the arrow keys, for the plan's name; a name above shows and hides its points"
)
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
    chosen, mine = found.chosen, found.deployed
    baselines = [_point(row.figures, row.name, short=_short(row.name)) for row in found.rows if row.candidate]
    others = [_point(row.figures, row.name, short=_short(row.name)) for row in found.rows if row.candidate is None]
    groups = [
        Group("the edge alone", "edge", "o", list(_front(found, sends=False)), line=True),
        Group("edge and cloud", "cloud", "o", list(_front(found, sends=True)), line=True),
        Group("what others would deploy", "ink", "s", baselines),
        Group("not deployed by an edge", "muted", "D", others, hollow=True),
        Group("the choice", "mem", "*", [_point(mine.figures, f"the choice, {mine}")]),
    ]
    least = chosen.goal.accuracy
    conditions = [f"{name}: {value}" for name, value in _conditions(found).items()]
    return pareto(conditions, "Latency, accuracy, bytes", groups, wanted=None if least is None else 100 * least)


def _front(found: Outcome, *, sends: bool) -> Iterator[Point]:
    """Of the plans that send something on, or of those that do not, the ones that none of them beats."""
    scan = found.chosen.scan
    last = found.chosen.table.last
    goes = np.array([way.cut != last for way in scan.crossings])[scan.which[:, 1]]
    places = np.flatnonzero(goes == sends)
    if not len(places):
        return
    kept = places[front(scan.figures.mean[places], scan.figures.accuracy[places])]
    for place in kept[np.unique(np.linspace(0, len(kept) - 1, min(SHOWN, len(kept))).astype(np.intp))]:
        one: Candidate = scan.at(int(place))
        yield _point(one.figures, one.brief)


def _point(figures: Figures, name: str, short: str = "") -> Point:
    return Point(1000 * figures.mean, figures.up, 100 * figures.accuracy, name, short)


def _short(name: str) -> str:
    return name.partition(":")[0].replace("everything ", "all ")


def _conditions(found: Outcome) -> dict[str, str]:
    chosen = found.chosen
    return {
        **evaluation_conditions(chosen.samples.plain),
        "Asked for": asked(chosen.goal, chosen.whole),
        "Plans priced": f"{len(chosen.scan):,}, predicted one sample at a time",
    }
