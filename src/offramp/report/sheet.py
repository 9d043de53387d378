"""A figure's sheet: title above, conditions below, panels between; and its forms, SVG and PNG.

matplotlib's object interface only: no window, no global figure. Importing this needs the `report` extra.
"""

import io
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from offramp.artifacts.experiment import Experiment
from offramp.errors import MissingExtraError
from offramp.report.conditions import in_a_line
from offramp.report.palette import light, style

try:
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
except ImportError as error:
    raise MissingExtraError(
        "figures are drawn with matplotlib. Install it with: pip install 'offramp[report]'"
    ) from error

LETTER_WIDTH = 0.062  # inches, of the small print


@contextmanager
def sheet(
    experiment: Experiment, title: str, *, rows: int = 1, columns: int = 1, size: tuple[float, float], share_y: bool = False
) -> Iterator[tuple[Figure, list[Any]]]:
    """Open a figure of `size` in inches with its panels in reading order, and set it up in the report's style."""
    with mpl.rc_context(style()):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        figure.get_layout_engine().set(w_pad=0.12, h_pad=0.1, wspace=0.03, hspace=0.05)
        panels = figure.subplots(rows, columns, squeeze=False, sharey=share_y)
        figure.suptitle(title, x=0.012, ha="left")
        small_print = textwrap.fill(in_a_line(experiment), int(size[0] / LETTER_WIDTH))
        figure.supxlabel(small_print, x=0.012, ha="left", fontsize=8, color=light("muted"))
        yield figure, list(panels.flat)


def legend(figure: Figure, panel: Any) -> None:
    """Name a panel's lines once for the whole figure, in a row under the title."""
    handles, labels = panel.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside upper left", ncols=len(handles), borderaxespad=0.4)


def as_svg(figure: Figure, *, ground: bool = True) -> str:
    """The figure as SVG text; without `ground` it stands on whatever is behind it."""
    return _saved(figure, "svg", facecolor=light("paper") if ground else "none", metadata={"Date": None}).decode()


def as_png(figure: Figure) -> bytes:
    """The figure as PNG, 200 dots an inch: twice as fine as it is meant to be shown."""
    return _saved(figure, "png", dpi=200)


def _saved(figure: Figure, form: str, **settings: Any) -> bytes:
    content = io.BytesIO()
    with mpl.rc_context(style()):
        figure.savefig(content, format=form, **settings)
    return content.getvalue()
