"""How accurate exits are: while they are trained, epoch by epoch, and in the end, over all samples. In percent.

Takes the numbers of some families of models, each a line, and published ones to mark beside them. Knows neither whose
they are nor where they were kept.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from offramp.charts import panels as draw
from offramp.charts.panels import Curve
from offramp.charts.sheet import Figure, legend, sheet

PANELS = 4  # in a row


class Learning(NamedTuple):
    """A family while it is trained; in each panel its last value is written by `form` at a height of the panel."""

    label: str
    color: str
    curves: Mapping[int, Mapping[int, float]]  # by exit and epoch
    height: float
    form: str = "{:.1f}"
    dotted: bool = True


class Reached(NamedTuple):
    """A family in the end: a bar a local exit, with whiskers where there is a range, and a line of the last exit's."""

    label: str
    color: str
    marker: str
    local: Curve[int]
    last: Curve[int]
    bars: str  # their name in the legend
    shift: float  # of the bars from the exit's place
    ranges: Mapping[int, tuple[float, float]] | None = None
    dotted: bool = True


class Marks(NamedTuple):
    """Published numbers by exit."""

    values: Mapping[int, float]
    color: str
    label: str
    marker: str = "o"
    shift: float = 0.0


def while_training(
    conditions: Sequence[str],
    title: str,
    exits: Sequence[int],
    families: Sequence[Learning],
    published: Sequence[Marks] = (),
    *,
    note: str = "",
    names: int | None = None,
) -> Figure:
    """Draw accuracy over epochs, a panel an exit; `names`: how many stand in a row of the legend, if it has rows."""
    columns = max(1, min(PANELS, len(exits)))
    rows, lines = max(1, -(-len(exits) // columns)), legend_rows(len(families) + len(published), names)
    size = (9.6, 1.4 + 1.8 * rows + 0.34 * (lines - 1))
    with sheet(conditions, title, rows, columns, size, share_y=True, legend_rows=lines, note=note) as (figure, panels):
        panels[0].set_ylim(0, 100)
        for panel in panels[len(exits) :]:
            panel.set_visible(False)
        for number, (panel, exit_) in enumerate(zip(panels, exits, strict=False)):
            panel.set_title(f"exit {exit_}")
            panel.set_xlabel("epoch" if number >= len(exits) - columns else "")
            drawn = [(family, values) for family in families if (values := family.curves.get(exit_))]
            for family, values in drawn:
                draw.over_epochs(panel, values, color=family.color, label=family.label, dotted=family.dotted)
                draw.write_in(panel, family.form.format(list(values.values())[-1]), family.color, family.height)
            end = max((max(values) for _, values in drawn), default=1)
            for known in published:
                at_end = {end: known.values[exit_]} if exit_ in known.values else {}
                draw.marks(panel, **known._replace(values=at_end)._asdict(), whole=True)
        legend(figure, panels, names)
    return figure


def over_all_samples(
    conditions: Sequence[str],
    what: str,
    exits: Sequence[int],
    families: Sequence[Reached],
    published: Sequence[Marks] = (),
    *,
    width: float,
    note: str = "",
    names: int | None = None,
) -> Figure:
    """Draw accuracy with every test sample answered at one exit; `width` is a bar's. A wide one has its value on it."""
    lines = legend_rows(len(families) + len(published), names)
    size = (9.6, 4.3 + 0.34 * lines * (names is not None))
    title = "Accuracy if every test sample were answered at one exit"
    with sheet(conditions, title, 1, 1, size, legend_rows=lines, note=note) as (figure, (panel,)):
        shown = [curve for family in families for curve in (family.local, family.last)]
        start = draw.percentages(panel, [*shown, *(known.values for known in published if known.marker != "_")])
        draw.over_exits(panel, exits, what + (f"; the axis starts at {start:.0f}" if start else ""))
        for family in families:
            color, shift = family.color, family.shift
            draw.bars(panel, family.local, color=color, label=family.bars, shift=shift, width=width, alpha=0.45)
            if width >= 0.4:
                draw.write_values(panel, family.local, "{:.1f}", shift=shift, at=start)
            draw.whiskers(panel, family.ranges or {}, color=color, label=family.label, shift=shift)
            draw.line(
                panel, exits, family.last, color=color, label=family.label, marker=family.marker, dotted=family.dotted
            )  # fmt: skip
        for known in published:
            draw.marks(panel, **known._asdict())
        legend(figure, [panel], names)
    return figure


def legend_rows(count: int, names: int | None) -> int:
    """How many rows so many names take, `names` in a row; without it one, however many they are."""
    return 1 if names is None else -(-count // names)
