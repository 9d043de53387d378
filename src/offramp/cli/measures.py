"""The verbs that measure: predict without nodes, bench with them; between them evaluate, of a room of its own."""

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offramp.artifacts.document import check_output
from offramp.cli import completion
from offramp.cli.console import Printer, console
from offramp.cli.evaluation import evaluate
from offramp.cli.frame import app, codec_of, credentials_of
from offramp.cli.options import (
    Out,
    OwnCert,
    OwnKey,
    PrecisionName,
    RecordedData,
    RuntimeName,
    Split,
    Threads,
    TlsCa,
    TokenFile,
)
from offramp.cli.plans import CodecSaid, PlanFile, Said, asked_of, route_of
from offramp.cli.quantities import milliseconds
from offramp.errors import InputError
from offramp.progress import Watch, unwatched, waiting

if TYPE_CHECKING:
    from collections.abc import Callable

    from offramp.artifacts.measurement import Measurement
    from offramp.artifacts.plan import Plan
    from offramp.artifacts.scenario import Scenario
    from offramp.bench.drive import Drive
    from offramp.client.client import Client
    from offramp.client.describe import ServedEdge
    from offramp.data.image_set import ImageSet
    from offramp.exits.agreement import Agreement
    from offramp.protocol.credentials import Credentials


SHOWN = 20  # rows that a message names


@app.command()
def predict(
    source: Annotated[Path, typer.Argument(help="A checkpoint or a bundle.")],
    out: Out = Path("predictions.parquet"),
    data: RecordedData = None,
    split: Split = "test",
    plan: PlanFile = None,
    exit_: Annotated[
        list[int] | None,
        typer.Option("--exit", help="Active exit; repeat for several. Default: the whole graph in one piece."),
    ] = None,
    cut: Annotated[
        int | None, typer.Option(help="Where the last exit's features cross. Default: the last --exit, or nowhere.")
    ] = None,
    codec: CodecSaid = None,
    runtime: RuntimeName = "auto",
    precision: PrecisionName = "auto",
    threads: Threads = 0,
) -> None:
    """Classify a split once, by a plan's own spans or at every exit of the whole graph, and write the logits."""
    from offramp.data.recorded import load_as_trained
    from offramp.measure.predict import open_predictor

    check_output(out)
    by = route_of(Said(plan=plan, exits=tuple(exit_ or ()), cut=cut, codec=codec))
    predictor = open_predictor(source, cut or 0, codec_of(codec or "fp32"), runtime, precision, by, threads)
    with waiting() as watching:
        splits, notes = load_as_trained(
            data, predictor.data, predictor.record, predictor.takes, seed=predictor.seed, split=split,
            watch=watching.at,
        )  # fmt: skip
        predictions = predictor.predict(splits.part(split), split, watching.at)
    print("\n".join(notes), file=sys.stderr)
    predictions.write(out)
    about = predictions.header
    print(
        f"{out}: {len(predictions)} samples of {about.data} ({split}) at exits {', '.join(map(str, about.exits))}, "
        f"{about.runtime} {about.precision}"
    )
    print(f"route: {about.route}, of {about.image} {splits.part(split).noun}, on {about.release} {about.precision}")


app.command()(evaluate)  # in the order of the pipeline, which is the help's


@app.command()
def bench(
    edge: Annotated[str, typer.Option(help="HOST:PORT of a running edge.")],
    data: RecordedData = None,
    split: Split = "test",
    samples: Annotated[int | None, typer.Option(min=1, help="Only the first so many of the split.")] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Samples a query. Default: 32, multi-stream's 8, else 1.")
    ] = None,
    exit_: Annotated[int | None, typer.Option("--exit", help="Instead of the edge's own.")] = None,
    threshold: Annotated[float | None, typer.Option(help="Instead of the edge's own.")] = None,
    cut: Annotated[int | None, typer.Option(help="Where the rest leaves, instead of at the edge's own cut.")] = None,
    codec: Annotated[
        str | None,
        typer.Option(help="fp32, fp16 or uint8, instead of the edge's own.", autocompletion=completion.codecs),
    ] = None,
    plan: PlanFile = None,
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
    seed: Annotated[int | None, typer.Option(help="Of the splits. Default: the network's own.")] = None,
    scenario: Annotated[
        str,
        typer.Option(
            help="clients, single-stream, multi-stream, server or offline: when the next query goes.",
            autocompletion=completion.scenarios,
        ),
    ] = "clients",
    clients: Annotated[int | None, typer.Option(help="That each wait for an answer. Default: 1.")] = None,
    rate: Annotated[float | None, typer.Option(help="Queries a second, of server.")] = None,
    duration: Annotated[str | None, typer.Option(help="Least of the run, like 10s.")] = None,
    count: Annotated[int | None, typer.Option(help="Fewest queries.")] = None,
    percentile: Annotated[float | None, typer.Option(help="Of the queries' latencies.")] = None,
    bound: Annotated[str | None, typer.Option(help="Fail where that percentile is above this, like 50ms.")] = None,
    schedule_seed: Annotated[int, typer.Option(help="Of server's times of arrival.")] = 0,
    sample_seed: Annotated[int | None, typer.Option(help="Of the samples' order.")] = None,
    tls_ca: TlsCa = None, tls_cert: OwnCert = None, tls_key: OwnKey = None, token_file: TokenFile = None,
) -> None:  # fmt: skip
    """Send a set to an edge, as the paper's test node or by a scenario; print accuracy and latency as one document."""
    from offramp.bench.scenario import scenario as scenario_of

    said = partial(
        scenario_of, scenario, batch_size=batch_size, clients=clients, rate=rate, count=count, percentile=percentile,
        duration=milliseconds("duration", duration, 1 / 1000), bound_ms=milliseconds("bound", bound),
        schedule_seed=schedule_seed, sample_seed=sample_seed, direct=direct is not None,
    )  # fmt: skip
    said(1)  # what does not fit is said before anybody is asked
    exits = () if exit_ is None else (exit_,)
    thresholds = () if threshold is None else (threshold,)
    asked = asked_of(Said(plan=plan, exits=exits, thresholds=thresholds, cut=cut, codec=codec))
    credentials = credentials_of(tls_ca, tls_cert, tls_key, token_file)
    if not _measure((edge, direct, model), credentials, (data, split, seed, samples), said, asked, check, link, out):
        raise typer.Exit(1)


def _measure(
    nodes: tuple[str, str | None, str | None],
    credentials: "Credentials | None",
    test: tuple[str | None, str, int | None, int | None],
    said: "Callable[[int], Scenario]",
    asked: "Callable[[Plan], dict[str, Any]]",
    check: Path | None,
    link: str,
    out: Path | None,
) -> bool:
    """Drive an edge, print what came of it, and say whether it is within its bound and as predicted."""
    from offramp.artifacts.measurement import Conditions
    from offramp.artifacts.predictions import Predictions
    from offramp.bench.check import check as hold_against
    from offramp.bench.check import check_fits
    from offramp.bench.drive import measurement
    from offramp.bench.table import Line, measurements_table
    from offramp.client.client import Client
    from offramp.machine import here

    check_output(out)
    predictions = None if check is None else Predictions.read(check)
    data, split, seed, samples = test
    with Client(*nodes, credentials=credentials) as client, waiting() as watching:
        served = client.served
        changes = asked(served.plan)
        plan = served.plan.but(**changes)
        images = _some(_images(served, data, split, seed, watching.at), samples)
        if predictions is not None:
            predictions = predictions if samples is None else predictions.rows(slice(samples))
            check_fits(
                predictions, images, bundle_id=served.bundle, plan=plan, engine=served.engine, places=served.places
            )
        by = said(len(images))
        driven = _driven(client, images, by, {name.rstrip("_"): value for name, value in changes.items()}, watching.at)
    precision = served.engine.precision
    conditions = Conditions(**here(), batch_size=by.batch_size, link=link, runtime=served.runtime, dtype=precision)
    document = measurement(served.model, plan, images, driven, conditions, by)
    line = Line(document.model, plan, document.outcome, document.p50, document.bytes_to_cloud)
    Printer(stderr=True, width=console.width).print(measurements_table([line]))
    print(document.to_json(), end="")
    good = _says_passed(document)
    if predictions is not None:
        agreement = hold_against(
            driven.answers, images, predictions, bundle_id=served.bundle, plan=plan, engine=served.engine,
            places=served.places, rows=driven.rows,
        )  # fmt: skip
        good = _says_held(agreement, check, int(driven.answers.degraded.sum())) and good
    if out is not None:  # last: a disk that is full by now costs the file, not the result
        document.write(out)
    return good


def _some(images: "ImageSet", samples: int | None) -> "ImageSet":
    """The first so many; all where none are named."""
    if samples is not None and samples > len(images):
        raise InputError(f"samples {samples}: {images.name} has {len(images)} in this split. Ask for fewer.")
    return images if samples is None else images.rows(slice(samples))


def _images(
    served: "ServedEdge", data: str | None, split: str, seed: int | None, watch: Watch = unwatched
) -> "ImageSet":
    """What is sent: of the data that the served network was trained on, or of others with its classes."""
    from offramp.client.describe import TrainedOn
    from offramp.data.recorded import load_as_trained
    from offramp.errors import DataError

    of = served.trained_on or TrainedOn(data="digits", seed=seed or 0)
    if seed is not None and seed != of.seed and split != "test":
        raise InputError(
            f"--seed {seed} --split {split}: {served.model} was trained with seed {of.seed}, and by another its "
            f"{split} samples are not those of its training. Leave --seed out, or ask for --split test."
        )
    splits, notes = load_as_trained(data, of.data, of.record, served.takes, seed=of.seed, split=split, watch=watch)
    images = splits.part(split)
    if served.classes and images.classes != served.classes:
        raise DataError(
            f"{images.name}: its classes are {', '.join(images.classes[:5])} ({len(images.classes)}), and "
            f"{served.model} tells {', '.join(served.classes[:5])} ({len(served.classes)}) apart. "
            f"It was trained on {of.data}: give that by --data."
        )
    print("\n".join(notes), file=sys.stderr)
    return images


def _driven(client: "Client", images: "ImageSet", by: "Scenario", options: dict[str, Any], watch: Watch) -> "Drive":
    from offramp.artifacts.preprocessing import Preprocessing
    from offramp.bench.drive import drive
    from offramp.nodes.inputs import as_samples

    takes, samples = client.served.takes, images.images
    sent = takes.from_uint8(samples) if isinstance(takes, Preprocessing) else as_samples(takes, samples)
    return drive(
        client.edge, sent, by=by, options=options, version=client.served.bundle, name=takes.name, direct=client.clouds,
        watch=watch,
    )  # fmt: skip


def _says_passed(document: "Measurement") -> bool:
    """Print what the load's percentile is, if one was asked for; False where it is above its bound."""
    load = document.load
    if load is None or load.percentile_ms is None:
        return True
    bound = "" if load.passed is None else f": {'PASS' if load.passed else 'FAIL'}, bound {load.scenario.bound_ms:g} ms"
    print(
        f"{load.scenario.name}: {load.scenario.percentile:g} % of {load.queries} queries took {load.percentile_ms:.2f} "
        f"ms or less (nearest rank){bound}",
        file=sys.stderr,
    )
    return load.passed is not False


def _says_held(agreement: "Agreement", check: Path | None, degraded: int = 0) -> bool:
    """Print whether the answers are those of the predictions, how closely they were held, and what was left out."""
    verdict = "agree with" if agreement.holds else "DIFFER from"
    held = f"within {agreement.within:g}" if agreement.within else "to the last bit"
    print(
        f"check: the nodes' answers {verdict} {check}: of {agreement.n} samples {agreement.labels} labels, "
        f"{agreement.exits} exits and {agreement.scores} scores differ, {held} ({agreement.why})"
        + ("" if agreement.holds else f"; first at row {agreement.first}"),
        file=sys.stderr,
    )
    if degraded and not agreement.holds:
        print(
            f"check: {degraded} of them the edge answered in its cloud's place (degraded), and the predictions are of "
            "what the cloud answers. Look at the edge's log for why, and measure again.",
            file=sys.stderr,
        )
    if near := agreement.near:
        rows = ", ".join(map(str, near[:SHOWN])) + (f" and {len(near) - SHOWN} more" if len(near) > SHOWN else "")
        print(
            f"check: {len(near)} left out, {agreement.swayed} of them answered otherwise: a threshold, or two labels, "
            f"nearer than {agreement.within:g}, so that rounding may decide. Rows {rows}",
            file=sys.stderr,
        )
    return agreement.holds
