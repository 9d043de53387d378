"""The verbs that make networks: train, show, and the suite of many with its report. They need torch."""

from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.table import Table

from offramp.artifacts.document import check_output
from offramp.cli import completion
from offramp.cli.cluster import EngineName, RayAddress, RunCores, check_engine
from offramp.cli.console import console
from offramp.cli.deployment import showed_plan
from offramp.cli.frame import app, needs_torch
from offramp.cli.options import (
    Bottleneck,
    Compile,
    Data,
    Fit,
    HeadKind,
    Mirror,
    ModelName,
    Out,
    Preset,
    RecipeName,
    RegimeName,
    Seed,
    SkipBad,
    Test,
    TrainThreads,
    Validation,
)
from offramp.errors import InputError
from offramp.progress import waiting

T = TypeVar("T")
RUN = ("model.json", "log.jsonl")  # what a training leaves, the second while it runs
LOSS_WEIGHTS = "EXIT:WEIGHT pairs like 1:1.0,9:0.5"


@app.command()
def train(
    model: ModelName,
    out: Annotated[Path | None, typer.Option(help="Folder of the checkpoint. Default: runs/MODEL")] = None,
    data: Data = "digits",
    validation: Validation = None,
    test: Test = None,
    mirror: Mirror = None,
    fit: Fit = "stretch",
    skip_bad: SkipBad = False,
    preset: Preset = None,
    recipe: RecipeName = None,
    regime: RegimeName = None,
    epochs: Annotated[int | None, typer.Option(min=1)] = None,
    batch_size: Annotated[int | None, typer.Option(min=1)] = None,
    learning_rate: Annotated[float | None, typer.Option()] = None,
    loss_weights: Annotated[
        str | None, typer.Option(help="Weight of each exit's loss, like 1:1.0,5:0.5,9:1.0. Default: all equal.")
    ] = None,
    head: HeadKind = "linear",
    bottleneck: Bottleneck = None,
    compile_: Compile = None,
    seed: Seed = 0,
    threads: TrainThreads = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder.")] = False,
) -> None:
    """Train a network with local exits and write a checkpoint."""
    needs_torch("train")
    from offramp.artifacts.data_record import DataSource
    from offramp.artifacts.names import parse_exits
    from offramp.data.load import load
    from offramp.models.architecture import preset as find_preset
    from offramp.train.loop import Run
    from offramp.train.loop import train as run
    from offramp.train.observe import ProgressBar
    from offramp.train.recipe import recipe as find_recipe
    from offramp.train.workers import first

    sizes = find_preset(preset or ("tiny" if data == "digits" else "small"))
    exits = parse_exits(model, len(sizes.widths))
    chosen = find_recipe(recipe or ("digits" if data == "digits" else "modern")).but(
        epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, regime=regime, compile=compile_,
        loss_weights=None if loss_weights is None else _pairs("loss weights", loss_weights, float, LOSS_WEIGHTS),
    )  # fmt: skip
    check_output(out or Path("runs"), folder=True)
    source = DataSource(data=data, validation=validation, test=test, mirror=mirror, fit=fit, skip_bad=skip_bad)
    with waiting(shown=first()) as watching:
        splits = load(source, (sizes.channels, sizes.size, sizes.size), seed=seed, watch=watching.at)
    if splits.record is not None and first():
        print("\n".join(splits.record.lines()))
    architecture = sizes.architecture(exits, splits.train.classes, head, _bottlenecks(bottleneck))
    out = out or Path("runs") / architecture.name
    with ProgressBar(architecture.name) as bar:
        checkpoint = run(
            Run(architecture, chosen, data, seed), splits, out, resume=resume, observers=[bar], threads=threads or None
        )
    if first():
        shown = ", ".join(f"{exit_}: {100 * value:.2f}" for exit_, value in checkpoint.card.validation_accuracy.items())
        console.print(f"{out}: {architecture.name}, validation accuracy in % by exit {shown}", highlight=False)


@app.command()
def show(
    model: Annotated[
        str, typer.Argument(help="A model's name, a checkpoint, a bundle, or a plan.", autocompletion=completion.models)
    ] = "mem",
    preset: Annotated[
        str,
        typer.Option(
            help="tiny, small, medium, slim or full; of a model's name only.", autocompletion=completion.presets
        ),
    ] = "small",
    head: HeadKind = "linear",
    bottleneck: Bottleneck = None,
    bundle: Annotated[Path | None, typer.Option(help="Of a plan: whose bytes and stages are shown.")] = None,
    predictions: Annotated[Path | None, typer.Option(help="Of a plan: who leaves where, and is right.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Of a plan: draw it as well, a .svg or .png file.")] = None,
) -> None:
    """Show stages and heads with their MACs, parameters and features; of a plan its tiers, exits, cuts and bytes."""
    from offramp.artifacts.bundle import MANIFEST, Bundle

    if showed_plan(model, bundle, predictions, picture):
        return
    if (Path(model) / MANIFEST).exists():
        manifest = Bundle.open(model).manifest
        stages = {s.index: (s.macs, s.parameters, [*s.tensors.values()]) for s in manifest.stages}
        heads = {h.exit: (h.macs, h.parameters) for h in manifest.heads}
        name = f"{manifest.model} ({model})"
    else:
        needs_torch("show")
        from offramp.artifacts.names import parse_exits
        from offramp.models.architecture import preset as find_preset
        from offramp.models.build import build
        from offramp.models.checkpoint import CARD, Checkpoint
        from offramp.models.count import count

        if (Path(model) / CARD).exists():
            checkpoint = Checkpoint.open(model)
            architecture, net, name = checkpoint.card.architecture, checkpoint.net, model
        else:
            sizes = find_preset(preset)
            classes = tuple(map(str, range(10)))
            exits = parse_exits(model, len(sizes.widths))
            architecture = sizes.architecture(exits, classes, head, _bottlenecks(bottleneck))
            net, name = build(architecture), f"{architecture.name}, preset {preset}, 10 classes"
        counted, head_costs = count(net, architecture.shape)
        stages = {i: (cost.macs, cost.parameters, [*cost.shapes]) for i, cost in counted.items()}
        heads = {i: (cost.macs, cost.parameters) for i, cost in head_costs.items()}
    table = Table(title=name)
    for column in ("stage", "features", "bytes fp32", "MACs", "weights", "head MACs", "head weights"):
        table.add_column(column, justify="right", no_wrap=True)
    for index, (macs, parameters, shapes) in stages.items():
        costs = [f"{number:,}" for number in heads[index]] if index in heads else ["–", "–"]
        size, features = 4 * sum(map(prod, shapes)), " + ".join("x".join(map(str, shape)) for shape in shapes)
        table.add_row(str(index), features, f"{size:,}", f"{macs:,}", f"{parameters:,}", *costs)
    total = [sum(macs for macs, _, _ in stages.values()), sum(parameters for _, parameters, _ in stages.values())]
    total += [sum(macs for macs, _ in heads.values()), sum(parameters for _, parameters in heads.values())]
    table.add_section()
    table.add_row("sum", "", "", *(f"{number:,}" for number in total))
    console.print(table)


ModelNames = Annotated[
    str,
    typer.Option(
        help="all, or a list like standard,sem-2,mem,2+5.", autocompletion=completion.list_of(completion.models)
    ),
]
RegimeNames = Annotated[
    str,
    typer.Option(
        help="The first is what the others are compared with.",
        autocompletion=completion.list_of(completion.one_of(*completion.REGIMES)),
    ),
]


@app.command()
def suite(
    source: Annotated[str, typer.Argument(help="digits, a folder of parquet or of images, an .npz file, or hub:NAME.")],
    out: Out = Path("suite-results"),
    validation: Validation = None,
    test: Test = None,
    mirror: Mirror = None,
    fit: Fit = "stretch",
    skip_bad: SkipBad = False,
    preset: Preset = None,
    models: ModelNames = "all",
    regimes: RegimeNames = "joint",
    seeds: Annotated[str, typer.Option(help="A list like 0,1,2.")] = "0",
    budget: Annotated[str | None, typer.Option(help="Stop in time, like 9m; the same command goes on.")] = None,
    recipe: RecipeName = None,
    epochs: Annotated[int | None, typer.Option(min=1)] = None,
    batch_size: Annotated[int | None, typer.Option(min=1)] = None,
    learning_rate: Annotated[float | None, typer.Option()] = None,
    head: HeadKind = "linear",
    bottleneck: Bottleneck = None,
    compile_: Compile = None,
    cross: Annotated[bool, typer.Option("--cross", help="Train SEMs under every regime too.")] = False,
    threads: TrainThreads = 0,
    engine: EngineName = "node", run_cpus: RunCores = None, ray_address: RayAddress = None,
) -> None:  # fmt: skip
    """Train the paper's models under several regimes and seeds, as far as a budget of time goes."""
    needs_torch("suite")
    from offramp.artifacts.data_record import DataSource
    from offramp.paper.stated import THRESHOLDS
    from offramp.suite.budget import Clock, parse_budget
    from offramp.suite.run import run_suite, suite_settings
    from offramp.train.recipe import recipe as find_recipe

    chosen = find_recipe(recipe or ("digits" if source == "digits" else "modern"))
    settings = suite_settings(
        data=DataSource(data=source, validation=validation, test=test, mirror=mirror, fit=fit, skip_bad=skip_bad),
        preset_name=preset or ("tiny" if source == "digits" else "small"),
        recipe=chosen.but(epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, compile=compile_),
        models=models,
        regimes=regimes,
        seeds=seeds,
        head=head,
        bottlenecks=_bottlenecks(bottleneck),
        cross=cross,
    )
    on_cluster = check_engine(engine, run_cpus=run_cpus, ray_address=ray_address)
    check_output(out, folder=True)
    clock = Clock(None if budget is None else parse_budget(budget))
    common: dict[str, Any] = {"thresholds": THRESHOLDS, "clock": clock, "console": console, "threads": threads or None}
    if on_cluster:
        from offramp.suite.cluster import run_suite_on

        done = run_suite_on(settings, out, address=ray_address or "auto", cpus=run_cpus or 1.0, **common)
    else:
        done = run_suite(settings, out, **common)
    left = f"; left: {', '.join(map(str, done.left))}. Go on by the same command." if done.left else "."
    console.print(f"{out}: {len(done.runs)} of {len(done.settings.planned())} runs finished{left}", highlight=False)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="A suite's folder, a reproduction's, or a single training run's.")],
    out: Annotated[Path | None, typer.Option(help="Where to write. Default: the same folder.")] = None,
) -> None:
    """Draw a reproduction, all of the paper's evaluation; a suite, its Figures 9 and 10; or one run's training."""
    from offramp.paper.claims import published
    from offramp.paper.reproduction import REPRODUCTION
    from offramp.paper.reproduction_page import write_report
    from offramp.paper.tiers import TIERS, ThreeTiers
    from offramp.paper.tiers_page import write_tiers
    from offramp.report.suite_page import write_suite_report

    check_output(out, folder=True)
    if (folder / REPRODUCTION).is_file():
        written = write_report(folder, out)
    elif (folder / TIERS).is_file():
        written = write_tiers(ThreeTiers.read(folder / TIERS), out or folder)
    elif any((folder / name).is_file() for name in RUN):
        needs_torch("report of a training run")
        from offramp.report.run_page import write_run_report

        written = write_run_report(folder, out or folder)
    else:
        written = write_suite_report(folder, out or folder, published)
    console.print(f"{written[0]}: report; beside it: {', '.join(path.name for path in written[1:])}", highlight=False)


def _bottlenecks(text: str | None) -> dict[int, int]:
    return {} if text is None else _pairs("bottleneck", text, int, "BOUNDARY:CHANNELS pairs like 1:3,6:4")


def _pairs(what: str, text: str, kind: Callable[[str], T], expected: str) -> dict[int, T]:
    try:
        return {int(at): kind(value) for at, value in (part.split(":") for part in text.split(","))}
    except ValueError as error:
        raise InputError(f"{what} {text!r}: expected {expected}.") from error
