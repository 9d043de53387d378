"""A figure's sheet: title above, conditions below, panels between; and its forms, SVG and PNG.

matplotlib's object interface only: no window, no global figure. Importing this needs the `report` extra.
"""

import io
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from offramp.charts.palette import light, style
from offramp.errors import MissingExtraError

try:
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
except ImportError as error:
    raise MissingExtraError(
        "figures are drawn with matplotlib. Install it with: pip install 'offramp[report]'"
    ) from error

__all__ = ["Figure", "as_png", "as_svg", "legend", "plain", "sheet"]

MARGIN = 0.14  # inches, as all that follow
TITLE, LEGEND = 0.42, 0.34  # heights of what stands above the panels
LONGEST = 120  # letters, of one condition in the small print
GROUND = "ground"  # id of what the drawing lies on
SMALL_LINE, SMALL_LETTER = 0.15, 0.057  # of the small print below them


@contextmanager
def sheet(
    conditions: Sequence[str],
    title: str,
    rows: int,
    columns: int,
    size: tuple[float, float],
    *,
    note: str = "",
    share_y: bool = False,
    legend_rows: int = 1,
) -> Iterator[tuple[Figure, list[Any]]]:
    """Open a figure of `size` in inches with its panels in reading order, and set it up in the report's style.

    Under the panels stand `note` and the conditions.
    """
    width, height = size
    parts = [note] * bool(note) + [plain(part) for part in conditions]
    # Lines break between parts: the spaces within one are made unbreakable.
    small_print = textwrap.wrap(" · ".join(part.replace(" ", "\xa0") for part in parts), int(width / SMALL_LETTER))
    below = MARGIN + SMALL_LINE * len(small_print)
    with mpl.rc_context(style()):
        figure = Figure(figsize=size)
        FigureCanvasAgg(figure)
        figure.patch.set_gid(GROUND)
        panels_at = (0, below / height, 1, 1 - (TITLE + LEGEND * legend_rows + below) / height)
        figure.set_layout_engine("constrained", rect=panels_at, w_pad=MARGIN, h_pad=0.08, wspace=0.02, hspace=0.04)
        panels = figure.subplots(rows, columns, squeeze=False, sharey=share_y)
        left = MARGIN / width
        figure.text(left, 1 - MARGIN / height, title, ha="left", va="top", size="x-large", weight="bold")
        figure.text(
            left, 0.08 / height, "\n".join(small_print), ha="left", va="bottom", size=8, linespacing=1.3,
            color=light("muted"),
        )  # fmt: skip
        yield figure, list(panels.flat)


def legend(figure: Figure, panels: list[Any], columns: int | None = None) -> None:
    """Name the lines and bars of all panels, each name once, in a row under the title; or in rows of `columns`.

    Published numbers, the hollow marks, come last.
    """
    named = {name: handle for panel in panels for handle, name in zip(*panel.get_legend_handles_labels(), strict=True)}
    named = dict(sorted(named.items(), key=lambda item: _hollow(item[1])))
    if named:
        width, height = figure.get_size_inches()
        place = ((MARGIN - 0.05) / width, 1 - (TITLE - 0.02) / height)
        row = figure.legend(
            list(named.values()),
            list(named),
            loc="upper left",
            bbox_to_anchor=place,
            ncols=columns or len(named),
            borderpad=0.3,
            borderaxespad=0,
        )
        row.set_in_layout(False)


def as_svg(figure: Figure) -> str:
    """The figure as SVG text."""
    drawing = _saved(figure, "svg", metadata={"Date": None}).decode()
    # Text is set in the reader's own fonts: where this one is missing, one as wide, so that nothing overlaps.
    return drawing.replace("font-family: 'DejaVu Sans'", "font-family: 'DejaVu Sans', Verdana, sans-serif")


def as_png(figure: Figure) -> bytes:
    """The figure as PNG, 200 dots an inch: twice as fine as it is meant to be shown."""
    return _saved(figure, "png", dpi=200)


def plain(text: str, longest: int = LONGEST) -> str:
    """Text of a document as a picture can hold it: no control characters, and not without end."""
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _hollow(mark: Any) -> bool:
    return bool(getattr(mark, "get_markerfacecolor", str)() == "none")


def _saved(figure: Figure, form: str, **settings: Any) -> bytes:
    content = io.BytesIO()
    with mpl.rc_context(style()):
        figure.savefig(content, format=form, **settings)
    figure.set_layout_engine("none")  # its places hold for every form from now on: to find them is a third of the work
    return content.getvalue()
