"""The verb boundaries: where a network can be cut and exits can stand; as a table, as JSON, as a picture."""

import json
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offramp.artifacts.document import check_output, write_bytes
from offramp.cli.console import console
from offramp.cli.frame import app
from offramp.cli.models import InputShape, Model, graph_source, read_shape
from offramp.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from offramp.artifacts.codec import Codec
    from offramp.graphs.boundaries import Boundaries, Boundary
    from offramp.graphs.source import GraphSource

FORMS = (".svg", ".png")
DRAWN: "Codec" = "uint8"


@app.command("boundaries")
def boundaries_(
    model: Model,
    shape: InputShape = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
    picture: Annotated[
        Path | None, typer.Option(help="Draw them as well: multiply-adds along, bytes up; a .svg or .png file.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Cut at each, and compare the halves with the whole.")
    ] = True,
) -> None:
    """Show where a classifier can be cut and an exit can stand, and why not elsewhere."""
    if picture is not None:
        if picture.suffix not in FORMS:
            raise InputError(f"picture {picture}: expected a file that ends in {' or '.join(FORMS)}.")
        check_output(picture)
    source = graph_source(model, read_shape(shape))
    from offramp.graphs.boundaries import find_boundaries  # once it is known that onnx is there

    found = find_boundaries(source, check=check)
    if picture is not None:
        write_bytes(picture, _drawn(source, found, picture.suffix))
    if as_json:
        print(json.dumps(_as_json(source, found)))
        return
    console.print(_table(source, found))
    for one in found.refused:
        console.print(f"no boundary: {one.name}: {one.why}", highlight=False, soft_wrap=True)
    if picture is not None:
        print(f"{picture}: drawn")


def crossing_bytes(boundary: "Boundary", codec: "Codec") -> int:
    """Bytes of one sample at a boundary in a codec; what is carried beside the features is fp32 in each."""
    from offramp.artifacts.codec import sample_bytes

    features, *beside = boundary.tensors.values()
    return sample_bytes(codec, [features], beside)


def _table(source: "GraphSource", found: "Boundaries") -> "Table":
    """A row a boundary."""
    from rich.table import Table

    from offramp.artifacts.codec import CODECS

    worst = max((one.tolerance for one in found.offered), default=0.0)
    said = f"Halves against the whole, in batches of 1 and 5: {worst:.0e} of the largest value at most. " * bool(worst)
    table = Table(
        title=source.origin,
        caption=(
            f"{source.classes} classes, {found.macs:,} MACs a sample, {len(found.offered)} boundaries. {said}"
            "B: bytes of a sample that cross. MACs: of the network's, before and after."
        ),
    )
    for name in ("", "boundary", "block", "tensors that cross"):
        table.add_column(name, justify="left" if name else "right", overflow="fold")
    for name in (*(f"{codec} B" for codec in CODECS), "MACs before %", "after %"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in found.offered:
        tensors = ", ".join(f"{name} {_shape(shape)}" for name, shape in one.tensors.items())
        sizes = (f"{crossing_bytes(one, codec):,}" for codec in CODECS)
        shares = (f"{100 * macs / found.macs:.1f}" for macs in (one.macs_before, one.macs_after))
        table.add_row(str(one.number), one.name, one.at, tensors, *sizes, *shares)
    return table


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "1"


def _as_json(source: "GraphSource", found: "Boundaries") -> dict[str, Any]:
    """All that was found, for programs."""
    from offramp.artifacts.codec import CODECS

    return {
        "model": source.origin,
        "classes": source.classes,
        "macs": found.macs,
        "inputs": {name: {"dtype": str(info.dtype), "shape": info.shape} for name, info in source.inputs.items()},
        "boundaries": [
            {
                "number": one.number,
                "name": one.name,
                "also": one.also,
                "at": one.at,
                "kind": one.kind,
                "tensors": one.tensors,
                "bytes": {codec: crossing_bytes(one, codec) for codec in CODECS},
                "macs_before": one.macs_before,
                "macs_after": one.macs_after,
                "tolerance": one.tolerance,
            }
            for one in found.offered
        ],
        "refused": [{"name": one.name, "why": one.why} for one in found.refused],
    }


def _drawn(source: "GraphSource", found: "Boundaries", form: str) -> bytes:
    """The picture of them."""
    from offramp.charts.cuts import Place, cuts
    from offramp.charts.sheet import as_png, as_svg

    places = [
        Place(
            100 * one.macs_before / found.macs, crossing_bytes(one, DRAWN), one.name, one.at == "end",
            len(one.tensors) > 1,
        )
        for one in found.offered
    ]  # fmt: skip
    conditions = [f"{source.origin}", f"{found.macs:,} multiply-adds", f"{source.classes} classes"]
    figure = cuts(conditions, "Where it can be cut", places, _own(source), DRAWN)
    return as_svg(figure).encode() if form == ".svg" else as_png(figure)


def _own(source: "GraphSource") -> tuple[str, int]:
    """What the input is, and the bytes of one sample of it: of what may be an image, an 8-bit one."""
    first = next(iter(source.inputs.values()))
    values = sum(prod(info.shape) for info in source.inputs.values())
    image = len(first.shape) == 3 and first.dtype.kind == "f"
    return ("an 8-bit image", values) if image else ("the input as fp32", 4 * values)
