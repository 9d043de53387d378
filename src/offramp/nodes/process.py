"""A node as a process: start, say ready, serve until told to stop, finish what is in flight."""

import signal
import threading
from pathlib import Path

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.plan import Plan
from offramp.link.server import Server
from offramp.nodes.cloud import tails
from offramp.nodes.edge import Edge
from offramp.nodes.edge_model import EdgeModel
from offramp.nodes.replies import Replies
from offramp.nodes.upstream import RemoteCloud

READY = "ready"  # first word of the line that a node prints when it can answer; the second is HOST:PORT
GRACE = 30.0  # seconds that calls in flight get to finish after SIGTERM


def serve_cloud(path: Path, *, host: str, port: int, threads: int, max_batch: int) -> None:
    """Serve every tail of a bundle until SIGTERM or SIGINT."""
    bundle = Bundle.open(path)
    models = tails(bundle, threads)
    replies = Replies(bundle.id)
    for model in models:
        model.replies = replies
    names = f"{models[0].name} to {models[-1].name}" if len(models) > 1 else models[0].name
    _serve(
        Server([*models, replies], host, port, max_batch=max_batch),
        f"cloud: {bundle.manifest.model}, {names}, bundle {bundle.id}",
    )


def serve_edge(
    path: Path,
    plan: Plan,
    *,
    cloud: str | None,
    cloud_wait: float,
    host: str,
    port: int,
    threads: int,
    max_batch: int,
) -> None:
    """Serve the classifier by a plan until SIGTERM or SIGINT.

    Waits up to `cloud_wait` seconds for the cloud and checks that it holds the same bundle; raises UnreachableError or
    BundleMismatchError, and serves nothing, if not.
    """
    bundle = Bundle.open(path)
    upstream = RemoteCloud(bundle, cloud) if cloud else None
    edge = Edge(bundle, plan, upstream, threads=threads)
    if upstream is not None and bundle.manifest.last not in (plan.cut, plan.exit):
        upstream.check(plan, cloud_wait)
    server = Server([EdgeModel(edge)], host, port, max_batch=max_batch)
    on = f"cloud {cloud}" if cloud else "no cloud"
    _serve(server, f"edge: {bundle.manifest.model}, exit {plan.exit}, T = {plan.threshold:g}, {on}, bundle {bundle.id}")
    if upstream is not None:
        upstream.close()


def _serve(server: Server, title: str) -> None:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    server.start()
    print(f"{READY} {server.address} {title}", flush=True)
    stop.wait()
    print("stopping: finishing the requests in flight", flush=True)
    server.stop(GRACE)
