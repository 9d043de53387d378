"""What a page's script is told of a drawing: points where the marks are, series by their names in the legend."""

import json
import re
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import pytest
from offramp.paper.experiment import Experiment

from offramp.charts.live import Live, live
from offramp.charts.svg import inline
from offramp.paper import figures, open_figures
from offramp.paper.reproduction import Reproduction

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def five(experiment: Experiment) -> Live:
    """Figure 5: bars, lines, a broad line behind, hollow marks."""
    return live(figures.figure_5(experiment))


def told(drawing: Live, name: str, panel: str) -> list[list[Any]]:
    """The points of one series in one panel."""
    (points,) = [
        series["points"]
        for series in json.loads(drawing.points)
        if series["name"] == name and series["panel"].startswith(panel)
    ]
    return points


def test_points_lie_where_the_marks_are(five: Live) -> None:
    """To a tenth of a point: each of the cloud's eight accuracies is drawn at its place."""
    places = {
        (round(float(use.get("x", 0)), 1), round(float(use.get("y", 0)), 1))
        for use in ElementTree.fromstring(five.svg).iter(f"{SVG}use")
    }
    points = told(five, "cloud", "(B)")
    assert len(points) == 8
    for x, y, _, _ in points:
        assert any(abs(x - other) < 0.15 and abs(y - height) < 0.15 for other, height in places)


def test_points_say_where_they_are_and_what(five: Live, experiment: Experiment) -> None:
    """Bars and lines by their exits, values as measured."""
    found = [m for m in experiment.measurements if m.model.startswith("sem") and m.plan.threshold == 0.3]
    assert [point[2:] for point in told(five, "exited", "(A)")] == [
        [f"exit {m.plan.exit}", str(m.outcome.local)] for m in found
    ]
    assert [point[2:] for point in told(five, "overall", "(B)")] == [
        [f"exit {m.plan.exit}", f"{100 * (m.outcome.overall or 0):.4g}"] for m in found
    ]


def test_bars_beside_their_place_belong_to_it(experiment: Experiment) -> None:
    """Figure 10's bars of SEM and MEM stand left and right of the exit."""
    drawing = live(figures.figure_10(experiment))
    for family in ("SEM", "MEM"):
        where = [point[2] for point in told(drawing, f"{family}, local exit", "accuracy")]
        assert where == [f"exit {k}" for k in range(1, 9)]


def test_gaps_are_no_points(experiment: Experiment) -> None:
    """At T = 0.1 nobody leaves at exit 1."""
    drawing = live(figures.figure_7(experiment))
    assert [point[2] for point in told(drawing, "T = 0.1", "edge accuracy")] == [f"exit {k}" for k in range(2, 9)]


def test_every_name_in_the_legend_has_its_parts(five: Live) -> None:
    """The script finds them by number: a line in each of two panels, its hollow marks, its handle and its text."""
    drawing = inline(five.svg, "five", "Figure 5")
    assert 'role="group"' in drawing
    for number in range(3):
        assert len(re.findall(rf'data-series="{number}"', drawing)) >= 2
        assert len(re.findall(rf'data-legend="{number}"', drawing)) == 2
    numbers = {series["name"]: series["series"] for series in json.loads(five.points)}
    assert numbers == {"exited": None, "edge": 0, "cloud": 1, "overall": 2}


def test_marks_that_are_no_curve_say_what_they_are(reproduction: Reproduction) -> None:
    """In the scatter of baselines each mark is a deployment; in the contest each is a contender at a rate."""
    drawing = live(open_figures.baselines(reproduction))
    at = [point[2] for point in told(drawing, "cascade", "accuracy (%), wifi")]
    assert at == [f"cascade at {k}, overall latency, p50 (ms) {v}" for k, v in ((2, "23.15"), (5, "22.85"))]
    best = told(live(open_figures.bandwidth(reproduction)), "SEM-6", "fastest")
    assert [point[2:] for point in best] == [["rate (Mbit/s) 1", "SEM-6"]]


def test_names_cannot_leave_the_script(reproduce: Callable[..., Reproduction]) -> None:
    """A closing tag in a link's name stays text."""
    evil = "</script><b>"
    reproduction = reproduce(sections=("baselines",), exits=(), mem=False)
    rows = tuple(
        row.model_copy(update={"setup": row.setup.model_copy(update={"link": evil})}) for row in reproduction.rows
    )
    drawing = live(open_figures.baselines(reproduction.model_copy(update={"rows": rows})))
    assert "<" not in drawing.points
    assert any(evil in series["panel"] for series in json.loads(drawing.points))
