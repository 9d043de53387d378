"""An edge as a process: the classifier of its bundles, in front of a cloud, or of several of which one will do."""

import logging
from collections.abc import Mapping
from contextlib import ExitStack, closing
from types import MappingProxyType

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.plan import Plan
from offramp.errors import DeadlineError, InputError, LinkError, OverloadedError, UnreachableError
from offramp.link.shaper_process import child_link
from offramp.nodes.edge import Edge
from offramp.nodes.edge_model import EdgeModel
from offramp.nodes.failover import Failover
from offramp.nodes.route import Course
from offramp.nodes.serving import hear_reloads, log_to_stderr, open_bundles, serve_models
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

    def meet(self, wait: float, courses: Mapping[Edge, Course] = MappingProxyType({})) -> None:
        """Raise an error of ours unless the cloud is there, and is the one for what each edge hands on.

        That is what its course does, or another that stands in for it.
        """
        for edge, remote in self.remotes:
            remote.wait_ready(wait)
            edge.check(wait, remote, courses.get(edge))


def serve_edge(settings: EdgeSettings) -> None:
    """Serve the classifier, a version for each bundle, by the plan of each until SIGTERM or SIGINT.

    Waits for the cloud and checks that it holds the same bundles; raises BundleMismatchError, and serves nothing, if
    not. Where it does not come, an edge that answers anything without it is served all the same, and the check is made
    when it does; one that answers nothing raises UnreachableError. With a link, it is reached through a shaper. Of
    several clouds one is enough. At SIGHUP a plan that stands in a file is read again, and followed where it can be.
    """
    log_to_stderr()
    orders = hear_reloads()
    bundles, edges = open_bundles(settings.bundles), list[Edge]()
    settings.check_count(len(bundles))
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
            _ask(ways, {edge: edge.course for edge in edges}, settings)
            for watch in watches:
                watch.start()
                held.callback(watch.close)
        for costly in filter(None, map(_more_than_the_image, edges)):
            log.warning(costly)
        title = _edge_title(edges, _on(watches, settings))
        needs = watches if settings.ready_needs_cloud else ()
        serve_models(
            map(EdgeModel, edges), settings, title, orders, lambda _: _reload(ways, edges, settings), needs=needs
        )


def _reload(ways: list[_Way], edges: list[Edge], settings: EdgeSettings) -> None:
    """Follow what stands in the plan's file now; an OfframpError where one network or its cloud cannot."""
    if settings.plan_file is None:
        log.info("reload: nothing to read again. The plan is that of the command line, and no --plan FILE.")
        return
    plan = Plan.load(settings.plan_file)
    courses = {edge: edge.ready(plan) for edge in edges}
    _ask(ways, courses, settings)
    for edge, course in courses.items():
        before = edge.plan
        edge.follow(course)
        said = (edge.bundle.manifest.model, plan.model_dump_json(), before.model_dump_json())
        log.info("reload: %s follows the plan %s, and before it %s", *said)


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


def _ask(ways: list[_Way], courses: Mapping[Edge, Course], settings: EdgeSettings) -> None:
    """Look for the clouds, where any course needs one."""
    if not settings.ready_needs_cloud and not any(course.part.hands_on(edge.last) for edge, course in courses.items()):
        return
    missing: list[LinkError] = []
    for way in ways:
        try:
            way.meet(settings.cloud_wait, courses)
        except (UnreachableError, DeadlineError, OverloadedError) as error:
            missing.append(error)
            way.watch.lost(UnreachableError(str(error)))
    if (
        missing
        and len(missing) == len(ways)
        and not all(edge.answers_alone(course) for edge, course in courses.items())
    ):
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
