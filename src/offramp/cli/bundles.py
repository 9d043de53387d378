"""The verbs that make bundles and parts of them, or find one: export, slice, pretrained."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from offramp.artifacts.document import check_output
from offramp.cli import completion
from offramp.cli.frame import app, codec_of, console, needs_torch
from offramp.errors import InputError
from offramp.progress import waiting


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Argument(help="Folder that `offramp train` wrote.")],
    out: Annotated[Path | None, typer.Option(help="Folder of the bundle. Default: CHECKPOINT/bundle")] = None,
    data: Annotated[str | None, typer.Option(help="Calibration data. Default: what it was trained on.")] = None,
    exporter: Annotated[
        str,
        typer.Option(help="torchscript or dynamo.", autocompletion=completion.one_of("torchscript", "dynamo")),
    ] = "torchscript",
    int8: Annotated[bool, typer.Option("--int8", help="Add a graph that multiplies in int8.")] = False,
    force_int8: Annotated[
        bool, typer.Option("--force-int8", help="The same, even where it loses more than 2 points.")
    ] = False,
) -> None:
    """Write a checkpoint as a bundle that nodes can run, and refuse if the two differ."""
    needs_torch("export")
    from offramp.data.recorded import load_as_trained
    from offramp.export.write import export as run
    from offramp.models.checkpoint import Checkpoint

    if exporter not in ("torchscript", "dynamo"):
        raise InputError(f"exporter {exporter!r}: unknown. Choose torchscript or dynamo.")
    check_output(out, folder=True)
    trained = Checkpoint.open(checkpoint)
    if out is None:
        check_output(checkpoint, folder=True)
    card = trained.card
    with waiting() as watching:
        splits, notes = load_as_trained(
            data, card.data, card.record, card.architecture.shape, seed=card.seed, watch=watching.at
        )
    print("\n".join(notes), file=sys.stderr)
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
    for cut in bundle.manifest.cuts:
        if why := bundle.manifest.lacks(cut.boundary, "uint8"):
            print(f"no uint8: {why}")
    if bundle.manifest.int8 is not None:
        from offramp.bench.table import int8_table

        console.print(int8_table(bundle.manifest.int8))


@app.command("slice")
def slice_(
    bundle: Annotated[Path, typer.Argument(help="Folder that `offramp export` wrote.")],
    out: Annotated[Path, typer.Option(help="ONNX file to write.")],
    start: Annotated[int, typer.Option(min=0, help="Boundary where it begins; 0 is the image.")] = 0,
    end: Annotated[int | None, typer.Option(min=0, help="Boundary where it ends. Default: the network's end.")] = None,
    takes: Annotated[
        str,
        typer.Option(help="Codec in which features arrive: fp32, fp16 or uint8.", autocompletion=completion.codecs),
    ] = "fp32",
    gives: Annotated[
        str | None,
        typer.Option(help="Codec in which features leave. Default: none do.", autocompletion=completion.codecs),
    ] = None,
) -> None:
    """Write a part of a bundle as one ONNX file: for a small device, or for another maker's server as the cloud."""
    from offramp.artifacts.bundle import Bundle
    from offramp.artifacts.document import write_bytes
    from offramp.runtime.codec import name_input
    from offramp.runtime.cut import cut_out
    from offramp.runtime.span import SpanSpec

    check_output(out)
    source = Bundle.open(bundle)
    manifest = source.manifest
    stop = manifest.last if end is None else end
    exits = tuple(exit_ for exit_ in manifest.exits if exit_ == stop)
    spec = SpanSpec(start, stop, exits, None if gives is None else codec_of(gives), codec_of(takes))
    graph, found, outputs = cut_out(source, spec)
    names, renamed = tuple(manifest.tensors(start)), graph  # as the protocol's request calls them, in whatever codec
    for source_name, name in zip(found, names, strict=True):
        renamed = name_input(renamed, source_name, name)
    write_bytes(out, renamed)
    print(f"{out}: {', '.join(names)} to {', '.join(outputs.values())}, {len(graph):,} bytes, of bundle {source.id}")


@app.command()
def pretrained(
    name: Annotated[
        str, typer.Argument(help="Which network.", autocompletion=completion.pretrained)
    ] = "cifar10-small-mem",
) -> None:
    """Print the folder of a trained network that comes with the package: a checkpoint, its bundle inside."""
    from offramp.artifacts.pretrained import pretrained as find

    print(find(name))
