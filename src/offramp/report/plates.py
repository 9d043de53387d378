"""A page and its figures: each drawing inside the page with its caption, and as files beside it."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from offramp.artifacts.document import write_bytes
from offramp.charts.sheet import Figure, as_png, as_svg
from offramp.charts.svg import inline
from offramp.report.template import Markup, unbroken


class Plate(NamedTuple):
    """A figure as the template `figures.html` shows it."""

    name: str  # of its files and ids
    title: str
    caption: str
    drawing: Markup


def plates(figures: Mapping[str, Figure], captions: Mapping[str, str]) -> list[Plate]:
    """Bring figures into a page, each under the name that its caption has as well."""
    return [
        Plate(
            name,
            name.replace("-", " ").capitalize(),
            unbroken(captions[name]),
            Markup(inline(as_svg(figure), name, captions[name])),
        )
        for name, figure in figures.items()
    ]


def write_page(path: Path, page: str, figures: Mapping[str, Figure]) -> list[Path]:
    """Write a page, and each figure beside it as SVG and PNG; give their paths, the page's first."""
    files = {path: page.encode()}
    for name, figure in figures.items():
        files |= {path.with_name(f"{name}.svg"): as_svg(figure).encode(), path.with_name(f"{name}.png"): as_png(figure)}
    for file, content in files.items():
        write_bytes(file, content)
    return list(files)
