"""Plans as points: latency against accuracy, and beside it bytes against accuracy. Knows neither plans nor networks."""

from collections.abc import Sequence
from typing import NamedTuple

from offramp.charts.palette import light
from offramp.charts.panels import HOLLOW, scatter
from offramp.charts.sheet import Figure, legend, sheet


class Point(NamedTuple):
    """A plan: milliseconds, bytes, accuracy in percent, its name, and what is written beside it, if anything."""

    ms: float
    bytes: float
    accuracy: float
    name: str
    short: str = ""


class Group(NamedTuple):
    """Points of a kind; a `line` joins them, and hollow ones are not deployed."""

    label: str
    color: str
    marker: str
    points: Sequence[Point]
    line: bool = False
    hollow: bool = False


def pareto(conditions: Sequence[str], title: str, groups: Sequence[Group], *, wanted: float | None = None) -> Figure:
    """Draw them; `wanted` is the accuracy asked for, in percent."""
    with sheet(conditions, title, 1, 2, (10.4, 5.4), share_y=True, legend_rows=2) as (figure, (times, sizes)):
        for group in groups:
            for panel, horizontal in ((times, "ms"), (sizes, "bytes")):
                _draw(panel, group, horizontal)
        for panel in (times, sizes):
            if wanted is not None:
                panel.axhline(wanted, color=light("muted"), linewidth=1, linestyle=(0, (1, 1.5)), label="_wanted")
        times.set_title("(A) accuracy over predicted mean latency (%)")
        times.set_xlabel("predicted ms")
        times.set_xscale("log")
        sizes.set_title("(B) over predicted bytes to the cloud (%)")
        sizes.set_xlabel("predicted bytes a sample")
        sizes.set_xscale("symlog", linthresh=10)
        sizes.set_xlim(left=-0.5)
        shown = [point.accuracy for group in groups for point in group.points if not group.hollow]
        if shown:
            low = min([*shown, wanted or 100.0])
            times.set_ylim(low - 1, max(point.accuracy for group in groups for point in group.points) + 1)
        legend(figure, [times], 4)
    return figure


def _draw(panel: object, group: Group, horizontal: str) -> None:
    points = [(getattr(point, horizontal), point.accuracy, point.name) for point in group.points]
    short = [point.short for point in group.points]
    if group.line and points:
        places, heights, _ = zip(*points, strict=True)
        panel.plot(places, heights, color=light(group.color), linewidth=1, alpha=0.5, label=f"_child {group.label}")  # type: ignore[attr-defined]
    scatter(panel, points, color=group.color, label=group.label, marker=group.marker, short=short)
    if points:
        drawn = panel.get_lines()[-1]  # type: ignore[attr-defined]
        drawn.set_markersize(4.5 if group.line else 11 if group.marker == "*" else 7.5)
        if group.hollow:
            drawn.set(markerfacecolor="none", markeredgewidth=HOLLOW["markeredgewidth"])
