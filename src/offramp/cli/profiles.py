"""The verb profile: what a bundle's parts take on this device, or what lies between here and a cloud."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from offramp.artifacts.codec import CODECS
from offramp.artifacts.document import check_output
from offramp.cli import completion
from offramp.cli.console import console
from offramp.cli.frame import app, credentials_of
from offramp.cli.options import OwnCert, OwnKey, PrecisionName, RuntimeName, Threads, TlsCa, TokenFile
from offramp.errors import InputError
from offramp.progress import waiting

if TYPE_CHECKING:
    from offramp.artifacts.document import Document
    from offramp.artifacts.manifest import Manifest
    from offramp.artifacts.profile import LinkProfile, Profile, Spread


@app.command()
def profile(
    bundle: Annotated[Path, typer.Argument(help="Folder that `offramp export` wrote.")],
    out: Annotated[
        Path | None, typer.Option(help="Where to write. Default: profile.json, or with --cloud link.json.")
    ] = None,
    runtime: RuntimeName = "auto",
    precision: PrecisionName = "auto",
    threads: Threads = 0,
    cores: Annotated[
        float | None,
        typer.Option(help="Hold the edge to such a share of one core, like 0.25, as the device to be deployed has."),
    ] = None,
    batch: Annotated[list[int] | None, typer.Option(help="Sizes to time; repeat. Default: 1, 8 and 32.")] = None,
    rounds: Annotated[int | None, typer.Option(min=4, help="Of the measurement. Default: 20, or 40 of a link.")] = None,
    bound: Annotated[
        float | None,
        typer.Option(help="Write nothing that varies by a larger share of its median. Default: 0.5."),
    ] = None,
    cloud: Annotated[
        str | None, typer.Option(help="HOST:PORT of a cloud with this bundle: measure the link to it instead.")
    ] = None,
    link: Annotated[
        str | None,
        typer.Option(help="Reach it over such a link: lan, wifi, 10mbit,20ms …", autocompletion=completion.links),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the document, not a table.")] = False,
    tls_ca: TlsCa = None, tls_cert: OwnCert = None, tls_key: OwnKey = None, token_file: TokenFile = None,
) -> None:  # fmt: skip
    """Measure what a bundle's parts take on this device, or the link from here to a cloud, for `offramp plan`."""
    from offramp.artifacts.bundle import Bundle
    from offramp.bench.device import Wanted, profile_device
    from offramp.bench.link import ROUNDS, profile_link
    from offramp.link.shape import LinkShape

    out = out or Path("profile.json" if cloud is None else "link.json")
    check_output(out)
    credentials = credentials_of(tls_ca, tls_cert, tls_key, token_file)
    given: dict[str, Any] = {"rounds": rounds, "bound": bound, "batches": tuple(batch) if batch else None}
    device = {"--cores": cores, "--batch": batch, "--bound": bound, "--threads": threads or None}
    if cloud is None and (link is not None or credentials is not None):
        raise InputError(
            "link: there is no cloud to measure it to. Name one (--cloud HOST:PORT); a plan takes a link's name as it "
            "is: offramp plan BUNDLE --link wifi"
        )
    if cloud is not None and (wrong := [name for name, value in device.items() if value is not None]):
        raise InputError(f"{wrong[0]}: of a device, and with --cloud the link is measured. Leave one of the two out.")
    opened = Bundle.open(bundle)
    with waiting() as watching:
        if cloud is not None:
            over = None if link is None else LinkShape.parse(link)
            between = profile_link(
                opened, cloud, over, rounds=rounds or ROUNDS, credentials=credentials, watch=watching.at
            )
            _say(between, out, _link_table(between), as_json)
            return
        wanted = Wanted(runtime, precision, threads, cores, **{key: value for key, value in given.items() if value})
        found = profile_device(opened, wanted, watching.at)
    _say(found, out, _device_table(found, opened.manifest), as_json)


def _say(found: "Document", out: Path, table: Table, as_json: bool) -> None:
    """Write the document, and print it or what of it people want to see."""
    found.write(out)
    if as_json:
        print(found.to_json(), end="")
    else:
        console.print(table)
        print(f"{out}: written")


def _device_table(found: "Profile", manifest: "Manifest") -> Table:
    """A row an exit or cut: the span to it, a request that is answered there, and one that goes on from there."""
    held = "" if found.share is None else f", held to {found.share:g} of a core"
    table = Table(
        title=f"{found.model}, {found.runtime} {found.precision}, {found.threads} threads{held}",
        caption="ms of one sample, median over rounds. span: from the image to there, with the head. answered: a whole "
        "request by gRPC that is answered there. goes on: one that leaves there for a cloud beside the edge, the "
        "cloud's call in it.",
    )
    codecs = sorted({one.codec for one in found.crossings}, key=CODECS.index)
    for name in ("exit or cut", "span", "answered", *(f"goes on, {codec}" for codec in codecs), "cloud's call"):
        table.add_column(name, justify="right")
    spans = {
        one.end: one.ms
        for one in found.spans
        if one.start == 0 and one.head and one.gives in (None, "fp32") and one.takes == "fp32"
        and (one.batch, one.threads) == (1, found.threads)
    }  # fmt: skip
    answers = {one.exit: one.ms for one in found.answers if one.way == "grpc"}
    crossings = {(one.cut, one.codec): one for one in found.crossings}
    for place in (0, *manifest.exits):
        went = [crossings[place, codec] for codec in codecs if (place, codec) in crossings]
        calls = [one.call_ms.median for one in went]
        onward = ["-"] * len(codecs) if not went else [_ms(one.ms) for one in went]
        alone = f"{min(calls):.3g} to {max(calls):.3g}" if calls else "-"
        table.add_row(str(place), _ms(spans.get(place)), _ms(answers.get(place)), *onward, alone)
    return table


def _link_table(found: "LinkProfile") -> Table:
    """A link, in one row."""
    table = Table("up", "down", "round trip", "jitter", "stalls", title=found.between)
    table.caption = f"Beyond the same calls without it; {found.round_trips} round trips."
    rates = ("more than can be told" if rate is None else f"{rate / 1e6:.3g} Mbit/s" for rate in (found.up, found.down))
    stalls = f"{found.stalls}, {found.longest_ms:.3g} ms at most" if found.stalls else "none"
    table.add_row(*rates, f"{found.round_trip_ms:.3g} ms", f"{found.jitter_ms:.3g} ms", stalls)
    return table


def _ms(spread: "Spread | None") -> str:
    return "-" if spread is None else f"{spread.median:.3g}"
