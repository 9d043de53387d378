"""The verbs that measure: predict and evaluate without nodes, bench with them."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from offramp.cli.frame import app, codec_of, console
from offramp.cli.options import CodecName, Data, Drop, Out, PrecisionName, RuntimeName, Score, Seed, Split

if TYPE_CHECKING:
    from offramp.artifacts.outcome import Outcome


@app.command()
def predict(
    source: Annotated[Path, typer.Argument(help="A checkpoint or a bundle.")],
    out: Out = Path("predictions.parquet"),
    data: Data = "digits",
    split: Split = "test",
    cut: Annotated[int, typer.Option(help="With a codec: where the last exit's features cross.")] = 0,
    codec: CodecName = "fp32",
    runtime: RuntimeName = "auto",
    precision: PrecisionName = "auto",
) -> None:
    """Classify a split at every exit, once, and write the logits."""
    from offramp.data.load import load
    from offramp.measure.predict import open_predictor

    predictor = open_predictor(source, cut, codec_of(codec), runtime, precision)
    predictions = predictor.predict(load(data, predictor.shape, seed=predictor.seed).part(split), split)
    predictions.write(out)
    print(
        f"{out}: {len(predictions)} samples of {data} ({split}) at exits {', '.join(map(str, predictor.exits))}, "
        f"{predictor.runtime} {predictor.precision}"
    )


@app.command()
def evaluate(
    predictions: Annotated[Path, typer.Argument(help="File that `offramp predict` wrote.")],
    exit_: Annotated[
        list[int] | None, typer.Option("--exit", help="Active exit; repeat for several. Default: each.")
    ] = None,
    threshold: Annotated[list[float] | None, typer.Option(help="Repeat for several. Default: the paper's.")] = None,
    score: Score = "entropy",
    drop_threshold: Drop = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Give the paper's measures from predictions, without running anything."""
    from offramp.artifacts.plan import Plan
    from offramp.artifacts.predictions import Predictions
    from offramp.bench.table import percent
    from offramp.exits.evaluation import accuracy_at, route
    from offramp.exits.evaluation import evaluate as run
    from offramp.paper.stated import THRESHOLDS

    table = Predictions.read(predictions)
    exits = exit_ or ([k for k in table.header.exits if k != table.last] or [table.last])
    rows = []
    for t in threshold or THRESHOLDS:
        for k in exits:
            cut = table.header.cut if table.header.codec != "fp32" else k
            plan = Plan.of(k, t, score, cut=cut, codec=table.header.codec, drop_threshold=drop_threshold)
            rows.append((k, t, run(route(table, plan), table.labels)))
    if as_json:
        documents = [{"model": table.header.model, "exit": k, "threshold": t, **e.model_dump()} for k, t, e in rows]
        print(json.dumps(documents, indent=2))
        return
    everyone = ", ".join(f"{k}: {percent(accuracy_at(table, k))}" for k in table.header.exits)
    console.print(
        f"{table.header.model}, {table.header.data} ({table.header.split}). Every sample at each exit, %: {everyone}"
    )
    _print_evaluations(table.header.model, rows)


@app.command()
def bench(
    edge: Annotated[str, typer.Option(help="HOST:PORT of a running edge.")],
    data: Data = "digits",
    split: Split = "test",
    batch_size: Annotated[int, typer.Option(min=1)] = 32,
    exit_: Annotated[int | None, typer.Option("--exit", help="Instead of the edge's own.")] = None,
    threshold: Annotated[float | None, typer.Option(help="Instead of the edge's own.")] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Which of the edge's networks, by name or bundle's id. Default: its first."),
    ] = None,
    direct: Annotated[
        str | None, typer.Option(help="HOST:PORT of the cloud: its answers come straight from there.")
    ] = None,
    check: Annotated[Path | None, typer.Option(help="Predictions that the answers must agree with.")] = None,
    link: Annotated[str, typer.Option(help="What lies between the nodes, for the record.")] = "loopback, unshaped",
    out: Annotated[Path | None, typer.Option(help="Write the JSON document here as well.")] = None,
    seed: Seed = 0,
) -> None:
    """Be the paper's test node: send a set to an edge, print accuracy and latency per tier as one JSON document."""
    from contextlib import nullcontext

    from offramp.artifacts.measurement import Conditions
    from offramp.artifacts.preprocessing import Preprocessing
    from offramp.bench.check import check as hold_against
    from offramp.bench.drive import drive, measurement
    from offramp.bench.table import measurements_table
    from offramp.client.describe import describe_edge, find_edge
    from offramp.data.load import load
    from offramp.protocol.peer import Peer

    predictions = None
    if check is not None:
        from offramp.artifacts.predictions import Predictions

        predictions = Predictions.read(check)
    with Peer(edge) as client:
        served = describe_edge(client) if model is None else find_edge(client, model)
        plan = served.plan.but(exit_=exit_, threshold=threshold)
        asked = {"exit": exit_, "threshold": threshold}
        options = {name: value for name, value in asked.items() if value is not None}
        images = load(data, served.shape, seed=seed).part(split)
        channels, height, width = served.shape
        pixels = Preprocessing(channels=channels, height=height, width=width).from_uint8(images.images)
        with Peer(direct) if direct else nullcontext() as cloud:
            driven = drive(client, pixels, batch_size=batch_size, options=options, version=served.bundle, direct=cloud)
    conditions = Conditions.here(
        batch_size=batch_size, link=link, runtime=served.runtime, dtype=served.engine.precision
    )
    document = measurement(served.model, plan, images, driven, conditions)
    if out is not None:
        document.write(out)
    Console(stderr=True, width=console.width).print(measurements_table([document]))
    print(document.to_json(), end="")
    if predictions is not None:
        agreement = hold_against(
            driven.answers, images, predictions, bundle_id=served.bundle, plan=plan, engine=served.engine
        )
        verdict = "agree with" if agreement.holds else "DIFFER from"
        print(
            f"check: the nodes' answers {verdict} {check}: of {agreement.n} samples {agreement.labels} labels, "
            f"{agreement.exits} exits and {agreement.scores} scores differ; {agreement.ties} within 1e-5 of the "
            "threshold left out" + ("" if agreement.holds else f"; first at row {agreement.first}"),
            file=sys.stderr,
        )
        if not agreement.holds:
            raise typer.Exit(1)


def _print_evaluations(model: str, rows: "list[tuple[int, float, Outcome]]") -> None:
    from offramp.bench.table import OVER, percent

    table = Table("model", "exit", "T", "n", "exited", "forwarded", "dropped", "edge %", "cloud %", "overall %")
    for exit_, threshold, found in rows:
        accuracy = (percent(found.right(over)) for over in OVER)
        counts = map(str, (found.n, found.local, found.count("cloud"), found.dropped))
        table.add_row(model, str(exit_), f"{threshold:g}", *counts, *accuracy)
    console.print(table)
