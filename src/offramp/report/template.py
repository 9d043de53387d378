"""The pages' templates, which share a style and lie beside this file."""

from importlib.resources import files
from typing import Any

from offramp.errors import MissingExtraError
from offramp.report.palette import PALETTE

try:
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup
except ImportError as error:
    raise MissingExtraError(
        "the report is written with jinja2. Install it with: pip install 'offramp[report]'"
    ) from error

__all__ = ["Markup", "render", "unbroken"]


def render(name: str, **values: Any) -> str:
    """Fill a template. Every value is escaped unless it is Markup."""
    environment = Environment(
        loader=FunctionLoader(lambda file: files("offramp.report").joinpath(file).read_text(encoding="utf-8")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name).render(palette=PALETTE, **values)


def unbroken(text: str) -> str:
    """Keep `T = 0.3` and `96 %` on one line, by spaces that do not break."""
    return text.replace("T = ", "T\u00a0=\u00a0").replace(" %", "\u00a0%")
