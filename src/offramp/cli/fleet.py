"""The verb fleet: how many replicas of a cloud a fleet of edges needs, predicted by simulation."""

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offramp.cli import completion
from offramp.cli.console import console
from offramp.cli.frame import app
from offramp.cli.planning_market import link_named
from offramp.cli.quantities import milliseconds, share
from offramp.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from offramp.artifacts.manifest import Manifest
    from offramp.artifacts.plan import Plan
    from offramp.plan.fleet import Balance, Fleet
    from offramp.plan.replica import Replica
    from offramp.plan.service import Service
    from offramp.plan.sizing import Bound
    from offramp.report.fleet_words import Sized

OWN = "`offramp profile` measures it there."
PlanFile = Annotated[Path, typer.Option(help="That every edge follows, of `offramp plan`.")]
Edges = Annotated[int, typer.Option(help="How many there are.")]
Rate = Annotated[float, typer.Option(help="Samples a second of each edge, in the mean; they come at random.")]
EdgeProfile = Annotated[Path, typer.Option("--profile", help=f"The edge's. {OWN}")]
CloudProfile = Annotated[
    Path | None, typer.Option(help=f"A replica's. {OWN} With --threads 1 it tells most. Default: the edge's.")
]
Link = Annotated[
    str | None,
    typer.Option(
        help="lan, wifi, lte, 3g, satellite, 10mbit,20ms …, or a file of `offramp profile --cloud`.",
        autocompletion=completion.links,
    ),
]
PredictionsFile = Annotated[
    Path | None, typer.Option("--predictions", help="Who goes on, by `offramp predict`. Or --onward.")
]
Onward = Annotated[str | None, typer.Option(help="Share of the samples that goes on, like 30%.")]
Within = Annotated[str | None, typer.Option(help="Look for the fewest replicas that answer in it, like 50ms.")]
Percentile = Annotated[float, typer.Option(help="Of the answers, that shall be within.")]
Replicas = Annotated[list[int] | None, typer.Option(help="Show so many as well; repeat.")]
Cores = Annotated[int, typer.Option(help="Of a replica: 1 is shared by the network and the node's own work.")]
Runners = Annotated[int, typer.Option(help="Batches that a replica runs at the same time.")]
BatchSize = Annotated[int, typer.Option(help="Of a replica, as of serve cloud.")]
Queue = Annotated[int, typer.Option(help="Of a replica, as of serve cloud.")]
PerRequest = Annotated[
    bool, typer.Option("--per-request", help="A proxy deals out requests. Else an edge stays with one replica.")
]
Samples = Annotated[int, typer.Option(min=100, help="That are simulated.")]
Seed = Annotated[int, typer.Option(help="Of when samples come, and which way they go.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def fleet(
    bundle: Annotated[Path, typer.Argument(help="Folder of the network that is deployed.")],
    plan: PlanFile, edges: Edges, rate: Rate, profile: EdgeProfile, cloud_profile: CloudProfile = None,
    link: Link = None, predictions: PredictionsFile = None, onward: Onward = None, within: Within = None,
    percentile: Percentile = 95.0, replicas: Replicas = None, cores: Cores = 1, runners: Runners = 1,
    batch_size: BatchSize = 64, queue: Queue = 256, per_request: PerRequest = False, samples: Samples = 20_000,
    seed: Seed = 0, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Predict what a fleet's answers take, by the number of a cloud's replicas, and how few keep a bound."""
    _needs_simpy()
    from offramp.plan.fleet import Fleet, simulate
    from offramp.plan.replica import Replica
    from offramp.plan.sizing import MOST, Bound
    from offramp.report.fleet_words import fleet_document, fleet_table, verdict

    seconds = milliseconds("within", within, 1e-3)
    bound = None if seconds is None else Bound(seconds, percentile)
    shown = replicas or []
    for number in shown:
        if not 1 <= number <= MOST:
            raise InputError(f"replicas {number}: expected at least 1, at most {MOST:,}.")
    model, service, ways = _read(bundle, plan, profile, cloud_profile, link, predictions, onward)
    asked, replica = Fleet(edges, rate, ways), Replica(service, batch_size, queue, runners, cores)
    balance: Balance = "request" if per_request else "connection"
    run = partial(simulate, asked, replica, requests=samples, balance=balance, seed=seed)
    sized = _sized(model, asked, replica, balance, bound, shown, run)
    if as_json:
        print(json.dumps(fleet_document(sized), indent=2))
        return
    console.print(fleet_table(sized))
    if (said := verdict(sized)) is not None:
        print(said)


def _needs_simpy() -> None:
    from importlib.util import find_spec

    if find_spec("simpy") is None:
        raise MissingExtraError(
            "offramp fleet needs simpy, which a node does not. Install it with: pip install 'offramp[fleet]'"
        )


def _read(
    bundle: Path,
    plan: Path,
    edge: Path,
    cloud: Path | None,
    link: str | None,
    predictions: Path | None,
    onward: str | None,
) -> "tuple[str, Service, Any]":
    """The network's name, what a replica takes, and the ways of a sample, by what was named."""
    from offramp.artifacts.bundle import Bundle
    from offramp.artifacts.plan import Plan
    from offramp.artifacts.profile import Profile
    from offramp.plan.cost import Costs
    from offramp.plan.service import Service
    from offramp.plan.sizing import one_tier, ways_of

    manifest, followed = Bundle.open(bundle).manifest, one_tier(Plan.load(plan))
    followed.check(manifest)
    shares = _shares(followed, predictions, onward, manifest)
    at_edge = Profile.read(edge)
    at_cloud = at_edge if cloud is None else Profile.read(cloud)
    if (between := link_named(link)) is None:
        raise InputError("link none: without a cloud there is nothing to size. Name what lies before it.")
    costs: Costs = Costs.of(manifest, at_edge, between, at_cloud)
    ways = ways_of(followed, costs, shares)
    return manifest.model, Service.of(at_cloud, manifest, followed.cut, followed.codec), ways


def _shares(plan: "Plan", predictions: Path | None, onward: str | None, manifest: "Manifest") -> tuple[float, ...]:
    """Shares of the ways, of predictions or as they were said."""
    from offramp.artifacts.predictions import Predictions
    from offramp.plan.sizing import shares_of, shares_said

    said = share("onward", onward)
    if (said is None) == (predictions is None):
        raise InputError(
            "onward: say which share of the samples goes on, either by --predictions FILE (of: offramp predict BUNDLE) "
            "or by --onward, like 30%."
        )
    if predictions is None:
        assert said is not None
        return shares_said(plan, said)
    return shares_of(plan, Predictions.read(predictions), manifest)


def _sized(
    model: str,
    asked: "Fleet",
    replica: "Replica",
    balance: "Balance",
    bound: "Bound | None",
    shown: list[int],
    run: Any,
) -> "Sized":
    """What comes of the numbers that are shown, and of those that are tried for the bound."""
    from offramp.plan.sizing import MOST, fewest, least
    from offramp.report.fleet_words import Sized

    first = fewest(asked, replica, balance)
    most = MOST if balance == "request" else min(MOST, max(first, asked.edges))  # an edge asks one of them
    found, tried = (None, {}) if bound is None else least(first, bound, run, most)
    wanted = {*shown}
    if found is not None:
        wanted |= {max(1, found - 1), found + 1}  # what one less would be, and what one more is worth
    elif bound is None and not shown:
        wanted |= {*range(first, first + 4)}
    rows = dict(tried) | {number: run(number) for number in wanted if number not in tried}
    return Sized(model, asked, replica, balance, rows, bound, found)
