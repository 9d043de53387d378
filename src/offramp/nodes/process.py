"""A node as a process: start, say ready, serve until told to stop, finish what is in flight.

`python -m offramp.nodes.process` is a child that serves by the settings on its input: a worker of a cloud, or a node
under measurement.
"""

import logging
import threading
from collections.abc import Iterable
from contextlib import ExitStack, closing
from dataclasses import replace

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.plan import Plan
from offramp.children import Child, at_stop, be_child, ready_line
from offramp.errors import DeadlineError, InputError, UnreachableError
from offramp.link.shaper_process import child_link
from offramp.nodes.batching import Batcher
from offramp.nodes.cloud import tails
from offramp.nodes.contract import CONSUMED, tail_name
from offramp.nodes.edge import Edge
from offramp.nodes.edge_model import EdgeModel
from offramp.nodes.replies import Replies
from offramp.nodes.settings import CloudSettings, EdgeSettings, Settings, from_json, to_json
from offramp.nodes.upstream import RemoteCloud
from offramp.nodes.watch import CloudWatch
from offramp.nodes.workers import supervise
from offramp.protocol.served import Served
from offramp.protocol.server import CALLS, Server
from offramp.runtime.choice import AUTO, Choice, choose
from offramp.sockets import hold_port, join_address

log = logging.getLogger("offramp")

GRACE = 30.0  # seconds that calls in flight get to finish after SIGTERM
# What becomes of requests while a cloud is lost.
DEGRADED, FAILS = (
    "what needs it is answered here, and marked degraded.",
    "what needs it fails, and the rest is answered.",
)
COMMAND = ("-m", "offramp.nodes.process")


def log_to_stderr() -> None:
    """Write what the node has to say for itself where an operator looks, with the time of each line."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")  # of anybody's warnings
    logging.getLogger("offramp").setLevel(logging.INFO)


def child_node(settings: Settings) -> Child:
    """Start a node as a child, whose output is kept for messages; its context stops it."""
    return Child(f"the {settings.node}", COMMAND, to_json(settings), kept=True)


def serve(settings: Settings) -> None:
    """Serve by settings of either kind until SIGTERM or SIGINT."""
    if isinstance(settings, CloudSettings):
        serve_cloud(settings)
    else:
        serve_edge(settings)


def serve_cloud(settings: CloudSettings) -> None:
    """Serve every tail of some bundles until SIGTERM or SIGINT, in this process or in several that share the port.

    The kernel gives each connection to one of several: they serve many edges, not one edge faster. A direct reply needs
    the client and the edge at the same process, so several send none.
    """
    log_to_stderr()
    bundles = _open(settings.bundles)
    choice = _settle(settings, bundles[0])
    if settings.shared or settings.workers == 1:
        _serve_tails(bundles, settings.of_one(), choice)
        return
    host = settings.host
    with ExitStack() as held:
        port, http_port = held.enter_context(hold_port(host, settings.port)), settings.http_port
        if http_port is not None:
            http_port = held.enter_context(hold_port(host, http_port))
        engine, of_one = choice.engine, replace(settings.of_one(), port=port, http_port=http_port)
        told = to_json(replace(of_one, runtime=engine.runtime, precision=engine.precision, why=choice.why))
        title = f"{_title(bundles)}, {choice}, {settings.workers} workers"
        http = None if http_port is None else join_address(host, http_port)
        line = ready_line(join_address(host, port), title, http)
        supervise(
            lambda name, changed: Child(name, COMMAND, told, changed=changed),
            settings.workers,
            line=line,
            grace=GRACE + 5,
        )


def _settle(settings: CloudSettings, bundle: Bundle) -> Choice:
    """The runtime and precision of every tail: one choice for the node, that of its first network."""
    largest = max(settings.limits.batch, settings.max_batch)
    choice = choose(bundle, settings.runtime, settings.precision, settings.of_one().threads, largest)
    return choice if AUTO in (settings.runtime, settings.precision) else replace(choice, why=settings.why)


def _open(paths: Iterable[str]) -> list[Bundle]:
    opened: dict[str, Bundle] = {}
    for path in paths:
        bundle = Bundle.open(path)
        if bundle.id in opened:
            raise InputError(f"{path} and {opened[bundle.id].path}: the same bundle {bundle.id}. Name it once.")
        opened[bundle.id] = bundle
    return list(opened.values())


def _serve_tails(bundles: list[Bundle], settings: CloudSettings, choice: Choice) -> None:
    batcher = Batcher(settings.limits)
    models = [tail for bundle in bundles for tail in tails(bundle, batcher, choice)]
    replies = [] if settings.shared else [Replies(bundles[0].id)]
    for model in models:
        model.replies = replies[0] if replies else None
    # Every call that the batcher lets in has a thread, and there are some for others: nothing waits unseen.
    calls = settings.limits.calls + CALLS
    title = f"{_title(bundles)}, {choice}"
    _serve([*models, *replies], settings, title, calls=calls, shared=settings.shared)
    batcher.close()


def _title(bundles: list[Bundle]) -> str:
    """What a cloud says of itself: `cloud: mem, tail-0 to tail-8-uint8, bundle 3f…`."""
    said = []
    for bundle in bundles:
        tails_of = [tail_name(cut.boundary, codec) for cut in bundle.manifest.cuts for codec in cut.codecs]
        names = f"{tails_of[0]} to {tails_of[-1]}"
        said.append(f"{bundle.manifest.model}, {names}, bundle {bundle.id}")
    return f"cloud: {' and '.join(said)}"


def serve_edge(settings: EdgeSettings) -> None:
    """Serve the classifier, a version for each bundle, by the plan of each until SIGTERM or SIGINT.

    Waits for the cloud and checks that it holds the same bundles; raises BundleMismatchError, and serves nothing, if
    not. Where it does not come, a plan that answers anything without it is served all the same, and the check is made
    when it does; one that answers nothing raises UnreachableError. With a link, it is reached through a shaper.
    """
    log_to_stderr()
    bundles, cloud, link = _open(settings.bundles), settings.cloud, settings.link
    edges: list[Edge] = []
    with ExitStack() as held:
        via = None if link is None or cloud is None else held.enter_context(child_link(link, cloud))
        watch = None
        if cloud is not None:
            watch = CloudWatch(
                cloud,
                lambda wait: _meet(edges, wait),
                always=settings.ready_needs_cloud,
                meanwhile=DEGRADED if settings.degraded else FAILS,
            )
        for bundle in bundles:
            upstream = None
            if watch is not None:
                remote = RemoteCloud(bundle, watch.address, settings.cloud_version, via, watch)
                upstream = held.enter_context(closing(remote))
            try:
                edges.append(_edge(bundle, upstream, settings, edges))
            except InputError as error:
                if len(bundles) == 1:
                    raise
                raise InputError(f"{bundle.path}: {error}") from error
        if watch is not None:
            _begin(watch, edges, settings)
            held.callback(watch.close)
        for costly in filter(None, map(_more_than_the_image, edges)):
            log.warning(costly)
        on = f"cloud {cloud}" + ("" if link is None else f" over {link}") if cloud else "no cloud"
        on += "" if watch is None or watch.trouble is None else " (not there yet)"
        _serve(map(EdgeModel, edges), settings, _edge_title(edges, on), needs=watch if watch and watch.always else None)


def _edge(bundle: Bundle, upstream: RemoteCloud | None, settings: EdgeSettings, others: list[Edge]) -> Edge:
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


def _meet(edges: list[Edge], wait: float) -> None:
    """Raise an error of ours unless the cloud is there, and is the one for what each edge hands on."""
    for edge in edges:
        assert isinstance(edge.cloud, RemoteCloud)
        edge.cloud.client.wait_ready(wait)
        edge.check(wait)


def _begin(watch: CloudWatch, edges: list[Edge], settings: EdgeSettings) -> None:
    """Look for the cloud, where anything needs it, and keep an eye on it from then on."""
    try:
        if watch.always or any(edge.course.part.hands_on(edge.last) for edge in edges):
            _meet(edges, settings.cloud_wait)
    except (UnreachableError, DeadlineError) as error:
        if not all(edge.answers_alone for edge in edges):
            raise type(error)(f"{error} By this edge's plan, nothing is answered without it.") from error
        watch.lost(UnreachableError(str(error)))
    watch.start()


def _edge_title(edges: list[Edge], on: str) -> str:
    """What an edge says of itself: `edge: mem, exit 3, T = 0.3, cloud …, bundle 3f…`; of several networks, in short."""
    said = [(edge.bundle.manifest.model, _by(edge.plan)) for edge in edges]
    if len(edges) == 1:
        return f"edge: {', '.join(said[0])}, {on}, bundle {edges[0].bundle.id}, {edges[0].choice}"
    return f"edge: {', '.join(f'{model} ({by})' for model, by in said)}, {on}, {edges[0].choice}"


def _by(plan: Plan) -> str:
    return ", ".join(f"exit {active.exit}, T = {active.threshold:g}" for active in plan.active) or f"cut {plan.cut}"


def _serve(
    models: Iterable[Served],
    told: Settings,
    title: str,
    *,
    calls: int = CALLS,
    shared: bool = False,
    needs: CloudWatch | None = None,
) -> None:
    """Serve; where the node needs a cloud to be ready, it is ready when that is there."""
    server = Server(
        models,
        told.host,
        told.port,
        max_batch=told.max_batch,
        calls=calls,
        shared=shared,
        http_port=told.http_port,
        consumed=CONSUMED,
        origins=told.origins,
        root_path=told.root_path,
        unready=(lambda: None) if needs is None else needs.why_not,
    )
    if needs is not None:
        needs.changed = server.say_health
    stop = threading.Event()
    at_stop(stop.set)
    server.start()
    print(ready_line(server.address, title, None if server.http is None else server.http.address), flush=True)
    stop.wait()
    print("stopping: finishing the requests in flight", flush=True)
    server.stop(GRACE)


if __name__ == "__main__":
    be_child(lambda line: serve(from_json(line)))
