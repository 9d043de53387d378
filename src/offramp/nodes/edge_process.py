"""An edge as a process: the classifier of its bundles, in front of a cloud, or of several of which one will do."""

import logging
from contextlib import ExitStack, closing

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.plan import Plan
from offramp.errors import DeadlineError, InputError, LinkError, UnreachableError
from offramp.link.shaper_process import child_link
from offramp.nodes.edge import Edge
from offramp.nodes.edge_model import EdgeModel
from offramp.nodes.failover import Failover
from offramp.nodes.serving import log_to_stderr, open_bundles, serve_models
from offramp.nodes.settings import EdgeSettings
from offramp.nodes.upstream import RemoteCloud, Upstream
from offramp.nodes.watch import CloudWatch

log = logging.getLogger("offramp")

DEGRADED = "is answered here, and marked degraded."
FAILS = "fails, and the rest is answered."


def while_lost(settings: EdgeSettings) -> str:
    """Say what becomes of requests while a cloud is lost."""
    alone = DEGRADED if settings.degraded else FAILS
    several = len(settings.clouds) > 1  # and the others may be lost too
    return f"what needs it goes to another; where none is there, it {alone}" if several else f"what needs it {alone}"


class _Way:
    """One of an edge's clouds: the watch over it, and each network's connection to it."""

    def __init__(self, address: str, settings: EdgeSettings, held: ExitStack) -> None:
        self.via = None if settings.link is None else held.enter_context(child_link(settings.link, address))
        self.remotes: list[tuple[Edge, RemoteCloud]] = []
        always, meanwhile = settings.ready_needs_cloud, while_lost(settings)
        self.watch = CloudWatch(address, self.meet, always=always, meanwhile=meanwhile)

    def to(self, bundle: Bundle, version: str | None) -> RemoteCloud:
        """A connection for one network."""
        return RemoteCloud(bundle, self.watch.address, version, self.via, self.watch)

    def meet(self, wait: float) -> None:
        """Raise an error of ours unless the cloud is there, and is the one for what each edge hands on."""
        for edge, remote in self.remotes:
            remote.client.wait_ready(wait)
            edge.check(wait, remote)


def serve_edge(settings: EdgeSettings) -> None:
    """Serve the classifier, a version for each bundle, by the plan of each until SIGTERM or SIGINT.

    Waits for the cloud and checks that it holds the same bundles; raises BundleMismatchError, and serves nothing, if
    not. Where it does not come, an edge that answers anything without it is served all the same, and the check is made
    when it does; one that answers nothing raises UnreachableError. With a link, it is reached through a shaper. Of
    several clouds one is enough.
    """
    log_to_stderr()
    bundles, edges = open_bundles(settings.bundles), list[Edge]()
    with ExitStack() as held:
        ways = [_Way(address, settings, held) for address in settings.clouds]
        for bundle in bundles:
            remotes = [held.enter_context(closing(way.to(bundle, settings.cloud_version))) for way in ways]
            try:
                edges.append(_edge(bundle, _one_of(remotes), settings, edges))
            except InputError as error:
                if len(bundles) == 1:
                    raise
                raise InputError(f"{bundle.path}: {error}") from error
            for way, remote in zip(ways, remotes, strict=True):
                way.remotes.append((edges[-1], remote))
        watches = [way.watch for way in ways]
        if ways:
            _begin(ways, edges, settings)
            for watch in watches:
                watch.start()
                held.callback(watch.close)
        for costly in filter(None, map(_more_than_the_image, edges)):
            log.warning(costly)
        title = _edge_title(edges, _on(watches, settings))
        serve_models(map(EdgeModel, edges), settings, title, needs=watches if settings.ready_needs_cloud else ())


def _one_of(remotes: list[RemoteCloud]) -> Upstream | None:
    return Failover(remotes) if len(remotes) > 1 else remotes[0] if remotes else None


def _edge(bundle: Bundle, upstream: Upstream | None, settings: EdgeSettings, others: list[Edge]) -> Edge:
    """The edge of a bundle. The runtime and precision are the node's, those of its first network."""
    return Edge(
        bundle,
        settings.plan.check(bundle.manifest),
        upstream,
        threads=settings.threads,
        runtime=settings.runtime,
        precision=settings.precision,
        choice=others[0].choice if others else None,
        largest=settings.max_batch,
        cloud_timeout=settings.cloud_timeout,
        degraded=settings.degraded,
        in_flight=settings.in_flight,
    )


def _more_than_the_image(edge: Edge) -> str | None:
    """What to say of a cut at which a sample's features are larger than its image; None where they are not."""
    part, manifest = edge.course.part, edge.bundle.manifest
    if not part.hands_on(edge.last):
        return None
    sent = manifest.cut(part.cut).codecs[part.codec].bytes_per_sample
    image = manifest.cut(0).codecs["uint8"].bytes_per_sample
    if sent <= image:
        return None
    return (
        f"{manifest.model}: what goes on at cut {part.cut} in {part.codec} is {sent:,} bytes a sample, and the image "
        f"is {image:,} in 8 bits. Over a thin link, --cut 0 --codec uint8 sends less."
    )


def _begin(ways: list[_Way], edges: list[Edge], settings: EdgeSettings) -> None:
    """Look for the clouds, where anything needs one."""
    if not settings.ready_needs_cloud and not any(edge.course.part.hands_on(edge.last) for edge in edges):
        return
    missing: list[LinkError] = []
    for way in ways:
        try:
            way.meet(settings.cloud_wait)
        except (UnreachableError, DeadlineError) as error:
            missing.append(error)
            way.watch.lost(UnreachableError(str(error)))
    if len(missing) == len(ways) and not all(edge.answers_alone for edge in edges):
        first = missing[0]
        raise type(first)(f"{first} By this edge's plan, nothing is answered without it.") from first


def _on(watches: list[CloudWatch], settings: EdgeSettings) -> str:
    """What is said of the clouds: `cloud 10.0.0.5:8001 over wifi`."""
    if not watches:
        return "no cloud"
    named = " or ".join(f"{watch.address}{' (not there yet)' if watch.trouble else ''}" for watch in watches)
    link = "" if settings.link is None else f" over {settings.link}"
    return f"cloud {named}{link}"


def _edge_title(edges: list[Edge], on: str) -> str:
    """What an edge says of itself: `edge: mem, exit 3, T = 0.3, cloud …, bundle 3f…`; of several networks, in short."""
    said = [(edge.bundle.manifest.model, _by(edge.plan)) for edge in edges]
    if len(edges) == 1:
        return f"edge: {', '.join(said[0])}, {on}, bundle {edges[0].bundle.id}, {edges[0].choice}"
    return f"edge: {', '.join(f'{model} ({by})' for model, by in said)}, {on}, {edges[0].choice}"


def _by(plan: Plan) -> str:
    return ", ".join(f"exit {active.exit}, T = {active.threshold:g}" for active in plan.active) or f"cut {plan.cut}"
