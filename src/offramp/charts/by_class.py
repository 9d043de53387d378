"""Classes: what each was taken for, and shares of it as bars. Takes counts and shares; knows not who answered."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from offramp.charts import panels as draw
from offramp.charts.palette import light
from offramp.charts.sheet import Figure, legend, plain, sheet

LETTERS = 18  # of a class's name
WRITTEN = 20  # classes up to which the counts stand in the matrix
LEVEL = 16  # letters of all names together, up to which they lie beside each other in an inch


class Shares(NamedTuple):
    """A bar a class, in percent, by its place from 0; with whiskers where there is a range."""

    label: str
    color: str
    values: Mapping[int, float]
    ranges: Mapping[int, tuple[float, float]] | None = None


def confusion_matrix(
    conditions: Sequence[str],
    title: str,
    names: Sequence[str],
    counts: Sequence[Sequence[int]],
    samples: Sequence[int],
    *,
    note: str = "",
) -> Figure:
    """Draw a row for each class and a column for what it was taken for: darker, the larger its share of the class.

    `samples` are how many each class has: more than its row, where it was taken for classes that are not drawn.
    """
    side = 2.0 + max(3.2, min(7.0, 0.48 * len(names)))
    with sheet(conditions, title, 1, 1, (9.6, side), note=note, legend_rows=0) as (figure, (panel,)):
        for row, of in enumerate(counts):
            for column, count in enumerate(of):
                if count:
                    _cell(panel, column, row, count, count / samples[row], written=len(names) <= WRITTEN)
        panel.set_xlim(-0.5, len(names) - 0.5)
        panel.set_ylim(len(names) - 0.5, -0.5)
        _name(panel, names, 6.0)
        panel.set_yticks(range(len(names)), [plain(name, LETTERS) for name in names])
        panel.set_xlabel("answered")
        panel.set_ylabel("is")
        panel.grid(visible=False)
    return figure


def shares_by_class(
    conditions: Sequence[str], title: str, names: Sequence[str], groups: Sequence[Shares], *, note: str = ""
) -> Figure:
    """Draw the groups' bars beside each other at each class."""
    width = 0.8 / max(1, len(groups))
    with sheet(conditions, title, 1, 1, (9.6, 4.4), note=note) as (figure, (panel,)):
        for number, group in enumerate(groups):
            shift = (number - (len(groups) - 1) / 2) * width
            draw.bars(panel, group.values, color=group.color, label=group.label, shift=shift, width=0.9 * width)
            draw.whiskers(panel, group.ranges or {}, color="ink", label=group.label, shift=shift)
        panel.set_xlim(-0.6, len(names) - 0.4)
        panel.set_ylim(0, 100)
        panel.set_title("%")
        _name(panel, names, 9.0)
        legend(figure, [panel])
    return figure


def _cell(panel: Any, column: int, row: int, count: int, share: float, *, written: bool) -> None:
    color = light("sem" if row == column else "mem")
    panel.bar([column], [1], bottom=row - 0.5, width=1, color=color, alpha=0.06 + 0.5 * share, linewidth=0)
    if written:
        panel.text(column, row, f"{count:,}", ha="center", va="center", fontsize=8.5, color=light("ink"))


def _name(panel: Any, names: Sequence[str], inches: float) -> None:
    """Name the classes below, upright where they would touch each other."""
    short = [plain(name, LETTERS) for name in names]
    level = max(map(len, short), default=0) * len(short) <= LEVEL * inches
    panel.set_xticks(range(len(short)), short, rotation=0 if level else 90)
