"""One panel of a figure: bars, lines and axes over exits. Takes values by exit; knows nothing of experiments."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import floor, nan
from typing import Any

from offramp.report.palette import light

Values = Mapping[int, float | None]  # by exit; None where there is nothing, which is drawn as a gap


def over_exits(axes: Any, exits: Sequence[int], title: str, *, unit: str = "", axis_label: str = "exit") -> None:
    """Set a panel up: its title, one tick an exit, and its unit above the axis."""
    axes.set_title(title + (f"  ({unit})" if unit else ""))
    axes.set_xticks(exits)
    axes.set_xlim(exits[0] - 0.6, exits[-1] + 0.6)
    axes.set_xlabel(axis_label)


def line(
    axes: Any,
    exits: Sequence[int],
    values: Values,
    *,
    color: str,
    label: str,
    marker: str = "o",
    dotted: bool = False,
    few: Iterable[int] = (),
) -> None:
    """Draw a line over all `exits`, broken where a value is missing. At exits in `few` the marker is hollow."""
    heights = [nan if (value := values.get(exit_)) is None else value for exit_ in exits]
    kind = {"linestyle": (0, (1.2, 1.6))} if dotted else {}
    axes.plot(exits, heights, color=light(color), label=label, marker=marker, **kind)
    hollow = {exit_: value for exit_ in few if (value := values.get(exit_)) is not None}
    if hollow:
        axes.plot(
            list(hollow), list(hollow.values()), label="_few", linestyle="none", marker=marker, markersize=5.5,
            color=light(color), markerfacecolor=light("paper"), markeredgewidth=1.6, zorder=3,
        )  # fmt: skip


def bars(
    axes: Any,
    values: Values,
    *,
    color: str,
    label: str,
    shift: float = 0.0,
    width: float = 0.68,
    alpha: float = 1.0,
) -> list[tuple[float, float]]:
    """Draw a bar at each exit that has a value; give their places and heights."""
    known = {exit_ + shift: value for exit_, value in values.items() if value is not None}
    axes.bar(list(known), list(known.values()), width=width, color=light(color), label=label, alpha=alpha, linewidth=0)
    return list(known.items())


def write_over(axes: Any, places: Iterable[tuple[float, float]], text: Callable[[float], str]) -> None:
    """Write each bar's value over it."""
    for place, height in places:
        axes.annotate(
            text(height), (place, height), xytext=(0, 3), textcoords="offset points", ha="center", va="bottom",
            fontsize=8.5, color=light("muted"),
        )  # fmt: skip


def empty_if_none(axes: Any, *curves: Values) -> bool:
    """Say in the panel that nothing was measured, where that is so."""
    if any(value is not None for curve in curves for value in curve.values()):
        return False
    axes.set_yticks([])
    axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", va="center", color=light("muted"))
    return True


def floor_of(percentages: Iterable[float | None], step: int = 10) -> float:
    """Give where an axis of percentages should start so that differences show: a round number below the lowest."""
    known = [value for value in percentages if value is not None]
    return max(0.0, step * floor((min(known, default=0.0) - step / 5) / step))
