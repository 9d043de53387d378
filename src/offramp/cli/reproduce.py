"""The verbs that go from networks to a report: reproduce, and demo, its first section on the digits."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from offramp.artifacts.document import check_output
from offramp.cli import completion
from offramp.cli.console import console
from offramp.cli.frame import app, credentials_of, needs_torch
from offramp.cli.options import Out, OwnCert, OwnKey, Seed, TlsCa, TokenFile
from offramp.cli.reproduce_tiers import Asked as Chains
from offramp.cli.reproduce_tiers import prepare_tiers, reproduce_tiers
from offramp.errors import InputError

if TYPE_CHECKING:
    from offramp.paper.run import Settings

Sections = Annotated[
    str,
    typer.Option(
        help="What to measure: a list of paper, baselines, drop, bandwidth, cores, reply, planner.",
        autocompletion=completion.list_of(completion.sections),
    ),
]
LinkName = Annotated[
    str,
    typer.Option(
        help="Between edge and cloud: loopback, lan, wifi, lte, 3g, satellite, or like 10mbit,20ms.",
        autocompletion=completion.links,
    ),
]
SuiteFolder = Annotated[
    Path | None, typer.Argument(help="Folder of `offramp suite`. Default: OUT/suite, the digits, trained first.")
]
Repeats = Annotated[int, typer.Option(min=1, help="How often each setup is measured.")]
Samples = Annotated[int, typer.Option(min=1, help="Test samples a setup, at most; the paper's section takes all.")]
Data = Annotated[str | None, typer.Option(help="Where the suite's data lies now. Default: where it lay.")]
RunSeed = Annotated[int | None, typer.Option(help="Of the suite's runs. Default: the lowest.")]
EdgeAt = Annotated[
    str | None, typer.Option(help="HOST:PORT of an edge that runs already, with every bundle of the suite.")
]
CloudAt = Annotated[str | None, typer.Option(help="HOST:PORT of its cloud, as this node reaches it.")]
Tiers = Annotated[int, typer.Option(min=2, max=3, help="3: device, edge and cloud, and when a third tier pays.")]
DeviceAt = Annotated[
    list[str] | None,
    typer.Option(help="HOST:PORT of a device that runs already, of --tiers 3; repeat for several chains."),
]
DeviceLink = Annotated[
    str, typer.Option(help="Between such a device and its edge, for the record.", autocompletion=completion.links)
]
Prepare = Annotated[
    bool, typer.Option("--prepare", help="Only export the suite's bundles, for nodes on other machines.")
]
NINE = ",".join([*(f"sem-{k}" for k in range(1, 9)), "mem"])  # the paper's models


@app.command()
def demo(
    out: Out = Path("demo-results"),
    full: Annotated[bool, typer.Option("--full", help="Train longer: 30 epochs instead of 12.")] = False,
    seed: Seed = 0,
) -> None:
    """Train the paper's nine models on the digits, run them on an edge and a cloud, and write a report."""
    needs_torch("demo")
    check_output(out, folder=True)
    measure_digits(out, NINE, epochs=30 if full else None, seed=seed)


def measure_digits(out: Path, models: str, *, epochs: int | None = None, seed: int = 0) -> None:
    """Train models on the digits where they are not, measure the paper's section of them, print a row a setup."""
    from offramp.paper.reproduction import ROWS
    from offramp.paper.run import Settings

    suite = out / "suite"
    _train_digits(suite, models, epochs=epochs, seed=seed)
    (out / ROWS).unlink(missing_ok=True)  # it is short: it measures anew each time
    _measure(Settings(suite=suite, out=out, seed=seed, sections=("paper",)), table=True)


@app.command()
def reproduce(
    suite: SuiteFolder = None,
    out: Out = Path("reproduction"),
    sections: Sections = "all",
    link: LinkName = "loopback",
    repeats: Repeats = 3,
    samples: Samples = 1_024,
    batch_size: Annotated[int, typer.Option(min=1)] = 32,
    data: Data = None,
    seed: RunSeed = None,
    edge: EdgeAt = None,
    cloud: CloudAt = None,
    tiers: Tiers = 2,
    device: DeviceAt = None,
    device_link: DeviceLink = "loopback",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in OUT.")] = False,
    prepare: Prepare = False,
    tls_ca: TlsCa = None, tls_cert: OwnCert = None, tls_key: OwnKey = None, token_file: TokenFile = None,
) -> None:  # fmt: skip
    """Measure the paper's whole evaluation on running nodes, and write the report."""
    from offramp.paper.run import Settings
    from offramp.paper.setups import SECTIONS

    if cloud is not None and edge is None:
        raise InputError("cloud: named without an edge. Give --edge HOST:PORT too, or neither to start both here.")
    credentials = credentials_of(tls_ca, tls_cert, tls_key, token_file)
    if credentials is not None and edge is None:
        raise InputError("credentials: are for nodes that run already. Name them: --edge HOST:PORT --cloud HOST:PORT.")
    check_output(out, folder=True)
    folder = suite
    if folder is None:
        needs_torch("reproduce without a suite")
        folder = out / "suite"
        _train_digits(folder)
    if prepare:
        _prepare(folder, seed, data)
    if tiers == 3:
        if prepare:
            prepare_tiers(folder, seed, data)
            return
        reproduce_tiers(
            Chains(folder, out, data, seed, repeats, samples, tuple(device or ()), near=device_link, far=link)
        )
        return
    if device:
        raise InputError(f"device {device[0]}: of three tiers. Ask for them as well: --tiers 3")
    if prepare:
        return
    wanted = SECTIONS if sections == "all" else tuple(name.strip() for name in sections.split(","))
    settings = Settings(
        suite=folder, out=out, data=data, seed=seed, sections=wanted, link=link, repeats=repeats, samples=samples,
        batch_size=batch_size, resume=resume, edge=edge, cloud=cloud, credentials=credentials,
    )  # fmt: skip
    _measure(settings)


def _prepare(folder: Path, seed: int | None, data: str | None) -> None:
    from offramp.artifacts.suite import open_suite
    from offramp.paper.networks import networks

    ready = networks(folder, open_suite(folder), seed=seed, data=data)
    console.print(f"{folder}: {len(ready)} bundles ready: {', '.join(ready)}", highlight=False)


def _measure(settings: "Settings", *, table: bool = False) -> None:
    from offramp.bench.table import Line, measurements_table
    from offramp.paper.finding import finding
    from offramp.paper.reproduction_page import write_report
    from offramp.paper.run import reproduce as run
    from offramp.paper.view import View, as_in_the_paper

    document = run(settings, console)
    report, agreed = write_report(settings.out)[0], document.agreement
    if table:
        rows = as_in_the_paper(document)
        lines = (Line(row.setup.model, row.setup.plan, row.outcome, row.p50, row.bytes_to_cloud) for row in rows)
        console.print(measurements_table(lines, "edge and cloud processes on this machine"))
    console.print(finding(View.of(document)), highlight=False)
    console.print(
        f"{len(document.rows)} setups measured, {len(document.left)} left; {agreed.compared:,} answers held against "
        f"the offline evaluation, {agreed.differing} differ. {document.seconds:.0f} s. Report: {report}",
        highlight=False,
    )


def _train_digits(folder: Path, models: str = "all", *, epochs: int | None = None, seed: int = 0) -> None:
    from offramp.paper.stated import THRESHOLDS
    from offramp.suite.budget import Clock
    from offramp.suite.run import run_suite, suite_settings
    from offramp.train.recipe import recipe

    settings = suite_settings(
        data="digits",
        preset_name="tiny",
        recipe=recipe("digits").but(epochs=epochs),
        models=models,
        regimes="joint",
        seeds=str(seed),
    )
    # On one thread: a batch of 32 small images is too little work to share. A SEM trained at 2,100 images/s on one, at
    # 2,200 on two of two free cores, and at 220 on two where somebody else used one of the cores.
    run_suite(settings, folder, thresholds=THRESHOLDS, clock=Clock(None), console=console, threads=1)
