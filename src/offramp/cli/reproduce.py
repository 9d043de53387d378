"""The verb that measures everything: reproduce."""

from pathlib import Path
from typing import Annotated

import typer

from offramp.cli.frame import app, console, needs_torch
from offramp.cli.options import Out


@app.command()
def reproduce(
    suite: Annotated[
        Path | None,
        typer.Argument(help="Folder of `offramp suite`. Default: OUT/suite, the digits, trained first."),
    ] = None,
    out: Out = Path("reproduction"),
    sections: Annotated[
        str, typer.Option(help="What to measure: a list of paper, baselines, drop, bandwidth, cores, reply.")
    ] = "all",
    link: Annotated[
        str, typer.Option(help="Between edge and cloud: loopback, lan, wifi, lte, 3g, satellite, or like 10mbit,20ms.")
    ] = "loopback",
    repeats: Annotated[int, typer.Option(min=1, help="How often each setup is measured.")] = 3,
    samples: Annotated[
        int, typer.Option(min=1, help="Test samples a setup, at most; the paper's section takes all.")
    ] = 1_024,
    batch_size: Annotated[int, typer.Option(min=1)] = 32,
    data: Annotated[str | None, typer.Option(help="Where the suite's data lies now. Default: where it lay.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the suite's runs. Default: the lowest.")] = None,
    edge: Annotated[
        str | None, typer.Option(help="HOST:PORT of an edge that runs already, with every bundle of the suite.")
    ] = None,
    cloud: Annotated[str | None, typer.Option(help="HOST:PORT of its cloud, as this node reaches it.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in OUT.")] = False,
    prepare: Annotated[
        bool, typer.Option("--prepare", help="Only export the suite's bundles, for nodes on other machines.")
    ] = False,
) -> None:
    """Measure the paper's whole evaluation on running nodes, and write the report."""
    from offramp.bench.networks import networks, open_suite
    from offramp.bench.reproduce import Settings
    from offramp.bench.reproduce import reproduce as run
    from offramp.bench.setups import SECTIONS
    from offramp.errors import InputError
    from offramp.report.reproduction_page import write_reproduction

    if cloud is not None and edge is None:
        raise InputError("cloud: named without an edge. Give --edge HOST:PORT too, or neither to start both here.")
    folder = suite
    if folder is None:
        needs_torch("reproduce without a suite")
        folder = out / "suite"
        _train_digits(folder)
    if prepare:
        found = networks(folder, open_suite(folder), seed=seed, data=data)
        console.print(f"{folder}: {len(found)} bundles ready: {', '.join(found)}", highlight=False)
        return
    settings = Settings(
        suite=folder,
        out=out,
        data=data,
        seed=seed,
        sections=SECTIONS if sections == "all" else tuple(name.strip() for name in sections.split(",")),
        link=link,
        repeats=repeats,
        samples=samples,
        batch_size=batch_size,
        resume=resume,
        edge=edge,
        cloud=cloud,
    )
    document = run(settings, console)
    written = write_reproduction(document, out)
    agreed = document.agreement
    console.print(
        f"{len(document.rows)} setups measured, {len(document.left)} left; {agreed.compared:,} answers held against "
        f"the offline evaluation, {agreed.differing} differ. {document.seconds:.0f} s. Report: {written[0]}",
        highlight=False,
    )


def _train_digits(folder: Path) -> None:
    from offramp.bench.budget import Clock
    from offramp.bench.suite import run_suite, suite_settings
    from offramp.train.recipe import recipe

    settings = suite_settings(
        data="digits", preset_name="tiny", recipe=recipe("digits"), models="all", regimes="joint", seeds="0"
    )
    run_suite(settings, folder, clock=Clock(None), console=console, threads=1)
