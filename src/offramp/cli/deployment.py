"""A plan shown: its tiers, spans, exits, codecs and bytes, as a table and as a picture. A part of the verb show."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from offramp.artifacts.document import check_output, read_bytes, write_bytes
from offramp.cli.console import console
from offramp.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from offramp.report.deployment import Shown

FORMS = (".svg", ".png")
NUMBERS = 4  # the first column of numbers


def showed_plan(model: str, bundle: Path | None, predictions: Path | None, picture: Path | None) -> bool:
    """Show it, if it is a plan's file; InputError where it is none, and what is of a plan alone was said."""
    if is_plan(Path(model)):
        show_plan(Path(model), bundle, predictions, picture)
        return True
    of_plan = {"bundle": bundle, "predictions": predictions, "picture": picture}
    if said := [name for name, path in of_plan.items() if path is not None]:
        raise InputError(f"--{said[0]}: of a plan alone, and {model} is none. Leave it out, or show a plan's file.")
    return False


def is_plan(path: Path) -> bool:
    """Whether a file is a plan's: it says so itself."""
    if not path.is_file():
        if path.suffix == ".json" and not path.exists():
            read_bytes(path)  # says that there is no such file: no model is called so
        return False
    try:
        found = json.loads(read_bytes(path))
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict) and found.get("format") == "offramp.plan":
        return True
    raise InputError(
        f"{path}: a file, and none of a plan. Expected a model's name, the folder of a checkpoint or a bundle, or a "
        "plan's file, such as plan.json of: offramp plan"
    )


def show_plan(path: Path, bundle: Path | None, predictions: Path | None, picture: Path | None) -> None:
    """Print a plan's tiers and hops, and draw them where a picture is asked for."""
    from offramp.artifacts.bundle import Bundle
    from offramp.artifacts.plan import Plan
    from offramp.artifacts.predictions import Predictions
    from offramp.report.deployment import COLUMNS, deployment, rows_of

    if picture is not None:
        if picture.suffix not in FORMS:
            raise InputError(f"picture {picture}: expected a file that ends in {' or '.join(FORMS)}.")
        check_output(picture)
    plan = Plan.load(path)
    manifest = None if bundle is None else Bundle.open(bundle).manifest
    table = None if predictions is None else Predictions.read(predictions)
    if manifest is not None and table is not None and table.header.source != f"bundle:{manifest.id}":
        raise InputError(
            f"{predictions}: of {table.header.source[:24]}…, and the bundle is {manifest.id[:16]}…. Measure its own: "
            f"offramp predict BUNDLE --plan {path}"
        )
    tiers = deployment(plan, manifest, table)
    about = [f"leaves by {plan.score}"]
    about += [] if manifest is None else [f"{manifest.model}, bundle {manifest.id[:16]}"]
    if table is not None:
        about.append(f"{len(table)} samples of {table.header.data} ({table.header.split})")
    title = f"{path.name}: {' → '.join(tier.name for tier in tiers)}"
    shown = Table(title=title, caption="; ".join(about))
    rows = rows_of(tiers)
    kept = [place for place in range(len(COLUMNS)) if any(row[place] for row in rows)]
    for place in kept:
        shown.add_column(COLUMNS[place], justify="right" if place >= NUMBERS else "left", no_wrap=not place)
    for row in rows:
        shown.add_row(*(row[place] for place in kept))
    console.print(shown)
    if picture is not None:
        write_bytes(picture, _drawn(title, about, tiers, picture.suffix))
        print(f"{picture}: drawn")


def _drawn(title: str, about: "Sequence[str]", tiers: "Sequence[Shown]", form: str) -> bytes:
    from offramp.charts.chain import Arrow, Box, chain
    from offramp.charts.sheet import as_png, as_svg

    boxes = []
    for tier in tiers:
        stages = 0 if tier.end is None else max(tier.end - tier.start, 0)
        lines = list(tier.leaving)
        lines += [] if tier.macs is None else [f"{tier.macs / 1e6:.3g} M multiply-adds"]
        if tier.answers is not None:
            right = "" if tier.right is None else f", right {100 * tier.right:.1f} %"
            lines.append(f"answers {100 * tier.answers:.1f} %{right}")
        exits = [one.exit - tier.start for one in tier.left] + ([stages] if tier.ends else [])
        boxes.append(Box(tier.name, tier.runs, stages, tuple(exits), tuple(lines)))
    hops = [tier.hop for tier in tiers if tier.hop is not None]
    arrows = [
        Arrow(
            (f"boundary {hop.cut}" if hop.cut else "the input", f"in {hop.codec}"),
            (
                *(() if hop.size is None else (f"{hop.size:,} bytes",)),
                *(() if hop.onward is None else (f"{100 * hop.onward:.1f} % go on",)),
            ),
        )
        for hop in hops
    ]
    figure = chain(about, title, boxes, arrows)
    return as_svg(figure).encode() if form == ".svg" else as_png(figure)
