"""An edge as a process: the classifier of its bundles, in front of a cloud, or of several of which one will do."""

import logging
from contextlib import ExitStack
from functools import partial
from importlib.resources import files

from offramp.artifacts.plan import Part
from offramp.exits.answers import tier_name
from offramp.nodes.edge import Edge
from offramp.nodes.edge_networks import EdgeNetworks
from offramp.nodes.edge_settings import EdgeSettings
from offramp.nodes.logs import log_to_stderr
from offramp.nodes.plans import Plans
from offramp.nodes.serving import Orders, hear_reloads, open_bundles, serve_models
from offramp.nodes.shared_port import serve_workers
from offramp.nodes.sight import seen
from offramp.nodes.watch import CloudWatch
from offramp.protocol.counts import Counts
from offramp.protocol.door import Door
from offramp.protocol.metrics import Metrics
from offramp.protocol.page import Page
from offramp.protocol.server import CALLS
from offramp.runtime.choice import choose

PAGE = files("offramp.nodes").joinpath("live.html")

log = logging.getLogger("offramp")


def serve_edge(settings: EdgeSettings) -> None:
    """Serve the classifier, a version for each bundle, by the plan of each until SIGTERM or SIGINT.

    In this process, or in several that share the port: each has its own connections to the cloud, and a breaker, and
    takes no other plan from a caller, which the others would not have.

    Waits for the cloud and checks that it holds the same bundles; raises BundleMismatchError, and serves nothing, if
    not. Where it does not come, an edge that answers anything without it is served all the same, and the check is made
    when it does; one that answers nothing raises UnreachableError. With a link, it is reached through a shaper. Of
    several clouds one is enough. At SIGHUP a plan's file and the folders of the bundles are looked at again; who has
    the right to may put another plan in force meanwhile.
    """
    log_to_stderr(settings.log_format)
    orders = hear_reloads()
    door = Door(settings.access, settings.host)
    if settings.shared or settings.workers == 1:
        _serve_networks(settings.of_one(), orders, door)
        return
    bundles, said = open_bundles(settings), []
    for bundle in bundles:  # what is wrong with a plan is said once
        plan = settings.plan.check(bundle.manifest)
        tier = settings.tier_of(plan)
        said.append(f"{bundle.manifest.model} ({exits_said(plan.tiers[tier])})")
    onto = "no cloud" if settings.cloud is None else f"cloud {' or '.join(settings.clouds)}"
    choice = choose(bundles[0], settings.runtime, settings.precision, settings.of_one().threads, settings.max_batch)
    serve_workers(settings, choice, f"{tier}: {', '.join(said)}, {onto}", orders, door)


def _serve_networks(settings: EdgeSettings, orders: Orders, door: Door) -> None:
    with ExitStack() as held:
        networks = EdgeNetworks(settings, held)
        between = networks.between
        batcher = None if between is None else between.batcher
        edges, watches = networks.edges, [way.watch for way in networks.ways]
        for doubtful in (said for edge in edges for said in (_more_than_the_image(edge), shown_elsewhere(edge))):
            if doubtful is not None:
                log.warning(doubtful)
        title = _edge_title(edges, _on(watches, settings, edges[0].course.next))
        needs = watches if settings.ready_needs_cloud else ()
        descriptor, place = settings.counts
        metrics = Metrics(Counts(descriptor, place, settings.workers), partial(seen, networks))
        serve_models(
            networks.models,
            settings,
            title,
            orders,
            networks.reload,
            door=door,
            metrics=metrics,
            page=Page.of(PAGE.read_bytes()),
            plans=None if settings.shared else Plans(networks),
            shared=settings.shared,
            needs=needs,
            # As a cloud's: every call that the batcher lets in has a thread, and there are some for others.
            calls=CALLS if batcher is None else batcher.limits.calls + CALLS,
            full=_roomy if batcher is None else batcher.full,
        )
        if batcher is not None:
            batcher.close()


def _roomy() -> None:
    """Whoever comes finds room."""


def _more_than_the_image(edge: Edge) -> str | None:
    """What to say of a cut at which a sample's features are larger than what came; None where they are not."""
    part, manifest = edge.course.part, edge.bundle.manifest
    if not part.hands_on(edge.last) or edge.course.takes is not None:
        return None
    sent = manifest.cut(part.cut).codecs[part.codec].bytes_per_sample
    came, codec = min((result.bytes_per_sample, codec) for codec, result in manifest.cut(0).codecs.items())
    if sent <= came:
        return None
    called = f"image is {came:,} in 8 bits" if codec == "uint8" else f"{edge.preprocessing.noun} itself {came:,}"
    return (
        f"{manifest.model}: what goes on at cut {part.cut} in {part.codec} is {sent:,} bytes a sample, and the "
        f"{called}. Over a thin link, --cut 0 --codec {codec} sends less."
    )


def shown_elsewhere(edge: Edge) -> str | None:
    """What to say of a plan whose promise was shown in another precision; None where it was in this one."""
    promise, engine = edge.plan.promise, edge.choice.engine
    if promise is None or promise.is_of(engine):
        return None
    return (
        f"{edge.bundle.manifest.model}: the plan's promise was shown on {promise.runtime} {promise.precision}, and "
        f"this edge computes with {engine}: nothing is promised of its answers. Choose a plan from predictions by that "
        f"(offramp predict --runtime {engine.runtime} --precision {engine.precision}), or serve with --precision "
        f"{promise.precision}."
    )


def _on(watches: list[CloudWatch], settings: EdgeSettings, onto: str) -> str:
    """What is said of the clouds: `cloud 10.0.0.5:8001 over wifi`."""
    if not watches:
        return f"no {onto}"
    named = " or ".join(f"{watch.address}{' (not there yet)' if watch.refusal() else ''}" for watch in watches)
    link = "" if settings.link is None else f" over {settings.link}"
    return f"{onto} {named}{link}"


def _edge_title(edges: list[Edge], on: str) -> str:
    """What an edge says of itself: `edge: mem, exit 3, T = 0.3, cloud …, bundle 3f…`; of several networks, in short."""
    said = [(edge.bundle.manifest.model, exits_said(edge.course.part)) for edge in edges]
    tier = tier_name(edges[0].tier)
    if len(edges) == 1:
        return f"{tier}: {', '.join(said[0])}, {on}, bundle {edges[0].bundle.id}, {edges[0].choice}"
    return f"{tier}: {', '.join(f'{model} ({by})' for model, by in said)}, {on}, {edges[0].choice}"


def exits_said(part: Part) -> str:
    """Where samples may leave at a tier, and below what score, in a few words."""
    return ", ".join(f"exit {active.exit}, T = {active.threshold:g}" for active in part.active) or f"cut {part.cut}"
