"""What a page's script is told of a drawing: points where the marks are, series by their names in the legend."""

import json
import re
from typing import Any
from xml.etree import ElementTree

import pytest

from example_figure import ACCURACY, EXITED
from offramp.charts.live import Drawing, live
from offramp.charts.panels import bars, logarithmic, scatter
from offramp.charts.sheet import Figure, legend, sheet
from offramp.charts.svg import inline

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def drawing(figure: Figure) -> Drawing:
    """Bars, lines, a broad line behind, hollow marks."""
    return live(figure)


def told(drawing: Drawing, name: str, panel: str) -> list[list[Any]]:
    """The points of one series in one panel."""
    (points,) = [
        series["points"]
        for series in json.loads(drawing.points)
        if series["name"] == name and series["panel"].startswith(panel)
    ]
    return points


def test_points_lie_where_the_marks_are(drawing: Drawing) -> None:
    """To a tenth of a point: each of the cloud's three accuracies is drawn at its place."""
    places = {
        (round(float(use.get("x", 0)), 1), round(float(use.get("y", 0)), 1))
        for use in ElementTree.fromstring(drawing.svg).iter(f"{SVG}use")
    }
    points = told(drawing, "cloud", "(B)")
    assert len(points) == 3
    for x, y, _, _ in points:
        assert any(abs(x - other) < 0.15 and abs(y - height) < 0.15 for other, height in places)


def test_points_say_where_they_are_and_what(drawing: Drawing) -> None:
    """Bars and lines by their exits, values as measured."""
    assert [point[2:] for point in told(drawing, "exited", "(A)")] == [
        [f"exit {k}", str(count)] for k, count in EXITED.items()
    ]
    assert [point[2:] for point in told(drawing, "overall", "(B)")] == [
        [f"exit {k}", f"{value:.4g}"] for k, value in ACCURACY["overall"].items()
    ]


def test_bars_beside_their_place_belong_to_it() -> None:
    """Two families' bars stand left and right of the exit."""
    with sheet([], "", 1, 1, (4, 4)) as (figure, (panel,)):
        panel.set_xlabel("exit")
        panel.set_xticks([1, 2])
        for name, shift in (("SEM", -0.21), ("MEM", 0.21)):
            bars(panel, {1: 80.0, 2: 90.0}, color="sem", label=name, shift=shift)
        legend(figure, [panel])
    for name in ("SEM", "MEM"):
        assert [point[2] for point in told(live(figure), name, "")] == ["exit 1", "exit 2"]


def test_gaps_are_no_points(drawing: Drawing) -> None:
    """At exit 1 the edge answered nobody."""
    assert [point[2] for point in told(drawing, "edge", "(B)")] == ["exit 2", "exit 3"]


def test_every_name_in_the_legend_has_its_parts(drawing: Drawing) -> None:
    """The script finds them by number: the line, its hollow marks, its handle and its text."""
    page = inline(drawing.svg, "five", "Figure 5")
    assert 'role="group"' in page
    assert [len(re.findall(rf'data-series="{number}"', page)) for number in range(3)] == [1, 2, 1]
    for number in range(3):
        assert len(re.findall(rf'data-legend="{number}"', page)) == 2
    numbers = {series["name"]: series["series"] for series in json.loads(drawing.points)}
    assert numbers == {"exited": None, "edge": 0, "cloud": 1, "overall": 2}


def scattered(name: str, title: str) -> Drawing:
    """Two named marks over a rate, and the best of them at another place of the same panel."""
    with sheet([], "", 1, 1, (4, 4)) as (figure, (panel,)):
        panel.set_title(title)
        logarithmic(panel, [1, 10])
        panel.set_xlabel("rate (Mbit/s)")
        points = [(1.0, 23.15, f"{name} at 2"), (4.5, 22.85, f"{name} at 5")]
        scatter(panel, points, color="cloud", label=name, marker="D", short=["2", ""])
        panel.plot([10], [22.0], label=f"_best {name}")
        legend(figure, [panel])
    return live(figure)


def test_marks_that_are_no_curve_say_what_they_are() -> None:
    """Each by its own name, and by the tick where it stands, or its place; those of a contest by its contender's."""
    drawing = scattered("cascade", "latency")
    (points, best) = [series["points"] for series in json.loads(drawing.points)]
    assert [point[2:] for point in points] == [
        ["cascade at 2, rate (Mbit/s) 1", "23.15"], ["cascade at 5, rate (Mbit/s) 4.5", "22.85"],
    ]  # fmt: skip
    assert [point[2:] for point in best] == [["rate (Mbit/s) 10", "22.0"]]
    assert {(series["name"], series["series"]) for series in json.loads(drawing.points)} == {("cascade", 0)}


def test_names_cannot_leave_the_script() -> None:
    """A closing tag in a title stays text."""
    evil = "</script><b>"
    drawing = scattered("cascade", evil)
    assert "<" not in drawing.points
    assert any(evil in series["panel"] for series in json.loads(drawing.points))
