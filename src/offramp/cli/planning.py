"""The verb plan: what to deploy, of predictions, profiles and a link; as a table, as documents, and as a page."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from offramp.artifacts.document import check_output
from offramp.cli import completion
from offramp.cli.console import Printer, console, print_choice
from offramp.cli.frame import app
from offramp.cli.options import RecordedData
from offramp.cli.planning_asked import Asked, Given
from offramp.cli.planning_chain import Third, plan_chain
from offramp.cli.planning_inputs import gathered
from offramp.cli.quantities import milliseconds, share
from offramp.cli.verifying import shape_to_run, verified

if TYPE_CHECKING:
    from offramp.report.plan_words import Outcome

OWN = "`offramp profile` measures it there."
Validated = Annotated[
    list[Path] | None,
    typer.Option("--predictions", help="Of validation or calibration, by `offramp predict`; repeat. Or --data."),
]
EdgeProfile = Annotated[Path | None, typer.Option("--profile", help=f"The edge's. {OWN}")]
CloudProfile = Annotated[Path | None, typer.Option("--cloud-profile", help=f"The cloud's. {OWN} Default: the edge's.")]
Link = Annotated[
    str | None,
    typer.Option(
        help="lan, wifi, lte, 3g, satellite, 10mbit,20ms …, a file of `offramp profile --cloud`, or none: no cloud.",
        autocompletion=completion.links,
    ),
]
DeviceProfile = Annotated[
    Path | None, typer.Option(help=f"Of a third tier, a device before the edge: plan a chain of three. {OWN}")
]
DeviceLink = Annotated[
    str | None, typer.Option(help="Between device and edge, as --link.", autocompletion=completion.links)
]
DirectLink = Annotated[
    str | None,
    typer.Option(
        help="Between device and cloud, past the edge. Default: only through it.", autocompletion=completion.links
    ),
]
MaxLoss = Annotated[
    str | None,
    typer.Option(help="Of accuracy, below the last exit's, like 1%. Default: 1%; none with a bound."),
]
Confidence = Annotated[str | None, typer.Option(help="Promise --max-loss with it, like 95%. Default: no promise.")]
PromiseKind = Annotated[str, typer.Option("--promise", help="accuracy, agreement (needs no labels) or conditional.")]
Deadline = Annotated[str | None, typer.Option(help="For 95 % of the samples, like 50ms.")]
Bytes = Annotated[float | None, typer.Option("--bytes", help="To the cloud, a sample in the mean, at most.")]
CloudMs = Annotated[float | None, typer.Option(help="Of the cloud's time, a sample in the mean, at most.")]
Least = Annotated[
    str | None,
    typer.Option(
        "--minimise",
        help="latency, p95, bytes, cloud, macs or loss. Default: latency; loss where a bound is given and no loss.",
        autocompletion=completion.one_of("latency", "p95", "bytes", "cloud", "macs", "loss"),
    ),
]
Score = Annotated[str, typer.Option(help="entropy, max-probability, margin, or auto: the best of them on validation.")]
Cascade = Annotated[Path | None, typer.Option(help="Another bundle, whose network may finish with the image.")]
CascadePredictions = Annotated[Path | None, typer.Option(help="Its own, of the same samples.")]
CascadeProfile = Annotated[Path | None, typer.Option(help="Its own, of the cloud.")]
Report = Annotated[list[Path] | None, typer.Option(help="Predictions of test: say what the choice comes to; repeat.")]
Written = Annotated[Path, typer.Option(help="Where to write the plan.")]
ChoicesFile = Annotated[
    Path | None, typer.Option("--choices", help="Write the plans that an edge chooses among: serve edge --follow.")
]
Page = Annotated[Path | None, typer.Option(help="A folder for a page: latency, accuracy and bytes of the plans.")]
Verify = Annotated[
    bool,
    typer.Option("--verify", help="Then run the plans here, over that link, and show how far off the predictions are."),
]


@app.command()
def plan(
    bundle: Annotated[Path, typer.Argument(help="Folder of the network that is deployed.")],
    predictions: Validated = None,
    data: RecordedData = None,
    profile: EdgeProfile = None,
    cloud_profile: CloudProfile = None,
    link: Link = None,
    device_profile: DeviceProfile = None,
    device_link: DeviceLink = None,
    direct_link: DirectLink = None,
    max_loss: MaxLoss = None,
    confidence: Confidence = None,
    promise: PromiseKind = "accuracy",
    deadline: Deadline = None,
    bytes_: Bytes = None,
    cloud_ms: CloudMs = None,
    minimise: Least = None,
    score: Score = "entropy",
    cascade: Cascade = None,
    cascade_predictions: CascadePredictions = None,
    cascade_profile: CascadeProfile = None,
    report: Report = None,
    out: Written = Path("plan.json"),
    choices: ChoicesFile = None,
    page: Page = None,
    verify: Verify = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Choose what to deploy: exits, thresholds, cuts, codecs, two tiers or three, or no cloud; with what that gives."""
    for path in (out, choices):
        check_output(path)
    check_output(page, folder=True)
    if verify:
        shape_to_run(link)
    asked = Asked.of(
        minimise, share("max loss", max_loss), milliseconds("deadline", deadline, 1e-3), bytes_, cloud_ms,
        share("confidence", confidence), promise, score,
    )  # fmt: skip
    given = Given(
        bundle, tuple(predictions or ()), data, profile, cloud_profile, link, cascade, cascade_predictions,
        cascade_profile, tuple(report or ()),
    )  # fmt: skip
    if third := Third(device_profile, device_link, direct_link):
        unlike = {"choices": choices, "page": page, "verify": verify, "cascade": cascade}
        plan_chain(given, asked, third, out, unlike, as_json)
        return
    outcome, ready, tests, source = gathered(given, asked, choices is not None)
    print(json.dumps(_document(outcome, tests), indent=2)) if as_json else _print(outcome, tests)
    _write(outcome, ready, out, choices, page)
    if verify:
        Printer(stderr=True, width=console.width).print(verified(given, outcome, source))


def _write(outcome: "Outcome", ready: Any, out: Path, choices: Path | None, page: Path | None) -> None:
    outcome.plan.write(out)
    mine = outcome.deployed
    cloud = " --cloud HOST:PORT" if outcome.plan.first.hands_on(outcome.chosen.table.last) else ""
    cloud += f" --cloud-version {mine.crossing.other}" if mine.crossing.other else ""
    print(f"{out}: the plan; serve it by: offramp serve edge BUNDLE --plan {out}{cloud}", file=sys.stderr)
    if choices is not None:
        ready.write(choices)
        count = len(ready.plans)
        print(f"{choices}: {count} plan{'s' * (count != 1)} for an edge to choose among", file=sys.stderr)
    if page is not None:
        from offramp.report.plan_page import write_plan_page

        written, *beside = write_plan_page(outcome, page)
        print(f"{written}: page; beside it: {', '.join(path.name for path in beside)}", file=sys.stderr)


def _print(outcome: "Outcome", tests: list[str]) -> None:
    from offramp.report.plan_words import COLUMNS, PREDICTED, SAYS, answer, asked, rows_of

    chosen = outcome.chosen
    header = chosen.samples.plain.header
    console.print(
        f"{header.model}, {header.data} ({header.split}), {len(chosen.table)} samples; {len(chosen.scan):,} plans "
        f"priced. Asked for: {asked(chosen.goal, chosen.whole)}",
        highlight=False,
    )
    table = Table(caption=SAYS)
    for name in COLUMNS:
        number = name in PREDICTED
        table.add_column(
            f"predicted\n{name}" if number else f"\n{name}", justify="right" if number else "left", no_wrap=number
        )
    print_choice(table, rows_of(outcome), [*answer(outcome), *tests])


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
