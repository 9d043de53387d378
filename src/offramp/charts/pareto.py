"""Plans as points: accuracy over latency, and beside it over bytes. Knows neither plans nor networks."""

from collections.abc import Sequence
from math import ceil, floor, log10
from typing import Any, NamedTuple

from offramp.charts.palette import light
from offramp.charts.panels import HOLLOW, logarithmic, scatter
from offramp.charts.sheet import Figure, legend, sheet

NAMES = 4  # in a row of the legend
SMALL, LARGE = 4.0, 12.0  # of a marker
TICKS = (1, 2, 5)


class Point(NamedTuple):
    """A plan: milliseconds or bytes, accuracy in percent, and its name."""

    across: float
    accuracy: float
    name: str


class Group(NamedTuple):
    """Points of a kind, those of each panel; `many` are small, and what is hollow is not deployed."""

    label: str
    color: str
    marker: str
    times: Sequence[Point]
    sizes: Sequence[Point]
    many: bool = False
    hollow: bool = False


def pareto(conditions: Sequence[str], title: str, groups: Sequence[Group], *, wanted: float | None = None) -> Figure:
    """Draw them; `wanted` is the accuracy asked for, in percent."""
    groups = [group for group in groups if group.times]
    rows = ceil(len(groups) / NAMES)
    with sheet(conditions, title, 1, 2, (10.4, 4.6 + 0.34 * rows), share_y=True, legend_rows=rows) as (figure, panels):
        times, sizes = panels
        for group in groups:
            _draw(times, group, group.times)
            _draw(sizes, group, group.sizes)
        for panel in panels:
            if wanted is not None:
                panel.axhline(wanted, color=light("muted"), linewidth=1, linestyle=(0, (1, 1.5)), label="_child wanted")
        times.set_title("(A) right (%), over predicted mean latency")
        times.set_xlabel("predicted ms")
        found = [point.across for group in groups for point in group.times]
        logarithmic(times, _ticks(min(found), max(found)))
        sizes.set_title("(B) right (%), over predicted bytes to the cloud")
        sizes.set_xlabel("predicted bytes a sample")
        sizes.set_xlim(left=0)
        legend(figure, [times], NAMES)
    return figure


def _draw(panel: Any, group: Group, points: Sequence[Point]) -> None:
    before = len(panel.get_lines())
    scatter(panel, points, color=group.color, label=group.label, marker=group.marker, short=[""] * len(points))
    for drawn in panel.get_lines()[before:]:
        drawn.set_markersize(SMALL if group.many else LARGE if group.marker == "*" else 7.5)
        drawn.set_zorder(3 if group.many else 4)
        if group.hollow:
            drawn.set(markerfacecolor="none", markeredgewidth=HOLLOW["markeredgewidth"])


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers over the decades of a range, two at least.

    >>> _ticks(1.5, 30.0)
    [1.0, 2.0, 5.0, 10.0, 20.0, 50.0]
    """
    decades = range(floor(log10(low)), ceil(log10(high)) + 1)
    every = [float(f"{step}e{decade}") for decade in decades for step in TICKS]
    first = max(k for k, tick in enumerate(every) if tick <= low)
    last = min(k for k, tick in enumerate(every) if tick >= high)
    return every[first : max(last, first + 1) + 1]
