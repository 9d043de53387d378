"""What all verbs share: the program they belong to, what is made of its output, how a name becomes what it names."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated

import typer

from offramp._version import __version__
from offramp.errors import InputError, MissingExtraError, OfframpError

if TYPE_CHECKING:
    from pathlib import Path

    from offramp.artifacts.codec import Codec
    from offramp.protocol.credentials import Credentials

app = typer.Typer(
    help="Networks with local exits, run over edge and cloud.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"offramp {__version__}")
        raise typer.Exit


@app.callback()
def _offramp(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Networks with local exits, run over edge and cloud."""


serve = typer.Typer(help="Run a node: the cloud or the edge.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(serve, name="serve")


@contextmanager
def settle_output() -> Iterator[None]:
    """What was printed is out at the end; an OfframpError where standard output does not take it."""
    try:
        try:
            yield
        except SystemExit as end:
            if isinstance(end.__context__, BrokenPipeError):  # typer's own way to end quietly
                raise end.__context__ from None
            sys.stdout.flush()
            raise
        sys.stdout.flush()
    except OSError as error:
        if error.filename is not None:
            raise OfframpError(
                f"{error.filename}: {error.strerror}. Check the path and who may read or write it."
            ) from error
        with suppress(OSError, ValueError):  # the interpreter would try once more at its end, and say so
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno())  # type: ignore[union-attr]
        raise OfframpError(
            f"output: cannot be written ({error.strerror or error}). Whoever reads it must read to its end, or the "
            "disk needs room."
        ) from error


def needs_torch(verb: str) -> None:
    """Raise MissingExtraError where torch is not installed."""
    from importlib.util import find_spec

    if find_spec("torch") is None:
        raise MissingExtraError(
            f"offramp {verb} needs torch, which a node does not. Install it with: pip install 'offramp[train,report]'"
        )


def needs_onnx(verb: str) -> None:
    """Raise MissingExtraError where the package onnx is not installed."""
    from importlib.util import find_spec

    if find_spec("onnx") is None:
        raise MissingExtraError(
            f"offramp {verb} needs onnx, which a node does not. Install it with: pip install 'offramp[graphs]'"
        )


def codec_of(name: str) -> "Codec":
    """The codec of a name; an InputError where there is none."""
    from offramp.artifacts.codec import ALL_CODECS

    for codec in ALL_CODECS:
        if codec == name:
            return codec
    raise InputError(f"codec {name!r}: unknown. Choose one of {', '.join(ALL_CODECS)}.")


def credentials_of(
    ca: str | None, cert: "Path | None", key: "Path | None", token_file: "Path | None"
) -> "Credentials | None":
    """What a verb shows to nodes by these options; None where none is named."""
    from offramp.protocol.credentials import Credentials

    named = [None if value is None else str(value) for value in (ca, cert, key, token_file)]
    if not any(named):
        return None
    return Credentials(**dict(zip(("ca", "cert", "key", "token_file"), named, strict=True)))
