"""The verb attach: exits on a classifier that is there already, and what each of them is worth."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offramp.artifacts.document import check_output
from offramp.cli import completion, input_options
from offramp.cli.console import console
from offramp.cli.frame import app, needs_torch
from offramp.cli.models import InputShape, Model, graph_source, read_shape
from offramp.cli.options import Data, Fit, Mirror, Seed, SkipBad, Test, TrainThreads, Validation
from offramp.cli.quantities import amount
from offramp.progress import waiting

if TYPE_CHECKING:
    from offramp.attaching import Job
    from offramp.graphs.spec import InputSpec
    from offramp.models.checkpoint import Checkpoint

Exits = Annotated[
    str,
    typer.Option(
        help="auto, how many like 4 (the network's own among them), or boundaries by name or number like layer1,layer2."
    ),
]
AttachedHead = Annotated[
    str,
    typer.Option(
        help="Of local exits: mlp, linear, or conv (of maps).",
        autocompletion=completion.one_of("mlp", "linear", "conv"),
    ),
]
RunFolder = Annotated[Path | None, typer.Option(help="Folder of the checkpoint. Default: runs/ and the model's name")]
Classes = Annotated[
    str | None, typer.Option(help="What its outputs are called, in their order: held against the data's.")
]
Tune = Annotated[
    str | None,
    typer.Option(
        help="Train a torch module together with its exits, by a regime like joint or separate: docs/training.md.",
        autocompletion=completion.one_of(*completion.REGIMES),
    ),
]
Epochs = Annotated[int | None, typer.Option(min=1, help="Of the heads, or with --tune of the tuning.")]
BatchSize = Annotated[int | None, typer.Option(min=1)]
Views = Annotated[
    int, typer.Option(min=1, max=2, help="2: heads see each image mirrored too, where that keeps its class.")
]
CacheMost = Annotated[
    str, typer.Option(help="Features kept on the disk meanwhile; past it they are computed in every epoch.")
]


@app.command()
def attach(
    model: Model,
    data: Data,
    out: RunFolder = None,
    exits: Exits = "auto",
    head: AttachedHead = "mlp",
    classes: Classes = None,
    shape: InputShape = None,
    config: input_options.Config = None,
    kind: input_options.Kind = None,
    range_: input_options.Range = None,
    mean: input_options.Mean = None,
    std: input_options.Std = None,
    bgr: input_options.Bgr = False,
    grey: input_options.Grey = False,
    validation: Validation = None,
    test: Test = None,
    mirror: Mirror = None,
    fit: Fit | None = None,
    skip_bad: SkipBad = False,
    tune: Tune = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    learning_rate: Annotated[float | None, typer.Option()] = None,
    views: Views = 1,
    cache_most: CacheMost = "2GB",
    seed: Seed = 0,
    threads: TrainThreads = 0,
) -> None:
    """Give a classifier exits: heads on its features, trained in minutes, while it stays as it is."""
    needs_torch("attach")
    from offramp.artifacts.data_record import DataSource
    from offramp.attaching import Job, named

    name, spec = named(model), input_options.input_spec(config, kind, range_, mean, std, bgr, grey, fit)
    asked = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate}
    source = DataSource(data=data, validation=validation, test=test, mirror=mirror, fit=spec.fit, skip_bad=skip_bad)
    called = None if classes is None else classes.split(",")
    job = Job(source, out or Path("runs") / name, name, called, seed, threads or None, amount("cache-most", cache_most))
    checkpoint = _attached(model, read_shape(shape), exits, spec, tune, asked, {"head": head, "views": views}, job)
    _say(job.out, checkpoint)
    print(f"Next: offramp export {job.out}")


def _attached(
    model: str, shape: tuple[int, ...] | None, exits: str, spec: "InputSpec", tune: str | None,
    asked: dict[str, Any], heads: dict[str, Any], job: "Job",
) -> "Checkpoint":  # fmt: skip
    """Find the boundaries, and train heads at some, or the whole: what is wrong with an option is said first."""
    from offramp.attaching import Prepared, attach_at, source_of
    from offramp.graphs.pick import pick
    from offramp.models.worth import dear
    from offramp.train.attached import check_free
    from offramp.train.heads import head_recipe
    from offramp.train.observe import ProgressBar
    from offramp.tuning import tune as run_tuning
    from offramp.tuning import tuning_of

    check_output(job.out, folder=True)
    check_free(job.out)
    recipe = head_recipe(**heads, **({} if tune else asked))
    tuned = None if tune is None else tuning_of(model, shape).but(regime=tune, **asked)
    with waiting() as watching:
        source = graph_source(model, shape) if tuned is None else source_of(tuned.model, tuned.example)
        prepared = Prepared.of(source, spec, watching.at)
    chosen = pick(prepared.found, exits)
    for line in dear(chosen, prepared.found.macs, prepared.source.classes, recipe.head):
        print(f"offramp: warning: {line}", file=sys.stderr)
    with waiting() as watching, ProgressBar(job.name) as bar:
        job = replace(job, observers=[bar], watch=watching.at)
        if tuned is None:
            checkpoint = attach_at(prepared, chosen, job, recipe)
        else:
            checkpoint = run_tuning(tuned, prepared, chosen, job, recipe)
    if checkpoint.card.record is not None:
        print("\n".join(checkpoint.card.record.lines()))
    return checkpoint


def _say(folder: Path, checkpoint: "Checkpoint") -> None:
    """Print each exit with its cost and its accuracy."""
    from rich.table import Table

    from offramp.artifacts.macs import macs_until
    from offramp.models.count import count

    card, architecture = checkpoint.card, checkpoint.card.architecture
    stages, heads = count(checkpoint.net, architecture.shape)
    of_stages, of_heads = ({k: cost.macs for k, cost in one.items()} for one in (stages, heads))
    whole = sum(of_stages.values())
    table = Table(
        title=f"{folder}: {architecture.name}, {whole:,} MACs",
        caption="Every sample of the validation set at each exit. The last is the network as it came.",
    )
    for column in ("exit", "boundary", "MACs until there", "of the network", "head MACs", "right"):
        table.add_column(column, justify="left" if column == "boundary" else "right", no_wrap=column != "boundary")
    names = {number: stage.name for number, stage in enumerate(getattr(architecture, "stages", ()), start=1)}
    for exit_ in architecture.exits:
        macs = macs_until(exit_, of_stages, of_heads)
        right = card.validation_accuracy[exit_]
        table.add_row(
            str(exit_), names.get(exit_) or "(its own)", f"{macs:,}", f"{macs / whole:.1%}", f"{of_heads[exit_]:,}",
            f"{right:.2%}",
        )  # fmt: skip
    console.print(table)
