"""What stands in a panel of a drawn figure, by the names it has there."""

from math import isnan
from typing import Any


def lines(panel: Any) -> dict[str, tuple[list[float], list[float | None]]]:
    """Its lines: places, and heights with None where the line is broken."""
    return {
        line.get_label(): (
            [float(x) for x in line.get_xdata()],
            [None if isnan(y) else float(y) for y in line.get_ydata()],
        )
        for line in panel.get_lines()
    }


def bars(panel: Any) -> dict[str, dict[float, float]]:
    """Its bars: height by the place of the middle."""
    return {
        group.get_label(): {round(bar.get_x() + bar.get_width() / 2, 6): bar.get_height() for bar in group}
        for group in panel.containers
    }
