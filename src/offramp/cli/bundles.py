"""The verbs that make bundles and parts of them, or find one: export, sign, slice, pretrained."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from offramp.artifacts.bundle import MANIFEST
from offramp.artifacts.document import check_output
from offramp.artifacts.suite import BUNDLE
from offramp.cli import completion, engine_options
from offramp.cli.console import console
from offramp.cli.frame import app, codec_of, needs_torch
from offramp.errors import InputError

if TYPE_CHECKING:
    from offramp.artifacts.bundle import Bundle
    from offramp.cli.engines import Engines


@app.command()
def export(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="CHECKPOINT",
            help="Folder that `offramp train` wrote, or one of `offramp suite`: every finished run of it. For --triton "
            "and --kserve, a bundle as well.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the bundle; of a suite's, REGIME/MODEL-seed-SEED in it. Default: CHECKPOINT/bundle"
        ),
    ] = None,
    data: Annotated[str | None, typer.Option(help="Calibration data. Default: what it was trained on.")] = None,
    exporter: Annotated[
        str,
        typer.Option(help="torchscript or dynamo.", autocompletion=completion.one_of("torchscript", "dynamo")),
    ] = "torchscript",
    int8: Annotated[bool, typer.Option("--int8", help="Add a graph that multiplies in int8.")] = False,
    force_int8: Annotated[
        bool, typer.Option("--force-int8", help="The same, even where it loses more than 2 points.")
    ] = False,
    triton: engine_options.Triton = None,
    tail: engine_options.Tails = None,
    triton_version: engine_options.TritonVersion = 1,
    max_batch: engine_options.MaxBatch = 256,
    kserve: engine_options.KServe = None,
    storage: engine_options.Storage = None,
    replicas: engine_options.Replicas = 1,
) -> None:
    """Write a checkpoint as a bundle that nodes can run, and refuse if the two differ; or so a suite's, all of them.

    And the bundle's tails for other people's servers, from the checkpoint or from a bundle that is there.
    """
    from offramp.cli.engines import Engines

    engines = Engines.asked(triton, tail, triton_version, max_batch, kserve, storage, replicas)
    if (source / MANIFEST).is_file():
        engines.alone(source, out=out, data=data, int8=int8, force_int8=force_int8)
        return
    needs_torch("export")
    if exporter not in ("torchscript", "dynamo"):
        raise InputError(f"exporter {exporter!r}: unknown. Choose torchscript or dynamo.")
    check_output(out, folder=True)
    how = {"exporter": exporter, "int8": int8 or force_int8, "force_int8": force_int8}
    _export(source, out, data, engines, **how)


def _export(source: Path, out: Path | None, data: str | None, engines: "Engines", **how: object) -> None:
    """Export a checkpoint, or a suite's."""
    from offramp.artifacts.suite import SUITE, open_suite, to_export
    from offramp.export.checkpoints import export_checkpoints

    suite = open_suite(source) if (source / SUITE).is_file() else None
    if suite is not None:
        engines.refuse_suite(source)
    places = [(source, out or source / BUNDLE)] if suite is None else to_export(source, suite.runs, out)
    if out is None and source.exists():
        check_output(source, folder=True)
    for bundle, notes in export_checkpoints(places, data, **how):
        _say(bundle, notes)
        engines.write(bundle)
    if suite is not None:
        left = f"; not finished: {', '.join(map(str, suite.left))}. Go on with: offramp suite" if suite.left else "."
        print(f"{source}: {len(places)} finished runs exported{left}")


def _say(bundle: "Bundle", notes: list[str]) -> None:
    """Print what came of an export."""
    from offramp.artifacts.codec import CODECS

    parity = bundle.manifest.parity
    if notes:
        print("\n".join(notes), file=sys.stderr)
    print(
        f"{bundle.path}: bundle {bundle.id}, {bundle.manifest.model}, "
        f"exits {', '.join(map(str, bundle.manifest.exits))}; differs from torch by "
        f"{parity.max_difference:.1e} of a value's scale (tolerance {parity.tolerance:.0e})"
    )
    for cut in bundle.manifest.cuts:
        for codec in CODECS:
            if why := bundle.manifest.lacks(cut.boundary, codec):
                print(f"no {codec}: {why}")
    if bundle.manifest.int8 is not None:
        from offramp.bench.table import int8_table

        console.print(int8_table(bundle.manifest.int8))


@app.command()
def sign(
    bundle: Annotated[Path, typer.Argument(help="Folder of `offramp export`, or one of `offramp suite`.")],
    key: Annotated[Path, typer.Option(help="Private key, ed25519, in PEM form and without a password.")],
) -> None:
    """Sign a bundle, for nodes that are told whom to trust."""
    from offramp.artifacts.bundle import MANIFEST, Bundle
    from offramp.artifacts.document import read_bytes, write_bytes
    from offramp.artifacts.signature import SIGNATURE
    from offramp.artifacts.signature import sign as signed
    from offramp.artifacts.suite import bundles_in

    for path in bundles_in(bundle):
        opened = Bundle.open(path)  # nobody vouches for one that was damaged
        write_bytes(path / SIGNATURE, signed(read_bytes(path / MANIFEST), str(key)))
        print(f"{path / SIGNATURE}: of bundle {opened.id}, {opened.manifest.model}")


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
    from offramp.runtime.portable import portable
    from offramp.runtime.span import SpanSpec

    check_output(out)
    source = Bundle.open(bundle)
    manifest = source.manifest
    stop = manifest.last if end is None else end
    exits = tuple(exit_ for exit_ in manifest.exits if exit_ == stop)
    spec = SpanSpec(start, stop, exits, None if gives is None else codec_of(gives), codec_of(takes))
    part = portable(source, spec)
    write_bytes(out, part.graph)
    names = f"{', '.join(part.inputs)} to {', '.join(part.outputs)}"
    print(f"{out}: {names}, {len(part.graph):,} bytes, of bundle {source.id}")


@app.command()
def pretrained(
    name: Annotated[
        str | None,
        typer.Argument(help="Which network. Default: cifar10-small-mem.", autocompletion=completion.pretrained),
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="Say which there are, and what each is.")] = False,
) -> None:
    """Print the folder of a trained network that comes with the package: a checkpoint, its bundle inside."""
    from offramp.artifacts.pretrained import MEM
    from offramp.artifacts.pretrained import pretrained as find

    if not listed:
        print(find(name or MEM))
        return
    from rich.table import Table

    from offramp.artifacts.bundle import Bundle
    from offramp.artifacts.data_record import data_name
    from offramp.artifacts.pretrained import known
    from offramp.cli.console import console

    table = Table(*("", "trained on", "exits", "M MACs", "M weights", "MB", "right at the last exit"))
    for each in known() if name is None else (name,):
        manifest = Bundle.open(find(each) / "bundle").manifest
        weights = sum(stage.parameters for stage in manifest.stages) + sum(head.parameters for head in manifest.heads)
        size = sum(file.stat().st_size for file in find(each).rglob("*") if file.is_file())
        table.add_row(
            each, data_name(manifest.origin.data), ", ".join(map(str, manifest.exits)),
            f"{manifest.macs(manifest.last) / 1e6:.1f}", f"{weights / 1e6:.2f}", f"{size / 1e6:.1f}",
            f"{manifest.cuts[0].codecs['fp32'].accuracy:.1%} of {manifest.cuts[0].samples:,} images",
        )  # fmt: skip
    console.print(table)
    print("Accuracies are of the images that calibrated the codecs; those of the test set stand in each README.md.")
