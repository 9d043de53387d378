"""Risk against coverage: a line for whatever answers, over the share of samples that it is surest of. In percent."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from offramp.charts.accuracies import legend_rows
from offramp.charts.palette import light
from offramp.charts.panels import OVER_EDGE
from offramp.charts.sheet import Figure, legend, sheet

NAMES = 6  # in a row of the legend


class Surest(NamedTuple):
    """A line: at each threshold the share of samples whose score is not above it, and how many of those are wrong."""

    label: str
    color: str
    threshold: Sequence[float]
    share: Sequence[float]
    risk: Sequence[float]


def risk_and_coverage(conditions: Sequence[str], title: str, lines: Sequence[Surest], *, score: str) -> Figure:
    """Draw risk over coverage, and beside it coverage over the threshold of a `score`."""
    rows = legend_rows(len(lines), NAMES)
    size = (9.6, 4.2 + 0.34 * rows)
    with sheet(conditions, title, 1, 2, size, legend_rows=rows) as (figure, (risks, shares)):
        for line in lines:
            _line(risks, line, line.share, line.risk)
            _line(shares, line, line.threshold, line.share)
        risks.set_title("(A) wrong, of those that leave (%)")
        risks.set_xlabel("samples that leave, the surest first (%)")
        risks.set_xlim(0, 100)
        risks.set_ylim(bottom=0)
        shares.set_title("(B) samples that leave (%)")
        shares.set_xlabel(f"threshold T ({score})")
        shares.set_xlim(0, 1)
        shares.set_ylim(0, 100)
        legend(figure, [risks], NAMES)
    return figure


def _line(panel: Any, line: Surest, across: Sequence[float], up: Sequence[float]) -> None:
    panel.plot(across, up, color=light(line.color), label=line.label, linewidth=1.6, **OVER_EDGE)
