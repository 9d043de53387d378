"""What all verbs share: the program they belong to, where they print, and how a name becomes what it names."""

from typing import TYPE_CHECKING

import typer
from rich.console import Console

from offramp.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from offramp.artifacts.codec import Codec

app = typer.Typer(
    help="Networks with local exits, run over edge and cloud.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
serve = typer.Typer(help="Run a node: the cloud or the edge.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(serve, name="serve")
console = Console()
if not console.is_terminal:  # in a file or a pipe there is no width to keep to, and a cut number is no number
    console = Console(width=140)


def needs_torch(verb: str) -> None:
    """Raise MissingExtraError where torch is not installed."""
    from importlib.util import find_spec

    if find_spec("torch") is None:
        raise MissingExtraError(
            f"offramp {verb} needs torch, which a node does not. Install it with: pip install 'offramp[train,report]'"
        )


def codec_of(name: str) -> "Codec":
    """The codec of a name; an InputError where there is none."""
    from offramp.artifacts.codec import CODECS

    for codec in CODECS:
        if codec == name:
            return codec
    raise InputError(f"codec {name!r}: unknown. Choose one of {', '.join(CODECS)}.")
