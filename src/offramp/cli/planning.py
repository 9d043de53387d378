"""The verb plan: what to deploy, of predictions, profiles and a link; as a table, as documents, and as a page."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from offramp.artifacts.document import check_output
from offramp.cli import completion
from offramp.cli.frame import app, console
from offramp.cli.options import RecordedData
from offramp.cli.planning_inputs import Asked, Given, gathered
from offramp.cli.quantities import milliseconds, share

if TYPE_CHECKING:
    from offramp.report.plan_words import Outcome

OF = "A device's own; `offramp profile` measures it."


@app.command()
def plan(
    bundle: Annotated[Path, typer.Argument(help="Folder of the network that is deployed.")],
    predictions: Annotated[
        list[Path] | None,
        typer.Option(help="Of the validation or calibration split, by `offramp predict`; repeat. Or give --data."),
    ] = None,
    data: RecordedData = None,
    profile: Annotated[Path | None, typer.Option(help=f"Of the edge. {OF}")] = None,
    cloud_profile: Annotated[Path | None, typer.Option(help="Of the cloud. Default: the edge's.")] = None,
    link: Annotated[
        str | None,
        typer.Option(
            help="lan, wifi, lte, 3g, satellite, 10mbit,20ms …, a file of `offramp profile --cloud`, or none: no cloud.",
            autocompletion=completion.links,
        ),
    ] = None,
    max_loss: Annotated[
        str | None, typer.Option(help="Of accuracy, below the last exit's, like 1%. Default: 1%, but with a bound none.")
    ] = None,
    confidence: Annotated[
        str | None, typer.Option(help="With which --max-loss is promised, like 95%. Default: it is not promised.")
    ] = None,
    promise: Annotated[
        str, typer.Option(help="accuracy, agreement (needs no labels) or conditional: what is promised.")
    ] = "accuracy",
    deadline: Annotated[str | None, typer.Option(help="For 95 % of the samples, like 50ms.")] = None,
    bytes_: Annotated[float | None, typer.Option("--bytes", help="To the cloud, a sample in the mean.")] = None,
    cloud_ms: Annotated[float | None, typer.Option(help="Of the cloud's time, a sample in the mean.")] = None,
    minimise: Annotated[
        str | None,
        typer.Option(
            help="latency, p95, bytes, cloud, macs or loss. Default: latency; loss where a bound is given and no loss.",
            autocompletion=completion.one_of("latency", "p95", "bytes", "cloud", "macs", "loss"),
        ),
    ] = None,
    score: Annotated[
        str,
        typer.Option(help="entropy, max-probability, margin, or auto: the best of them on validation."),
    ] = "entropy",
    cascade: Annotated[
        Path | None, typer.Option(help="Another bundle, whose network may finish with the image in the cloud.")
    ] = None,
    cascade_predictions: Annotated[Path | None, typer.Option(help="Its own, of the same samples.")] = None,
    cascade_profile: Annotated[Path | None, typer.Option(help="Its own, of the cloud.")] = None,
    report: Annotated[
        list[Path] | None, typer.Option(help="Predictions of test, to say what the choice comes to there; repeat.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where to write the plan.")] = Path("plan.json"),
    choices: Annotated[
        Path | None, typer.Option(help="A file for the plans that an edge chooses among by itself (serve edge --follow).")
    ] = None,
    page: Annotated[Path | None, typer.Option(help="A folder for a page: latency, accuracy and bytes of the plans.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Choose what to deploy: exits, thresholds, cut and codec, or no cloud at all, with what that is predicted to give."""
    for path in (out, choices):
        check_output(path)
    check_output(page, folder=True)
    asked = Asked.of(
        minimise, share("max loss", max_loss), milliseconds("deadline", deadline, 1e-3), bytes_, cloud_ms,
        share("confidence", confidence), promise, score,
    )  # fmt: skip
    given = Given(
        bundle, tuple(predictions or ()), data, profile, cloud_profile, link, cascade, cascade_predictions,
        cascade_profile, tuple(report or ()),
    )  # fmt: skip
    outcome, ready, tests = gathered(given, asked, choices is not None)
    print(json.dumps(_document(outcome, tests), indent=2)) if as_json else _print(outcome, tests)
    _write(outcome, ready, out, choices, page)


def _write(outcome: "Outcome", ready: Any, out: Path, choices: Path | None, page: Path | None) -> None:
    outcome.plan.write(out)
    print(f"{out}: the plan; serve it by: offramp serve edge BUNDLE --plan {out}", file=sys.stderr)
    if choices is not None:
        ready.write(choices)
        print(f"{choices}: {len(ready.plans)} plans for an edge to choose among", file=sys.stderr)
    if page is not None:
        from offramp.report.plan_page import write_plan_page

        written, *beside = write_plan_page(outcome, page)
        print(f"{written}: page; beside it: {', '.join(path.name for path in beside)}", file=sys.stderr)


def _print(outcome: "Outcome", tests: list[str]) -> None:
    from offramp.report.plan_words import COLUMNS, PREDICTED, SAYS, answer, asked, rows_of

    chosen = outcome.chosen
    header = chosen.samples.plain.header
    console.print(
        f"{header.model}, {header.data} ({header.split}), {len(chosen.table)} samples; {len(chosen.scan):,} plans priced. "
        f"Asked for: {asked(chosen.goal, chosen.whole)}",
        highlight=False,
    )
    table = Table(caption=SAYS)
    for name in COLUMNS:
        table.add_column(f"predicted\n{name}" if name in PREDICTED else f"\n{name}", overflow="fold")
    rows = rows_of(outcome)
    for row in rows[:-1]:
        table.add_row(*row)
    table.add_section()
    table.add_row(*rows[-1])
    console.print(table)
    for sentence in [*answer(outcome), *tests]:
        console.print(sentence, highlight=False)


def _document(outcome: "Outcome", tests: list[str]) -> dict[str, Any]:
    from offramp.report.plan_words import answer

    chosen, mine = outcome.chosen, outcome.deployed
    return {
        "model": chosen.samples.plain.header.model,
        "samples": len(chosen.table),
        "priced": len(chosen.scan),
        "last_exit": chosen.whole,
        "plan": outcome.plan.model_dump(mode="json"),
        "predicted": mine.figures._asdict(),
        "baselines": [
            {
                "name": row.name, "predicted": row.figures._asdict(), "remark": row.remark,
                "plan": row.candidate and row.candidate.plan(chosen.score).model_dump(mode="json"),
            }
            for row in outcome.rows
        ],
        "answer": [*answer(outcome), *tests],
    }  # fmt: skip
