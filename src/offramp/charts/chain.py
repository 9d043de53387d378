"""A chain of tiers drawn: a box a tier with its stages and what is said of it, an arrow a hop.

Takes words and numbers of stages; knows nothing of plans.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from offramp.charts.palette import PALETTE, light
from offramp.charts.sheet import Figure, plain, sheet

BOX, GAP = 2.7, 1.75  # inches
LINE, SQUARE = 0.2, 0.2  # inches: of text, and the most that a stage takes
HEAD, FOOT = 1.05, 0.2  # inches of a box above and below its lines
ABOUT = 1.0  # inches: title, small print and margins


class Box(NamedTuple):
    """A tier: its name, what it runs, how many stages, which of them (from 1) have an exit, and lines of text."""

    name: str
    runs: str
    stages: int
    exits: tuple[int, ...]
    lines: tuple[str, ...]


class Arrow(NamedTuple):
    """A hop: what stands over it and under it."""

    over: tuple[str, ...]
    under: tuple[str, ...]


def chain(conditions: Sequence[str], title: str, boxes: Sequence[Box], arrows: Sequence[Arrow]) -> Figure:
    """Draw boxes from left to right, an arrow behind each but the last."""
    tall = HEAD + FOOT + LINE * max(len(box.lines) for box in boxes)
    width = BOX * len(boxes) + GAP * len(arrows) + 0.4
    with sheet(conditions, title, 1, 1, (max(width, 7.0), tall + ABOUT), legend_rows=0) as (figure, (panel,)):
        panel.set_axis_off()
        panel.set_xlim(0, max(width, 7.0) - 0.4)
        panel.set_ylim(0, tall)
        at = 0.0
        for place, box in enumerate(boxes):
            _box(panel, box, at, tall)
            at += BOX
            if place < len(arrows):
                _arrow(panel, arrows[place], at, tall)
                at += GAP
    return figure


def _box(panel: Any, box: Box, at: float, tall: float) -> None:
    from matplotlib.patches import FancyBboxPatch, Rectangle

    color = light(box.name if box.name in PALETTE else "sem")
    frame = FancyBboxPatch(
        (at + 0.06, 0.06), BOX - 0.12, tall - 0.12, boxstyle="round,pad=0,rounding_size=0.1", facecolor="none",
        edgecolor=color, linewidth=1.6,
    )  # fmt: skip
    panel.add_patch(frame)
    left, top = at + 0.2, tall - 0.3
    panel.text(left, top, plain(box.name, 24), va="center", weight="bold", size=12, color=color)
    panel.text(at + BOX - 0.2, top, plain(box.runs, 24), va="center", ha="right", size=9, color=light("muted"))
    side = min(SQUARE, (BOX - 0.4) / max(box.stages, 1))
    for stage in range(box.stages):
        exits = stage + 1 in box.exits
        place = (left + stage * side, top - 0.48)
        square = Rectangle(
            place, 0.8 * side, 0.16, facecolor=color if exits else light("rule"), edgecolor=color, linewidth=0.6
        )
        panel.add_patch(square)
    for row, text in enumerate(box.lines):
        panel.text(left, tall - HEAD - LINE * row, plain(text, 40), va="center", size=9, color=light("ink"))


def _arrow(panel: Any, arrow: Arrow, at: float, tall: float) -> None:
    middle = tall / 2
    panel.annotate(
        "", (at + GAP - 0.02, middle), xytext=(at + 0.02, middle),
        arrowprops={"arrowstyle": "-|>", "color": light("muted"), "linewidth": 1.6, "shrinkA": 0, "shrinkB": 0},
    )  # fmt: skip
    for row, text in enumerate(reversed(arrow.over)):
        panel.text(at + GAP / 2, middle + 0.16 + LINE * row, plain(text, 24), ha="center", va="center", size=9)
    for row, text in enumerate(arrow.under):
        panel.text(
            at + GAP / 2, middle - 0.18 - LINE * row, plain(text, 24), ha="center", va="center", size=9,
            color=light("muted"),
        )  # fmt: skip
