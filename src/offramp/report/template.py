"""The pages' templates: each lies in the room whose page it is, and what all share lies beside this file."""

from importlib.resources import files
from typing import Any

from offramp.charts.palette import PALETTE
from offramp.errors import MissingExtraError

try:
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup
except ImportError as error:
    raise MissingExtraError(
        "the report is written with jinja2. Install it with: pip install 'offramp[report]'"
    ) from error

__all__ = ["Markup", "render", "unbroken"]

SHARED = "offramp.report"


def render(name: str, room: str = SHARED, **values: Any) -> str:
    """Fill a template of a package, or of this one. Every value is escaped unless it is Markup."""

    def read(file: str) -> str:
        own = files(room).joinpath(file)
        return (own if own.is_file() else files(SHARED).joinpath(file)).read_text(encoding="utf-8")

    environment = Environment(
        loader=FunctionLoader(read),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name).render(palette=PALETTE, **values)


def unbroken(text: str) -> str:
    """Keep `T = 0.3` and `96 %` on one line, by spaces that do not break."""
    return text.replace("T = ", "T\u00a0=\u00a0").replace(" %", "\u00a0%")
