"""One panel of a figure: bars, lines and axes. Takes values by exit (or epoch); knows nothing of what was measured."""

from collections.abc import Iterable, Mapping, Sequence
from math import floor, nan
from typing import Any, TypeVar

from offramp.charts.palette import light

DOTTED = (0, (1, 1.5))
Place = TypeVar("Place", int, float)  # on the horizontal axis: an exit, most often
Curve = Mapping[Place, float | None]
HOLLOW: dict[str, Any] = {
    "linestyle": "none", "markerfacecolor": "none", "markeredgewidth": 1.4, "markersize": 7, "zorder": 6,
}  # fmt: skip
# What lies on the edge of a panel is drawn whole, and the layout does not make room for it.
OVER_EDGE: dict[str, Any] = {"clip_on": False, "in_layout": False}


def over_exits(axes: Any, exits: Sequence[int], title: str, label: str = "exit") -> None:
    """Title a panel and give it one tick an exit."""
    axes.set_title(title)
    axes.set_xlabel(label)
    if exits:
        axes.set_xticks(exits)
        axes.set_xlim(exits[0] - 0.6, exits[-1] + 0.6)


def line(
    axes: Any,
    places: Sequence[Place],
    values: Curve[Place],
    *,
    color: str,
    label: str,
    marker: str = "o",
    dotted: bool = False,
    few: Iterable[Place] = (),
    behind: bool = False,
) -> None:
    """Draw a line over all `places`, broken where a value is missing. At those in `few` the marker is hollow.

    A line that is `behind` is broad and pale, so that another of the same values can be seen on it.
    """
    heights = [nan if (value := values.get(place)) is None else value for place in places]
    broad: dict[str, Any] = {"linewidth": 9, "markersize": 9, "alpha": 0.45, "zorder": 2.5} if behind else {"zorder": 3}
    axes.plot(
        places, heights, color=light(color), label=label, marker=marker, linestyle=DOTTED if dotted else "solid",
        markeredgewidth=0, **broad, **OVER_EDGE,
    )  # fmt: skip
    hollow = {place: value for place in sorted(few) if (value := values.get(place)) is not None}
    if hollow and not behind:
        axes.plot(
            list(hollow), list(hollow.values()), label=f"_few {label}", linestyle="none", marker=marker, markersize=4.6,
            color=light(color), markerfacecolor=light("paper"), markeredgewidth=1.5, zorder=4, **OVER_EDGE,
        )  # fmt: skip


def marks(
    axes: Any,
    values: Mapping[int, float],
    *,
    color: str,
    label: str,
    marker: str = "o",
    shift: float = 0.0,
    whole: bool = False,
) -> None:
    """Mark published numbers hollow; nothing, not even a name, where there are none. `whole`: on the edge as well."""
    if values:
        places = [exit_ + shift for exit_ in values]
        size = {"markersize": 11} if marker == "*" else {}
        axes.plot(
            places, list(values.values()), marker=marker, color=light(color), label=label,
            **(HOLLOW | size | (OVER_EDGE if whole else {})),
        )  # fmt: skip


def whiskers(
    axes: Any, ranges: Mapping[Place, tuple[float, float]], *, color: str, label: str, shift: float = 0.0
) -> None:
    """Draw from the lowest to the highest of several values at each place; `label` is what they belong to."""
    if ranges:
        lows, highs = zip(*ranges.values(), strict=True)
        places = [place + shift for place in ranges]
        axes.vlines(places, lows, highs, color=light(color), linewidth=1.4, label=f"_range {label}")


def scatter(
    axes: Any, points: Sequence[tuple[float, float, str]], *, color: str, label: str, marker: str, short: Sequence[str]
) -> None:
    """Draw marks that are no curve: of each place, height and name, and what is written beside it, if anything."""
    if not points:
        return
    places, heights, names = zip(*points, strict=True)
    (drawn,) = axes.plot(
        places, heights, color=light(color), label=label, marker=marker, linestyle="none", markersize=7.5,
        markeredgewidth=0, zorder=3, **OVER_EDGE,
    )  # fmt: skip
    drawn.names = names  # what `offramp.charts.live` says of each
    for place, height, text in zip(places, heights, short, strict=True):
        axes.annotate(
            text, (place, height), xytext=(5, 3), textcoords="offset points", fontsize=8, color=light(color),
            in_layout=False,
        )  # fmt: skip


def over_epochs(axes: Any, values: Mapping[int, float], *, color: str, label: str, dotted: bool) -> None:
    """Draw a line over epochs, or a point where there was only one."""
    axes.plot(
        list(values), list(values.values()), color=light(color), label=label, marker="o" if len(values) == 1 else "",
        linestyle=DOTTED if dotted else "solid", **OVER_EDGE,
    )  # fmt: skip
    axes.xaxis.get_major_locator().set_params(integer=True)


def bars(
    axes: Any, values: Curve[int], *, color: str, label: str, shift: float = 0.0, width: float = 0.7, alpha: float = 1.0
) -> None:
    """Draw a bar at each exit that has a value."""
    known = {exit_ + shift: value for exit_, value in values.items() if value is not None}
    axes.bar(list(known), list(known.values()), width=width, color=light(color), label=label, alpha=alpha, linewidth=0)


def write_values(axes: Any, values: Curve[int], form: str, *, shift: float = 0.0, at: float | None = None) -> None:
    """Write each bar's value over it, or at height `at`; long ones smaller, so that neighbours do not touch."""
    texts = {exit_: form.format(value) for exit_, value in values.items() if value is not None}
    size = 8.5 if max(map(len, texts.values()), default=0) <= 4 else 7
    for exit_, text in texts.items():
        axes.annotate(
            text, (exit_ + shift, values[exit_] if at is None else at), xytext=(0, 3), fontsize=size,
            textcoords="offset points", ha="center", va="bottom", color=light("ink"),
        )  # fmt: skip


def mark_lowest(axes: Any, curves: Iterable[Curve[int]], form: str) -> None:
    """Ring the lowest point of several curves and write its value beside it, where there is room."""
    points = [(value, exit_) for values in curves for exit_, value in values.items() if value is not None]
    if not points:
        return
    value, exit_ = min(points)
    below = value > 0.2 * axes.get_ylim()[1]
    ring = {"marker": "o", "markersize": 12, "markerfacecolor": "none", "markeredgewidth": 1.2}
    axes.plot([exit_], [value], label="_lowest", color=light("ink"), zorder=5, **ring, **OVER_EDGE)
    axes.annotate(
        form.format(value), (exit_, value), xytext=(0, -10 if below else 10), textcoords="offset points", fontsize=9.5,
        ha="center", va="top" if below else "bottom", color=light("ink"), weight="bold", in_layout=False,
    )  # fmt: skip


def write_in(axes: Any, text: str, color: str, height: float) -> None:
    """Write into the panel's right side, `height` of the way up."""
    axes.text(0.97, height, text, transform=axes.transAxes, ha="right", fontsize=9.5, color=light(color), weight="bold")


def percentages(axes: Any, own: Sequence[Curve[Any]], scale: Sequence[Curve[Any]] | None = None) -> float:
    """Scale a panel of percentages, from a round number below the lowest of `scale`; give that number."""
    known = [value for values in (scale or own) for value in values.values() if value is not None]
    start = max(0.0, 10.0 * floor((min(known, default=0.0) - 1) / 10))
    axes.set_ylim(start, 100)
    _say_if_empty(axes, own)
    return start


def from_zero(
    axes: Any, own: Sequence[Curve[Any]], scale: Sequence[Curve[Any]] | None = None, *, top: float | None = None
) -> None:
    """Scale a panel of quantities that start at zero, up to `top` or just over the largest of `scale`."""
    known = [value for values in (scale or own) for value in values.values() if value is not None]
    axes.set_ylim(0, top or 1.1 * max(known, default=1.0) or 1.0)
    _say_if_empty(axes, own)


def logarithmic(axes: Any, rates: Sequence[float]) -> None:
    """Put rates on a logarithmic horizontal axis, a tick each."""
    axes.set_xscale("log")
    axes.set_xticks(rates, [f"{rate:g}" for rate in rates])
    axes.minorticks_off()


def _say_if_empty(axes: Any, curves: Sequence[Curve[Any]]) -> None:
    if any(value is not None for values in curves for value in values.values()):
        return
    axes.set_yticks([])
    axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", va="center", color=light("muted"))
