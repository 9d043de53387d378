"""A figure as a drawing inside a page that answers: which point is where and what it says, which part is which series.

Takes a drawn figure; gives its SVG and what the page's script (`charts.js`) reads. A series is what a name in the
legend stands for. Artists that belong to another's series are labelled so: `_few SEM`, `_range SEM`, `_best SEM`.
"""

import json
from collections.abc import Iterator
from math import isnan
from typing import Any, NamedTuple

from offramp.charts.sheet import Figure, as_svg

_BELONGING = ("_few ", "_range ", "_best ")
_SILENT = ("_few ", "_range ", "_lowest", "_child")  # drawn over points that are told already
_POINTS_AN_INCH = 72
_NEAR = 0.45  # of an exit: bars stand beside their place


class Drawing(NamedTuple):
    """A drawing, and its points as JSON."""

    svg: str
    points: str


def live(figure: Figure) -> Drawing:
    """Draw a figure, its parts and points named. It keeps ids that no other drawing of it should have."""
    names = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    for legend in figure.legends:
        for number, parts in enumerate(zip(legend.legend_handles, legend.get_texts(), strict=True)):
            for part, artist in enumerate(parts):
                assert artist is not None
                artist.set_gid(f"legend-{number}-{part}")
    count = 0
    for panel in figure.axes:
        for artist, label in _artists(panel):
            if (series := _series(label, names)) is not None:
                artist.set_gid(f"series-{series}-{count}")
                count += 1
    svg = as_svg(figure)  # lays the figure out, so only now points have their places
    told = [points for panel in figure.axes if panel.get_visible() for points in _told(figure, panel, names)]
    return Drawing(svg, json.dumps(told, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c"))


def _artists(panel: Any) -> Iterator[tuple[Any, str]]:
    for line in panel.get_lines():
        yield line, line.get_label()
    for whiskers in panel.collections:
        yield whiskers, whiskers.get_label()
    for bars in panel.containers:
        for bar in bars:
            yield bar, bars.get_label()


def _series(label: str, names: list[str]) -> int | None:
    for prefix in _BELONGING:
        label = label.removeprefix(prefix)
    return names.index(label) if label in names else None


def _told(figure: Figure, panel: Any, names: list[str]) -> Iterator[dict[str, Any]]:
    """Each line's and bar group's name, place in the legend, panel, and points."""
    drawn = [
        (line.get_label(), line.get_xdata(), line.get_ydata(), getattr(line, "names", None))
        for line in panel.get_lines()
    ]
    for bars in panel.containers:
        places = [bar.get_x() + bar.get_width() / 2 for bar in bars]
        drawn.append((bars.get_label(), places, [bar.get_height() for bar in bars], None))
    for label, places, heights, own in drawn:
        if label.startswith(_SILENT):
            continue
        yield {
            "name": label.removeprefix("_best ").removeprefix("_"),
            "series": _series(label, names),
            "panel": panel.get_title(loc="left"),
            "points": list(_points(figure, panel, places, heights, own)),
        }


def _points(figure: Figure, panel: Any, places: Any, heights: Any, own: Any) -> Iterator[tuple[float, float, str, str]]:
    """Of each point its place in the drawing, and where it is and what it says in words."""
    scale = _POINTS_AN_INCH / figure.dpi
    height = figure.get_size_inches()[1] * _POINTS_AN_INCH
    axis, across, up = panel.get_xlabel(), _ticks(panel.xaxis), _ticks(panel.yaxis)
    near = _NEAR if axis == "exit" else 0.0
    for number, (x, y) in enumerate(zip(map(float, places), map(float, heights), strict=True)):
        if isnan(y):  # a gap
            continue
        at = panel.transData.transform((x, y)) * scale
        where = f"{axis} {_said(across, x, near)}".strip()
        where = f"{own[number]}, {where}" if own else where
        yield round(float(at[0]), 1), round(height - float(at[1]), 1), where, _said(up, y, 0.0)


def _ticks(axis: Any) -> dict[float, str]:
    """The labels of an axis by place; panels that share an axis have them on the first alone."""
    labels = [label.get_text().replace("\n", " ") for label in axis.get_ticklabels()]
    return {float(tick): label for tick, label in zip(axis.get_ticklocs(), labels, strict=False) if label}


def _said(ticks: dict[float, str], value: float, near: float) -> str:
    """The label of the tick where a value is, or the value."""
    tick = next((label for at, label in ticks.items() if abs(at - value) <= near), None)
    return tick or (f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}")
