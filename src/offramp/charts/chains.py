"""Chains beside each other: how long each takes in each world, one panel a world. Knows no paper."""

from collections.abc import Mapping, Sequence
from textwrap import fill

from offramp.charts.palette import light
from offramp.charts.sheet import Figure, plain, sheet

ROW, ABOUT, LEAST = 0.3, 1.6, 8.4  # inches: of a bar, of what stands around the bars, and of all in width
WIDTH = 42  # letters of a panel's title on one line


def chains(
    conditions: Sequence[str], title: str, worlds: Mapping[str, Mapping[str, float]], marked: str, note: str = ""
) -> Figure:
    """Draw a bar for each chain's milliseconds, the one that is `marked` in another colour."""
    rows = max(map(len, worlds.values()), default=1)
    size = (max(3.9 * len(worlds) + 0.6, LEAST), ROW * rows + ABOUT + 0.5)
    with sheet(conditions, title, 1, len(worlds), size, note=note, legend_rows=0) as (figure, panels):
        for panel, (world, values) in zip(panels, worlds.items(), strict=True):
            names = list(values)[::-1]
            times = [values[name] for name in names]
            colors = [light("mem" if name == marked else "overall") for name in names]
            panel.barh(range(len(names)), times, color=colors, height=0.66, linewidth=0)
            panel.set_yticks(range(len(names)), [plain(name, 24) for name in names])
            panel.grid(visible=False)
            panel.set_xlim(0, 1.2 * max(times, default=1.0))
            panel.set_xlabel("mean ms a sample")
            panel.set_title(fill(plain(world), WIDTH), fontsize=9)
            for place, value in enumerate(times):
                panel.annotate(
                    f"{value:.1f}", (value, place), xytext=(3, 0), textcoords="offset points", va="center", fontsize=8.5
                )
    return figure
