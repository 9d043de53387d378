"""Places where a network can be cut: multiply-adds along, bytes up. Knows nothing of networks."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from offramp.charts.palette import light
from offramp.charts.panels import DOTTED, OVER_EDGE, scatter
from offramp.charts.sheet import Figure, legend, sheet

APART = (0.04, 0.07)  # of the panel's width and height: names nearer to another than this are left out
FEW = 3  # ends of blocks
LETTER = 0.0075  # of the panel's width, of a name's letter


class Place(NamedTuple):
    """A boundary: percent of the multiply-adds before it, bytes of a sample that cross, its name, and its kind."""

    along: float
    size: int
    name: str
    end: bool  # of a block
    several: bool  # tensors cross


def cuts(conditions: Sequence[str], title: str, places: Sequence[Place], own: tuple[str, int], codec: str) -> Figure:
    """Draw them; `own` is the input's name and its bytes."""
    with sheet(conditions, title, 1, 1, (10.4, 4.8)) as (figure, (panel,)):
        what, size = own
        panel.set_yscale("log")
        panel.set_xlim(0, 100)
        sizes = [size, *(place.size for place in places)]
        panel.set_ylim(min(sizes) / 1.6, max(sizes) * 2.2)
        panel.axhline(size, color=light("edge"), linewidth=1.4, linestyle=DOTTED, label=f"{what}, {size:,} bytes")
        panel.plot(
            [place.along for place in places], [place.size for place in places], color=light("rule"), linewidth=1.2,
            zorder=1.5, label="_path", **OVER_EDGE,
        )  # fmt: skip
        for label, color, marker, end in (  # ends over what is inside, where both are at one place
            ("inside a block", "overall", "D", False),
            ("end of a block", "cloud", "o", True),
        ):
            group = [(place.along, float(place.size), place.name) for place in places if place.end == end]
            scatter(panel, group, color=color, label=label, marker=marker, short=[""] * len(group))
            if group and not end:
                panel.get_lines()[-1].set_markersize(4.5)
        several = [place for place in places if place.several]
        if several:
            panel.plot(
                [place.along for place in several], [place.size for place in several], linestyle="none", marker="o",
                markersize=12, markerfacecolor="none", markeredgecolor=light("mem"), markeredgewidth=1.2,
                label="more than one tensor", **OVER_EDGE,
            )  # fmt: skip
        _write_names(panel, places)
        panel.set_xlabel("multiply-adds before it, in percent of the network's")
        panel.set_title(f"bytes of a sample that cross, as {codec}")
        panel.yaxis.set_major_formatter(lambda value, _: _bytes(value))
        legend(figure, [panel])
    return figure


def _bytes(value: float) -> str:
    """A round size on the axis.

    >>> _bytes(100.0), _bytes(10_000.0), _bytes(2e6)
    ('100', '10 k', '2 M')
    """
    for unit, one in (("M", 1e6), ("k", 1e3)):
        if value >= one:
            return f"{value / one:g} {unit}"
    return f"{value:g}"


def _write_names(panel: Any, places: Sequence[Place]) -> None:
    """Name what there is room for: ends of blocks; all where there are few of them."""
    written: list[tuple[float, float, float]] = []  # where a name begins and ends, and its height
    low, high = panel.get_ylim()
    ends = [place for place in places if place.end]
    named = ends if len(ends) >= FEW else sorted(places, key=lambda one: not one.end)
    shared = _shared([place.name for place in named])
    for place in named:
        name = place.name.removeprefix(shared)
        along, width = place.along / 100, APART[0] / 2 + LETTER * len(name)
        up = panel.yaxis.get_transform().transform([low, place.size, high])
        height = (up[1] - up[0]) / (up[2] - up[0])
        at_right = along + width > 1
        begin, end = (along - width, along) if at_right else (along, along + width)
        if any(abs(height - other) <= APART[1] and begin < last and first < end for first, last, other in written):
            continue
        written.append((begin, end, height))
        panel.annotate(
            name, (place.along, place.size), xytext=(-6 if at_right else 5, 5), textcoords="offset points",
            fontsize=8, ha="right" if at_right else "left", color=light("ink" if place.end else "muted"),
            in_layout=False,
        )  # fmt: skip


def _shared(names: Sequence[str]) -> str:
    """What all paths among the names begin with, and nobody needs to read; a number keeps the name before it.

    >>> _shared(["bert.encoder.layer.0", "bert.encoder.layer.1", "relu"])
    'bert.encoder.'
    """
    paths = [name.split(".") for name in names if "." in name]
    if len(paths) < 2:
        return ""
    count = min(map(len, paths)) - 1
    while count and (len({tuple(path[:count]) for path in paths}) > 1 or any(p[count].isdigit() for p in paths)):
        count -= 1
    return "".join(f"{part}." for part in paths[0][:count])
