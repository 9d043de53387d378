"""The verb evaluate: plans held against predictions, in a terminal, as JSON, and as a page."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from offramp.artifacts.document import check_output
from offramp.cli.console import console
from offramp.cli.options import Drop
from offramp.cli.plans import CodecSaid, Cut, Exits, PlanFile, Said, ScoreSaid, Thresholds, each_plan, one_plan

if TYPE_CHECKING:
    from offramp.artifacts.predictions import Predictions
    from offramp.exits.evaluation import Evaluated


def evaluate(
    predictions: Annotated[Path, typer.Argument(help="File that `offramp predict` wrote.")],
    exit_: Exits = None,
    threshold: Thresholds = None,
    cut: Cut = None,
    codec: CodecSaid = None,
    score: ScoreSaid = None,
    drop_threshold: Drop = None,
    plan: PlanFile = None,
    each: Annotated[
        bool,
        typer.Option(
            "--each",
            help="A row for each exit at each threshold, every one a plan of its own; without an exit, of all, without "
            "a threshold, at the paper's. So it is where nothing is said.",
        ),
    ] = False,
    plots: Annotated[
        Path | None, typer.Option(help="A folder for a page: risk against coverage, and what classes are taken for.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Give the paper's measures from predictions, without running anything; a plan as `serve edge` reads it."""
    from offramp.artifacts.predictions import Predictions
    from offramp.exits.evaluation import Evaluated

    check_output(plots, folder=True)
    said = Said(
        plan=plan, exits=tuple(exit_ or ()), thresholds=tuple(threshold or ()), cut=cut, codec=codec, score=score,
        drop=drop_threshold,
    )  # fmt: skip
    table = Predictions.read(predictions)
    header = table.header
    one = not each and (said.plan is not None or {"--exit", "--threshold", "--cut"} & said.options.keys())
    plans = [one_plan(said, header)] if one else each_plan(said, header)
    found = [Evaluated.of(table, by) for by in plans]
    if header.precision != "fp32" and not all(header.follows(by) for by in plans):
        print(
            f"note: in {header.precision} a network that is cut gives other numbers than {header.route}, and nodes "
            f"answer a few samples otherwise. For theirs: {header.measure_by(plans[0])}",
            file=sys.stderr,
        )
    if as_json:
        print(json.dumps([_document(header.model, each_) for each_ in found], indent=2))
    else:
        _print(table, found)
    if plots is not None:
        from offramp.report.evaluation_page import write_evaluation

        page, *beside = write_evaluation(table, found, plots)
        print(f"{page}: page; beside it: {', '.join(path.name for path in beside)}", file=sys.stderr)


def _document(model: str, found: "Evaluated") -> dict[str, Any]:
    from offramp.report.evaluation_words import intervals

    by = found.plan
    return {
        "model": model, "exit": by.exit, "threshold": by.threshold, **found.outcome.model_dump(),
        "intervals": intervals(found), "forwarded_accuracy": found.forwarded, "plan": by.model_dump(mode="json"),
    }  # fmt: skip


def _print(predictions: "Predictions", found: "list[Evaluated]") -> None:
    from offramp.report.evaluation_words import COLUMNS, SAYS, cells, everyone

    header = predictions.header
    asked = ", ".join(f"{k}: {right}" for k, right in everyone(predictions).items())
    console.print(
        f"{header.model}, {header.data} ({header.split}), {len(predictions)} samples. Every sample at each exit, %: "
        f"{asked}",
        highlight=False,
    )  # fmt: skip
    table = Table(*COLUMNS, caption=SAYS)
    for each in found:
        table.add_row(*cells(each))
    console.print(table)
