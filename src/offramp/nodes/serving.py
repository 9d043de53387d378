"""What nodes of either kind need to serve: their log, their bundles, a server that runs until it is told to stop."""

import logging
import threading
from collections.abc import Iterable, Sequence

from offramp.artifacts.bundle import Bundle
from offramp.children import at_stop, ready_line
from offramp.errors import InputError
from offramp.nodes.contract import CONSUMED
from offramp.nodes.settings import Settings
from offramp.nodes.watch import CloudWatch
from offramp.protocol.served import Served
from offramp.protocol.server import CALLS, Server
from offramp.service import say_ready, say_stopping

GRACE = 30.0  # seconds that calls in flight get to finish after SIGTERM
COMMAND = ("-m", "offramp.nodes.process")  # a child that serves by the settings on its input


def log_to_stderr() -> None:
    """Write what the node has to say for itself where an operator looks, with the time of each line."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")  # of anybody's warnings
    logging.getLogger("offramp").setLevel(logging.INFO)


def open_bundles(paths: Iterable[str]) -> list[Bundle]:
    """The bundles at some paths; InputError where one is named twice."""
    opened: dict[str, Bundle] = {}
    for path in paths:
        bundle = Bundle.open(path)
        if bundle.id in opened:
            raise InputError(f"{path} and {opened[bundle.id].path}: the same bundle {bundle.id}. Name it once.")
        opened[bundle.id] = bundle
    return list(opened.values())


def serve_models(
    models: Iterable[Served],
    told: Settings,
    title: str,
    *,
    calls: int = CALLS,
    shared: bool = False,
    needs: Sequence[CloudWatch] = (),
) -> None:
    """Serve until SIGTERM or SIGINT; where the node needs a cloud to be ready, it is ready while one of those is."""

    def unready() -> str | None:
        reasons = [watch.why_not() for watch in needs]
        return None if None in reasons or not reasons else " ".join(filter(None, reasons))

    server = Server(
        models,
        told.host,
        told.port,
        max_batch=told.max_batch,
        calls=calls,
        max_streams=told.max_streams,
        shared=shared,
        http_port=told.http_port,
        consumed=CONSUMED,
        origins=told.origins,
        root_path=told.root_path,
        unready=unready,
    )
    for watch in needs:
        watch.changed = server.say_health
    stop = threading.Event()
    at_stop(stop.set)
    server.start()
    say_ready(ready_line(server.address, title, None if server.http is None else server.http.address))
    stop.wait()
    say_stopping("stopping: finishing the requests in flight")
    server.stop(GRACE)
