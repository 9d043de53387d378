"""Options that say what a classifier was trained to be given."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from offramp.errors import InputError

if TYPE_CHECKING:
    from offramp.graphs.spec import InputSpec

Config = Annotated[
    Path | None,
    typer.Option(
        "--input",
        help="timm's config.json, Hugging Face's preprocessor_config.json or tokenizer.json, or their folder.",
    ),
]
Kind = Annotated[Literal["images", "text", "values"] | None, typer.Option(help="What it takes. Default: images.")]
Range = Annotated[
    str | None, typer.Option("--range", help="Of its pixels, like 0,255 or -1,1; before mean and deviation.")
]
Mean = Annotated[str | None, typer.Option(help="What it subtracts: one number, or one a channel like .485,.456,.406.")]
Std = Annotated[str | None, typer.Option(help="What it divides by: one number, or one a channel.")]
Bgr = Annotated[bool, typer.Option("--bgr", help="It takes blue, green, red.")]
Grey = Annotated[bool, typer.Option("--grey", help="Grey images come, and are repeated for its channels.")]


def input_spec(
    config: Path | None, kind: Literal["images", "text", "values"] | None, range_: str | None, mean: str | None,
    std: str | None, bgr: bool, grey: bool, fit: Literal["stretch", "crop"] | None = None,
) -> "InputSpec":  # fmt: skip
    """What the options say, on top of what a publisher's file does."""
    from offramp.graphs.configs import read_config
    from offramp.graphs.spec import InputSpec

    spec = InputSpec() if config is None else read_config(config)
    means = spec.mean if mean is None else _numbers("mean", mean)
    if range_ is not None:
        low, *others = _numbers("range", range_)
        if len(others) != 1 or others[0] <= low:
            raise InputError(f"range {range_!r}: expected two numbers, the lower first, like 0,255.")
        means = tuple(one - low for one in means or (0.0,))  # of pixels that begin at 0
        spec = replace(spec, scale=others[0] - low)
    said: dict[str, object] = {"mean": means} | ({} if kind is None else {"kind": kind})
    said |= {} if std is None else {"std": _numbers("std", std)}
    said |= {"bgr": True} if bgr else {}
    said |= {"grey": True} if grey else {}
    said |= {} if fit is None else {"fit": fit}
    return spec.but(**said)


def _numbers(what: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(one) for one in text.split(","))
    except ValueError as error:
        raise InputError(f"{what} {text!r}: expected numbers like 0.485,0.456,0.406.") from error
