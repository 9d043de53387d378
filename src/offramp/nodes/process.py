"""A node as a process: start, say ready, serve until told to stop, finish what is in flight."""

import json
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Self

from offramp.artifacts.bundle import Bundle, Manifest
from offramp.artifacts.plan import Plan
from offramp.errors import InputError
from offramp.link.shape import LinkShape
from offramp.link.shaper_process import child_link
from offramp.machine import cores_to_use
from offramp.nodes.batching import Batcher, Limits
from offramp.nodes.cloud import tails
from offramp.nodes.contract import tail_name
from offramp.nodes.edge import Edge
from offramp.nodes.edge_model import EdgeModel
from offramp.nodes.replies import STREAMS, Replies
from offramp.nodes.upstream import RemoteCloud
from offramp.nodes.workers import supervise
from offramp.protocol.server import CALLS, Server
from offramp.runtime.choice import AUTO, Choice, choose
from offramp.runtime.span import SpanSpec
from offramp.sockets import hold_port

# A node that can answer prints a line that begins with these words and addresses: `ready HOST:PORT http HOST:PORT …`.
READY, HTTP = "ready", "http"
GRACE = 30.0  # seconds that calls in flight get to finish after SIGTERM
MOST_WORKERS = 256


@dataclass(frozen=True)
class CloudSettings:
    """What a cloud serves, and how."""

    bundles: tuple[str, ...]
    host: str = "127.0.0.1"
    port: int = 0
    http_port: int | None = None  # None: no HTTP
    threads: int = 0
    max_batch: int = 256
    limits: Limits = field(default_factory=Limits)
    workers: int = 1
    runtime: str = AUTO
    precision: str = AUTO
    why: str = "as asked"  # these two

    def __post_init__(self) -> None:
        if not 1 <= self.workers <= MOST_WORKERS:
            raise InputError(
                f"workers {self.workers}: expected 1 to {MOST_WORKERS}. More than there are cores gain nothing."
            )

    def of_one(self, port: int, http_port: int | None) -> Self:
        """What each worker gets: its share of the cores, and runners enough to use them."""
        cores = cores_to_use(0)
        threads = self.threads or (0 if self.workers == 1 else max(1, cores // self.workers))
        runners = max(1, cores // self.workers)
        return replace(
            self, port=port, http_port=http_port, threads=threads, limits=replace(self.limits, runners=runners)
        )

    def settle(self, bundle: Bundle) -> Choice:
        """The runtime and precision of every tail: one choice for the node, timed on the whole of its first network."""
        last = bundle.manifest.last
        choice = choose(bundle, SpanSpec(0, last, (last,)), self.runtime, self.precision, self.of_one(0, None).threads)
        return choice if AUTO in (self.runtime, self.precision) else replace(choice, why=self.why)

    def to_json(self) -> str:
        """Write them for a worker."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read them as a worker."""
        fields = json.loads(text)
        return cls(**fields | {"bundles": tuple(fields["bundles"]), "limits": Limits(**fields["limits"])})


def serve_cloud(settings: CloudSettings) -> None:
    """Serve every tail of some bundles until SIGTERM or SIGINT, in this process or in several that share the port.

    The kernel gives each connection to one of several: they serve many edges, not one edge faster. A direct reply needs
    the client and the edge at the same process, so several send none.
    """
    bundles = _open(settings.bundles)
    choice = settings.settle(bundles[0])
    settings = replace(settings, runtime=choice.engine.runtime, precision=choice.engine.precision, why=choice.why)
    if settings.workers == 1:
        _serve_tails(bundles, settings.of_one(settings.port, settings.http_port))
        return
    with ExitStack() as held:
        port = held.enter_context(hold_port(settings.host, settings.port))
        http_port = None
        if settings.http_port is not None:
            http_port = held.enter_context(hold_port(settings.host, settings.http_port))
        command = [sys.executable, "-m", "offramp.nodes.worker", settings.of_one(port, http_port).to_json()]
        addresses = _addresses(f"{settings.host}:{port}", None if http_port is None else f"{settings.host}:{http_port}")
        line = f"{READY} {addresses} {_title(bundles)}, {choice}, {settings.workers} workers"
        supervise(command, settings.workers, word=READY, line=line, grace=GRACE + 5)


def serve_worker(settings: CloudSettings) -> None:
    """Be one of several processes that serve a cloud."""
    _serve_tails(_open(settings.bundles), settings)


def _open(paths: Iterable[Path | str]) -> list[Bundle]:
    found: dict[str, Bundle] = {}
    for path in paths:
        bundle = Bundle.open(path)
        if bundle.id in found:
            raise InputError(f"{path} and {found[bundle.id].path}: the same bundle {bundle.id}. Name it once.")
        found[bundle.id] = bundle
    return list(found.values())


def _serve_tails(bundles: list[Bundle], settings: CloudSettings) -> None:
    batcher, shared = Batcher(settings.limits), settings.workers > 1
    choice = settings.settle(bundles[0])
    models = [tail for bundle in bundles for tail in tails(bundle, settings.threads, batcher, choice)]
    replies = [] if shared else [Replies(bundles[0].id)]
    for model in models:
        model.replies = replies[0] if replies else None
    # Every call that the batcher lets in has a thread, and there are some for others: nothing waits unseen.
    calls = settings.limits.calls + STREAMS + CALLS
    server = Server(
        [*models, *replies],
        settings.host,
        settings.port,
        max_batch=settings.max_batch,
        calls=calls,
        shared=shared,
        http_port=settings.http_port,
    )
    _serve(server, f"{_title(bundles)}, {choice}")
    batcher.close()


def _title(bundles: list[Bundle]) -> str:
    """What a cloud says of itself: `cloud: mem, tail-0 to tail-8-uint8, bundle 3f…`."""
    said = []
    for bundle in bundles:
        tails_of = [tail_name(cut.boundary, codec) for cut in bundle.manifest.cuts for codec in cut.codecs]
        names = f"{tails_of[0]} to {tails_of[-1]}"
        said.append(f"{bundle.manifest.model}, {names}, bundle {bundle.id}")
    return f"cloud: {' and '.join(said)}"


def serve_edge(
    paths: Iterable[Path],
    plan_of: Callable[[Manifest], Plan],
    *,
    cloud: str | None,
    cloud_version: str | None = None,
    cloud_wait: float,
    link: LinkShape | None = None,
    host: str,
    port: int,
    http_port: int | None = None,
    threads: int,
    max_batch: int,
    runtime: str = AUTO,
    precision: str = AUTO,
) -> None:
    """Serve the classifier, a version for each bundle, by the plan of each until SIGTERM or SIGINT.

    Waits up to `cloud_wait` seconds for the cloud and checks that it holds the same bundles; raises UnreachableError or
    BundleMismatchError, and serves nothing, if not. With a `link`, the cloud is reached through a shaper of its own.
    """
    bundles = _open(paths)
    if cloud_version is not None and len(bundles) > 1:
        raise InputError(
            f"cloud version {cloud_version!r}: it is one network's, and this edge has {len(bundles)}. Leave it out, or "
            "run an edge for each."
        )
    edges: list[Edge] = []
    with ExitStack() as held:
        via = None if link is None or cloud is None else held.enter_context(child_link(link, cloud))
        for bundle in bundles:
            upstream = held.enter_context(closing(RemoteCloud(bundle, cloud, cloud_version, via))) if cloud else None
            choice = edges[0].choice if edges else None  # one for the node, timed on its first network
            try:
                plan = plan_of(bundle.manifest)
                edge = Edge(
                    bundle, plan, upstream, threads=threads, runtime=runtime, precision=precision, choice=choice
                )
            except InputError as error:
                if len(bundles) == 1:
                    raise
                raise InputError(f"{bundle.path}: {error}") from error
            edges.append(edge)
        for edge in edges:
            edge.check(cloud_wait)
        server = Server(map(EdgeModel, edges), host, port, max_batch=max_batch, http_port=http_port)
        on = f"cloud {cloud}" + ("" if link is None else f" over {link}") if cloud else "no cloud"
        _serve(server, _edge_title(edges, on))


def _edge_title(edges: list[Edge], on: str) -> str:
    """What an edge says of itself: `edge: mem, exit 3, T = 0.3, cloud …, bundle 3f…`; of several networks, in short."""
    said = [(edge.bundle.manifest.model, _by(edge.plan)) for edge in edges]
    if len(edges) == 1:
        return f"edge: {', '.join(said[0])}, {on}, bundle {edges[0].bundle.id}, {edges[0].choice}"
    return f"edge: {', '.join(f'{model} ({by})' for model, by in said)}, {on}, {edges[0].choice}"


def _by(plan: Plan) -> str:
    return ", ".join(f"exit {active.exit}, T = {active.threshold:g}" for active in plan.active) or f"cut {plan.cut}"


def _addresses(address: str, http: str | None) -> str:
    return address if http is None else f"{address} {HTTP} {http}"


def _serve(server: Server, title: str) -> None:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    server.start()
    http = None if server.http is None else server.http.address
    print(f"{READY} {_addresses(server.address, http)} {title}", flush=True)
    stop.wait()
    print("stopping: finishing the requests in flight", flush=True)
    server.stop(GRACE)
