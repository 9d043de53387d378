"""The verbs for several devices that see one thing: views train, and views evaluate."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.table import Table

from offramp.artifacts.document import why
from offramp.cli import completion
from offramp.cli.console import console
from offramp.cli.frame import app, codec_of, needs_torch
from offramp.cli.options import Seed, Split, TrainThreads
from offramp.errors import InputError
from offramp.progress import waiting

if TYPE_CHECKING:
    from offramp.artifacts.views import ViewsFolder
    from offramp.data.view_set import ViewSplits

views = typer.Typer(help="Several devices that see one thing.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(views, name="views")

Source = Annotated[
    str,
    typer.Option(
        help="digits or a folder of CIFAR-10's parquet, of which views are made; a folder of CSV files, a view each; "
        "or one of images as class/sample/view-1.png."
    ),
]
Size = Annotated[str, typer.Option(help="Channels, height and width to which images are brought, like 3,32,32.")]


@views.command("train")
def train(
    out: Annotated[Path, typer.Option(help="Folder of the bundles.")] = Path("runs/views"),
    data: Source = "digits",
    size: Size = "3,32,32",
    join: Annotated[Literal["max", "mean", "concat"], typer.Option(help="How views are joined.")] = "concat",
    at: Annotated[Literal["features", "logits"], typer.Option(help="What is joined.")] = "features",
    bits: Annotated[bool, typer.Option("--bits", help="Train for features that cross in one bit a value.")] = False,
    front: Annotated[str, typer.Option(help="Widths of each device's layers.")] = "16,16,8",
    behind: Annotated[int, typer.Option(min=1, help="Width of each of the two stages behind the join.")] = 32,
    silent: Annotated[float, typer.Option(min=0, max=0.99, help="Share of views left out in training.")] = 0.2,
    epochs: Annotated[int, typer.Option(min=1)] = 6,
    batch_size: Annotated[int, typer.Option(min=2)] = 128,
    learning_rate: Annotated[float, typer.Option()] = 4e-3,
    flip: Annotated[bool, typer.Option("--flip", help="Mirror all views of a sample, every other time.")] = False,
    looks: Annotated[
        int, typer.Option(min=1, help="How often devices look at a training sample, where views are made.")
    ] = 8,
    seed: Seed = 0,
    threads: TrainThreads = 0,
) -> None:
    """Train a network of several views as one, and write a bundle for each device and one for what is behind."""
    needs_torch("views train")
    from pydantic import ValidationError

    from offramp.export.views import check_views_folder, export_views
    from offramp.models.views import ViewsNetwork
    from offramp.train.views import ViewsRecipe, takes_of, train_views

    check_views_folder(out)
    splits = _loaded(data, size, seed, looks)
    try:
        document = ViewsNetwork(
            takes=takes_of(splits.train), classes=splits.train.classes, join=join, at=at, bits=bits,
            front=_numbers("front", front), behind=behind,
        )  # fmt: skip
        recipe = ViewsRecipe(
            epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, silent=silent, flip=flip
        )
    except ValidationError as error:
        raise InputError(f"{why(error)}.") from error
    _ = document.joined  # or an error, before anything is trained
    with waiting() as watching:
        trained = train_views(document, splits, recipe, seed, threads=threads or None, watch=watching.at)
    folder = export_views(trained, out, splits.calibration, data)
    shown = ", ".join(f"{name} {100 * right:.1f}" for name, right in trained.accuracy.items())
    console.print(f"{folder.path}: validation accuracy in %: {shown}", highlight=False)


@views.command("evaluate")
def evaluate(
    folder: Annotated[Path, typer.Argument(help="Folder of `offramp views train`.")],
    data: Source = "digits",
    size: Size = "3,32,32",
    split: Split = "test",
    codec: Annotated[
        str, typer.Option(help="fp32, fp16, uint8 or 1bit: how features cross.", autocompletion=completion.codecs)
    ] = "fp32",
    seed: Annotated[int | None, typer.Option(help="Of the splits. Default: the network's own.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say how accurate each device is alone, and the joined network by which devices speak."""
    from offramp.artifacts.views import ViewsFolder
    from offramp.measure.views import by_devices, of_each, seen

    opened = ViewsFolder.open(folder)
    own = opened.joint.manifest.origin.seed
    if seed not in (None, own) and split != "test":
        raise InputError(
            f"--seed {seed} --split {split}: {folder} was trained with seed {own}, and by another its {split} samples "
            "are not those of its training. Leave --seed out, or ask for --split test."
        )
    part = _loaded(data, size, own if seed is None else seed, 1).part(split)
    of = seen(opened, part, codec_of(codec))
    alone, found = of_each(of), by_devices(opened, of)
    if as_json:
        document = {
            "views": opened.views.model_dump(mode="json"), "codec": codec, "split": split, "samples": len(part),
            "alone": alone, "joined": [{"views": names, "accuracy": exits} for names, exits in found.items()],
        }  # fmt: skip
        print(json.dumps(document, indent=2))
    else:
        _print(opened, len(part), codec, alone, found)


def _print(folder: "ViewsFolder", samples: int, codec: str, alone: dict[str, float], found: dict[Any, Any]) -> None:
    """The tables of an evaluation."""
    from offramp.measure.views import by_count

    views, exits = folder.views, folder.joint.manifest.exits
    console.print(
        f"{folder.path}: {len(views.views)} views by {views.join} of {views.at}, {samples} samples, in {codec}. "
        "Accuracy in %.",
        highlight=False,
    )
    each = Table("device", "alone", *(f"without it, exit {exit_}" for exit_ in exits))
    for name, right in alone.items():
        others = tuple(one for one in views.names if one != name)
        rest = [f"{100 * found[others][exit_]:.2f}" for exit_ in exits] if others else ["-" for _ in exits]
        each.add_row(name, f"{100 * right:.2f}", *rest)
    console.print(each)
    counts = {exit_: by_count(found, exit_) for exit_ in exits}
    speak = Table("devices that speak", *(f"exit {exit_}" for exit_ in exits), caption="The mean over all choices.")
    for count in counts[exits[0]]:
        speak.add_row(str(count), *(f"{100 * counts[exit_][count]:.2f}" for exit_ in exits))
    console.print(speak)


def _loaded(data: str, size: str, seed: int, looks: int) -> "ViewSplits":
    from offramp.data.load_views import load_views

    channels, height, width = _numbers("size", size, 3)
    with waiting() as watching:
        return load_views(data, seed=seed, size=(channels, height, width), looks=looks, watch=watching.at)


def _numbers(name: str, text: str, count: int | None = None) -> tuple[int, ...]:
    """Whole numbers above 0 with commas between them; InputError where they are others, or not so many."""
    parts = text.split(",")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts) or len(parts) != (count or len(parts)):
        wanted = "whole numbers above 0" if count is None else f"{count} whole numbers above 0"
        raise InputError(f"{name} {text!r}: expected {wanted}, with commas between them.")
    return tuple(map(int, parts))
