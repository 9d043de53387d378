"""The command line: one verb a step of the pipeline. Heavy imports stand inside the verbs."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from offramp.errors import MissingExtraError, OfframpError

if TYPE_CHECKING:
    from offramp.artifacts.codec import Codec
    from offramp.artifacts.plan import Plan
    from offramp.exits.evaluation import Evaluation

THRESHOLDS = (0.1, 0.3, 0.5, 0.8)  # the paper's

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

Data = Annotated[str, typer.Option(help="digits, a folder of parquet or of images by class, or hub:NAME.")]
Seed = Annotated[int, typer.Option(help="Fixes weights, order, augmentation and splits.")]
Out = Annotated[Path, typer.Option(help="Where to write.")]
Split = Annotated[str, typer.Option(help="train, validation, calibration or test.")]
Score = Annotated[str, typer.Option(help="entropy, max-probability or margin.")]
CodecName = Annotated[str, typer.Option(help="fp32, fp16 or uint8: how features cross the cut.")]
Drop = Annotated[float | None, typer.Option(help="A score above this is not worth the cloud: answered, and marked.")]
RuntimeName = Annotated[
    str, typer.Option("--runtime", help="auto, onnxruntime or openvino; auto times both where openvino is installed.")
]
PrecisionName = Annotated[
    str,
    typer.Option("--precision", help="auto, fp32, bf16 or int8; auto is fp32 where there are no bf16 matrix units."),
]
Host = Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for every one.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port of the gRPC side; 0 chooses a free one.")]
HttpPort = Annotated[
    int | None,
    typer.Option(min=0, max=65535, help="Port of the HTTP side; 0 chooses a free one. Default: one below --port."),
]
NoHttp = Annotated[bool, typer.Option("--no-http", help="Serve gRPC alone.")]
Threads = Annotated[int, typer.Option(min=0, help="Threads of the runtime; 0 is every core.")]
MaxBatch = Annotated[int, typer.Option(min=1, help="Largest batch that a message may hold.")]
Compile = Annotated[
    bool | None,
    typer.Option("--compile/--no-compile", help="torch.compile. Default: what the recipe says."),
]
HeadKind = Annotated[str, typer.Option(help="Of local exits: linear (the paper's), or conv, a convolution before it.")]
Bottleneck = Annotated[
    str | None, typer.Option(help="Few channels where features may cross, BOUNDARY:CHANNELS like 1:3,6:4.")
]


@app.command()
def train(
    model: Annotated[str, typer.Argument(help="standard, sem-1 to sem-8, mem, or exits like 2,5.")],
    out: Annotated[Path | None, typer.Option(help="Folder of the checkpoint. Default: runs/MODEL")] = None,
    data: Data = "digits",
    preset: Annotated[
        str | None, typer.Option(help="tiny, small, slim or full. Default: tiny for digits, else small.")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="modern, digits, paper, or a .json file. Default: digits for digits.")
    ] = None,
    regime: Annotated[
        str | None, typer.Option(help="joint, mixed, separate, distill, …: docs/training.md. Default: the recipe's.")
    ] = None,
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
    threads: Annotated[
        int, typer.Option(min=0, help="Threads of torch; 0 is its own choice. On a shared machine, fewer are faster.")
    ] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder.")] = False,
) -> None:
    """Train a network with local exits and write a checkpoint."""
    _needs_torch("train")
    from offramp.data.load import load
    from offramp.models.architecture import parse_exits
    from offramp.models.architecture import preset as find_preset
    from offramp.train.loop import Run
    from offramp.train.loop import train as run
    from offramp.train.observe import ProgressBar
    from offramp.train.recipe import recipe as find_recipe
    from offramp.train.workers import first

    sizes = find_preset(preset or ("tiny" if data == "digits" else "small"))
    exits = parse_exits(model, len(sizes.widths))
    chosen = find_recipe(recipe or ("digits" if data == "digits" else "modern")).but(
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        regime=regime,
        compile=compile_,
        loss_weights=None if loss_weights is None else _loss_weights(loss_weights),
    )
    splits = load(data, (sizes.channels, sizes.size, sizes.size), seed=seed)
    architecture = sizes.architecture(exits, splits.train.classes, head, _bottlenecks(bottleneck))
    out = out or Path("runs") / architecture.name
    with ProgressBar(architecture.name) as bar:
        checkpoint = run(
            Run(architecture, chosen, data, seed), splits, out, resume=resume, observers=[bar], threads=threads or None
        )
    if not first():
        return
    shown = ", ".join(f"{exit_}: {100 * value:.2f}" for exit_, value in checkpoint.card.validation_accuracy.items())
    console.print(f"{out}: {architecture.name}, validation accuracy in % by exit {shown}", highlight=False)


@app.command()
def show(
    model: Annotated[str, typer.Argument(help="A model's name, a checkpoint or a bundle.")] = "mem",
    preset: Annotated[str, typer.Option(help="tiny, small, slim or full; of a model's name only.")] = "small",
    head: HeadKind = "linear",
    bottleneck: Bottleneck = None,
) -> None:
    """Show stages and heads with their MACs, parameters and features."""
    from offramp.artifacts.bundle import MANIFEST, Bundle

    if (Path(model) / MANIFEST).exists():
        manifest = Bundle.open(model).manifest
        stages = {s.index: (s.macs, s.parameters, s.shape) for s in manifest.stages}
        heads = {h.exit: (h.macs, h.parameters) for h in manifest.heads}
        name = f"{manifest.model} ({model})"
    else:
        _needs_torch("show")
        from offramp.models.architecture import parse_exits
        from offramp.models.architecture import preset as find_preset
        from offramp.models.checkpoint import CARD, Checkpoint
        from offramp.models.cnn import standard_cnn
        from offramp.models.count import count

        if (Path(model) / CARD).exists():
            checkpoint = Checkpoint.open(model)
            architecture, net, name = checkpoint.card.architecture, checkpoint.net, model
        else:
            sizes = find_preset(preset)
            classes = tuple(map(str, range(10)))
            exits = parse_exits(model, len(sizes.widths))
            architecture = sizes.architecture(exits, classes, head, _bottlenecks(bottleneck))
            net, name = standard_cnn(architecture), f"{architecture.name}, preset {preset}, 10 classes"
        counted, head_costs = count(net, architecture.shape)
        stages = {i: (cost.macs, cost.parameters, cost.shape) for i, cost in counted.items()}
        heads = {i: (cost.macs, cost.parameters) for i, cost in head_costs.items()}
    table = Table(title=name)
    for column in ("stage", "features", "bytes fp32", "MACs", "weights", "head MACs", "head weights"):
        table.add_column(column, justify="right", no_wrap=True)
    for index, (macs, parameters, shape) in stages.items():
        costs = [f"{number:,}" for number in heads[index]] if index in heads else ["–", "–"]
        size = 4
        for extent in shape:
            size *= extent
        table.add_row(str(index), "x".join(map(str, shape)), f"{size:,}", f"{macs:,}", f"{parameters:,}", *costs)
    total = [sum(macs for macs, _, _ in stages.values()), sum(parameters for _, parameters, _ in stages.values())]
    total += [sum(macs for macs, _ in heads.values()), sum(parameters for _, parameters in heads.values())]
    table.add_section()
    table.add_row("sum", "", "", *(f"{number:,}" for number in total))
    console.print(table)


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Argument(help="Folder that `offramp train` wrote.")],
    out: Annotated[Path | None, typer.Option(help="Folder of the bundle. Default: CHECKPOINT/bundle")] = None,
    data: Annotated[str | None, typer.Option(help="Calibration data. Default: what it was trained on.")] = None,
    exporter: Annotated[str, typer.Option(help="torchscript or dynamo.")] = "torchscript",
    int8: Annotated[bool, typer.Option("--int8", help="Add a graph that multiplies in int8.")] = False,
    force_int8: Annotated[
        bool, typer.Option("--force-int8", help="The same, even where it loses more than 2 points.")
    ] = False,
) -> None:
    """Write a checkpoint as a bundle that nodes can run, and refuse if the two differ."""
    _needs_torch("export")
    from offramp.data.load import load
    from offramp.errors import InputError
    from offramp.export.write import export as run
    from offramp.models.checkpoint import Checkpoint

    if exporter not in ("torchscript", "dynamo"):
        raise InputError(f"exporter {exporter!r}: unknown. Choose torchscript or dynamo.")
    trained = Checkpoint.open(checkpoint)
    splits = load(data or trained.card.data, trained.card.architecture.shape, seed=trained.card.seed)
    bundle = run(
        trained,
        out or checkpoint / "bundle",
        splits.calibration,
        exporter=exporter,  # type: ignore[arg-type]
        int8=int8 or force_int8,
        force_int8=force_int8,
    )
    parity = bundle.manifest.parity
    print(
        f"{bundle.path}: bundle {bundle.id}, {bundle.manifest.model}, "
        f"exits {', '.join(map(str, bundle.manifest.exits))}; differs from torch by "
        f"{parity.max_difference:.1e} of a value's scale (tolerance {parity.tolerance:.0e})"
    )
    if bundle.manifest.int8 is not None:
        from offramp.bench.table import int8_table

        console.print(int8_table(bundle.manifest.int8))


@app.command("slice")
def slice_(
    bundle: Annotated[Path, typer.Argument(help="Folder that `offramp export` wrote.")],
    out: Annotated[Path, typer.Option(help="ONNX file to write.")],
    start: Annotated[int, typer.Option(min=0, help="Boundary where it begins; 0 is the image.")] = 0,
    end: Annotated[int | None, typer.Option(min=0, help="Boundary where it ends. Default: the network's end.")] = None,
    takes: Annotated[str, typer.Option(help="Codec in which features arrive: fp32, fp16 or uint8.")] = "fp32",
    gives: Annotated[str | None, typer.Option(help="Codec in which features leave. Default: none do.")] = None,
) -> None:
    """Write a part of a bundle as one ONNX file: for a small device, or for another maker's server as the cloud."""
    from offramp.artifacts.bundle import Bundle, features_name
    from offramp.artifacts.document import write_bytes
    from offramp.runtime.codec import name_input
    from offramp.runtime.span import SpanSpec, cut_out

    source = Bundle.open(bundle)
    manifest = source.manifest
    stop = manifest.last if end is None else end
    exits = tuple(exit_ for exit_ in manifest.exits if exit_ == stop)
    spec = SpanSpec(start, stop, exits, None if gives is None else _codec(gives), _codec(takes))
    graph, found, outputs = cut_out(source, spec)
    name = features_name(start)  # as the protocol's request calls it, in whatever codec
    write_bytes(out, name_input(graph, found, name))
    print(f"{out}: {name} to {', '.join(outputs.values())}, {len(graph):,} bytes, of bundle {source.id}")


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

    predictor = open_predictor(source, cut, _codec(codec), runtime, precision)
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
    from dataclasses import asdict

    from offramp.artifacts.plan import Plan
    from offramp.artifacts.predictions import Predictions
    from offramp.bench.table import percent
    from offramp.exits.evaluation import accuracy_at, route
    from offramp.exits.evaluation import evaluate as run

    table = Predictions.read(predictions)
    exits = exit_ or ([k for k in table.header.exits if k != table.last] or [table.last])
    rows = []
    for t in threshold or THRESHOLDS:
        for k in exits:
            cut = table.header.cut if table.header.codec != "fp32" else k
            plan = Plan.of(k, t, score, cut=cut, codec=table.header.codec, drop_threshold=drop_threshold)
            rows.append((k, t, run(route(table, plan), table.labels)))
    if as_json:
        documents = [{"model": table.header.model, "exit": k, "threshold": t, **asdict(e)} for k, t, e in rows]
        print(json.dumps(documents, indent=2))
        return
    everyone = ", ".join(f"{k}: {percent(accuracy_at(table, k))}" for k in table.header.exits)
    console.print(
        f"{table.header.model}, {table.header.data} ({table.header.split}). Every sample at each exit, %: {everyone}"
    )
    _print_evaluations(table.header.model, rows)


@serve.command("cloud")
def serve_cloud(
    bundle: Annotated[list[Path], typer.Argument(help="Folders that `offramp export` wrote.")],
    host: Host = "127.0.0.1",
    port: Port = 8001,
    http_port: HttpPort = None,
    no_http: NoHttp = False,
    threads: Threads = 0,
    max_batch: MaxBatch = 256,
    batch_size: Annotated[
        int, typer.Option(help="Samples of several requests run as one batch, at most; 1 runs each request alone.")
    ] = 64,
    max_wait_ms: Annotated[
        float, typer.Option(help="How long a request may wait for company while the runtime is free; 0 does not.")
    ] = 0.0,
    queue: Annotated[int, typer.Option(help="Samples that may wait; what comes on top is refused at once.")] = 256,
    workers: Annotated[int, typer.Option(help="Processes that share the port, each with its part of the cores.")] = 1,
    runtime: RuntimeName = "auto",
    precision: PrecisionName = "auto",
) -> None:
    """Serve every tail of one bundle or several, in batches across clients."""
    from offramp.nodes.batching import Limits
    from offramp.nodes.process import CloudSettings
    from offramp.nodes.process import serve_cloud as run

    limits = Limits(batch=batch_size, wait=max_wait_ms / 1000, queue=queue)
    bundles = tuple(map(str, bundle))
    http = _http_port(port, http_port, no_http)
    run(CloudSettings(bundles, host, port, http, threads, max_batch, limits, workers, runtime, precision))


@serve.command("edge")
def serve_edge(
    bundle: Annotated[Path, typer.Argument(help="Folder that `offramp export` wrote.")],
    exit_: Annotated[list[int] | None, typer.Option("--exit", help="Active exit; repeat for several.")] = None,
    threshold: Annotated[
        list[float] | None, typer.Option(help="A sample leaves when its score is below this; one for each exit.")
    ] = None,
    cut: Annotated[
        int | None, typer.Option(help="Where the rest leaves the edge; 0 sends the image. Default: the last exit.")
    ] = None,
    codec: CodecName = "fp32",
    drop_threshold: Drop = None,
    plan: Annotated[Path | None, typer.Option(help="A plan as a file, instead of the options above.")] = None,
    cloud: Annotated[str | None, typer.Option(help="HOST:PORT of the cloud. Not needed at the last exit.")] = None,
    cloud_version: Annotated[
        str | None,
        typer.Option(help="The version on another maker's cloud; empty: it has none. Default: the bundle's id."),
    ] = None,
    cloud_wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for the cloud at start.")] = 10.0,
    score: Score = "entropy",
    host: Host = "127.0.0.1",
    port: Port = 8001,
    http_port: HttpPort = None,
    no_http: NoHttp = False,
    threads: Threads = 0,
    max_batch: MaxBatch = 256,
    runtime: RuntimeName = "auto",
    precision: PrecisionName = "auto",
) -> None:
    """Serve the classifier: answer at the exit what is sure enough, forward the rest."""
    from offramp.artifacts.plan import Plan
    from offramp.nodes.process import serve_edge as run

    run(
        bundle,
        Plan.load(plan) if plan else _plan(exit_ or [], threshold or [], cut, codec, score, drop_threshold),
        cloud=cloud,
        cloud_version=cloud_version,
        cloud_wait=cloud_wait,
        host=host,
        port=port,
        http_port=_http_port(port, http_port, no_http),
        threads=threads,
        max_batch=max_batch,
        runtime=runtime,
        precision=precision,
    )


@app.command()
def bench(
    edge: Annotated[str, typer.Option(help="HOST:PORT of a running edge.")],
    data: Data = "digits",
    split: Split = "test",
    batch_size: Annotated[int, typer.Option(min=1)] = 32,
    exit_: Annotated[int | None, typer.Option("--exit", help="Instead of the edge's own.")] = None,
    threshold: Annotated[float | None, typer.Option(help="Instead of the edge's own.")] = None,
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
    from offramp.data.load import load
    from offramp.link.client import Client
    from offramp.nodes.edge_model import describe_edge

    predictions = None
    if check is not None:
        from offramp.artifacts.predictions import Predictions

        predictions = Predictions.read(check)
    with Client(edge) as client:
        served = describe_edge(client)
        plan = served.plan.but(exit_=exit_, threshold=threshold)
        images = load(data, served.shape, seed=seed).part(split)
        channels, height, width = served.shape
        pixels = Preprocessing(channels=channels, height=height, width=width).from_uint8(images.images)
        with Client(direct) if direct else nullcontext() as cloud:
            driven = drive(client, pixels, batch_size=batch_size, exit_=exit_, threshold=threshold, direct=cloud)
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


@app.command()
def demo(
    out: Out = Path("demo-results"),
    full: Annotated[bool, typer.Option("--full", help="Train longer: 30 epochs instead of 12.")] = False,
    seed: Seed = 0,
) -> None:
    """Train the paper's nine models on the digits, run them on an edge and a cloud, and write a report."""
    _needs_torch("demo")
    from offramp.bench.demo import demo as run

    run(out, epochs=30 if full else None, seed=seed, console=console)


@app.command()
def suite(
    source: Annotated[str, typer.Argument(help="digits, a folder of parquet or of images by class, or hub:NAME.")],
    out: Out = Path("suite-results"),
    preset: Annotated[
        str | None, typer.Option(help="tiny, small, slim or full. Default: tiny for digits, else small.")
    ] = None,
    models: Annotated[str, typer.Option(help="all, or a list like standard,sem-2,mem,2+5.")] = "all",
    regimes: Annotated[str, typer.Option(help="The first is what the others are compared with.")] = "joint",
    seeds: Annotated[str, typer.Option(help="A list like 0,1,2.")] = "0",
    budget: Annotated[str | None, typer.Option(help="Stop in time, like 9m; the same command goes on.")] = None,
    recipe: Annotated[
        str | None, typer.Option(help="modern, digits, paper, or a .json file. Default: digits for digits.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1)] = None,
    batch_size: Annotated[int | None, typer.Option(min=1)] = None,
    learning_rate: Annotated[float | None, typer.Option()] = None,
    head: HeadKind = "linear",
    bottleneck: Bottleneck = None,
    compile_: Compile = None,
    cross: Annotated[bool, typer.Option("--cross", help="Train SEMs under every regime too.")] = False,
) -> None:
    """Train the paper's models under several regimes and seeds, as far as a budget of time goes."""
    _needs_torch("suite")
    from offramp.bench.budget import Clock, parse_budget
    from offramp.bench.suite import run_suite, suite_settings
    from offramp.train.recipe import recipe as find_recipe

    chosen = find_recipe(recipe or ("digits" if source == "digits" else "modern"))
    settings = suite_settings(
        data=source,
        preset_name=preset or ("tiny" if source == "digits" else "small"),
        recipe=chosen.but(epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, compile=compile_),
        models=models,
        regimes=regimes,
        seeds=seeds,
        head=head,
        bottlenecks=_bottlenecks(bottleneck),
        cross=cross,
    )
    clock = Clock(None if budget is None else parse_budget(budget))
    done = run_suite(settings, out, clock=clock, console=console)
    left = f"; left: {', '.join(map(str, done.left))}. Go on by the same command." if done.left else "."
    console.print(f"{out}: {len(done.runs)} of {len(done.settings.planned())} runs finished{left}", highlight=False)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="Folder that `offramp suite` wrote.")],
    out: Annotated[Path | None, typer.Option(help="Where to write. Default: the suite's folder.")] = None,
) -> None:
    """Draw the paper's Figures 9 and 10 from a suite, ours beside the paper's, and say which of its claims hold."""
    from offramp.report.suite_page import write_suite_report

    written = write_suite_report(folder, out or folder)
    console.print(f"{written[0]}: report; figures: {', '.join(path.name for path in written[1:])}", highlight=False)


def _needs_torch(verb: str) -> None:
    from importlib.util import find_spec

    if find_spec("torch") is None:
        raise MissingExtraError(
            f"offramp {verb} needs torch, which a node does not. Install it with: pip install 'offramp[train,report]'"
        )


def _http_port(port: int, http_port: int | None, no_http: bool) -> int | None:
    """Triton's convention, 8000 for HTTP beside 8001 for gRPC, moved along with the port; None for no HTTP."""
    if no_http:
        return None
    return http_port if http_port is not None else max(port - 1, 0)


def _codec(name: str) -> "Codec":
    from offramp.artifacts.codec import CODECS
    from offramp.errors import InputError

    for codec in CODECS:
        if codec == name:
            return codec
    raise InputError(f"codec {name!r}: unknown. Choose one of {', '.join(CODECS)}.")


def _plan(
    exits: list[int], thresholds: list[float], cut: int | None, codec: str, score: str, drop: float | None
) -> "Plan":
    from offramp.artifacts.plan import Plan
    from offramp.errors import InputError

    if not exits and cut is None:
        raise InputError("plan: nothing says what to do. Give --exit and --threshold, or --cut, or --plan FILE.")
    if len(exits) != len(thresholds):
        raise InputError(
            f"threshold: {len(exits)} exits and {len(thresholds)} thresholds; expected one --threshold for each --exit."
        )
    active = [{"exit": exit_, "threshold": threshold} for exit_, threshold in zip(exits, thresholds, strict=True)]
    at = exits[-1] if cut is None else cut
    return Plan.checked(active=active, cut=at, codec=codec, score=score, drop_threshold=drop)


def _bottlenecks(text: str | None) -> dict[int, int]:
    from offramp.errors import InputError

    if text is None:
        return {}
    try:
        return {int(at): int(channels) for at, channels in (part.split(":") for part in text.split(","))}
    except ValueError as error:
        raise InputError(f"bottleneck {text!r}: expected BOUNDARY:CHANNELS pairs like 1:3,6:4.") from error


def _loss_weights(text: str) -> dict[int, float]:
    from offramp.errors import InputError

    try:
        return {int(exit_): float(weight) for exit_, weight in (part.split(":") for part in text.split(","))}
    except ValueError as error:
        raise InputError(f"loss weights {text!r}: expected EXIT:WEIGHT pairs like 1:1.0,9:0.5.") from error


def _print_evaluations(model: str, rows: "list[tuple[int, float, Evaluation]]") -> None:
    from offramp.bench.table import percent

    table = Table("model", "exit", "T", "n", "exited", "forwarded", "dropped", "edge %", "cloud %", "overall %")
    for exit_, threshold, found in rows:
        accuracy = map(percent, (found.edge_accuracy, found.cloud_accuracy, found.overall_accuracy))
        counts = map(str, (found.n, found.exited_locally, found.forwarded, found.dropped))
        table.add_row(model, str(exit_), f"{threshold:g}", *counts, *accuracy)
    console.print(table)


def main() -> None:
    """Run the command line; an error of ours is printed as one message, and the exit code is 2."""
    # What grpc writes to stderr by itself stands beside the message that we raise for the same failure.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        app()
    except OfframpError as error:
        print(f"offramp: error: {error}", file=sys.stderr)
        sys.exit(2)
