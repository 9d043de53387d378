"""What nodes of either kind need to serve: their log, their bundles, a server that runs until it is told to stop."""

import logging
import queue
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from functools import partial
from pathlib import Path

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.signature import Trust
from offramp.artifacts.suite import bundles_in
from offramp.children import LOOK, at_reload, at_stop, ready_line
from offramp.errors import InputError, OfframpError, OverloadedError
from offramp.nodes.contract import CONSUMED
from offramp.nodes.edge_settings import EdgeSettings
from offramp.nodes.logs import RequestLog
from offramp.nodes.starting import settle
from offramp.nodes.told import Settings
from offramp.nodes.traces import traces
from offramp.nodes.watch import CloudWatch
from offramp.protocol.door import Door
from offramp.protocol.metrics import Metrics
from offramp.protocol.native_log import handshakes_told
from offramp.protocol.page import Page
from offramp.protocol.plans import Plans
from offramp.protocol.record import Hook
from offramp.protocol.served import Served
from offramp.protocol.server import CALLS, Server
from offramp.protocol.shared_memory import FOLDER, REGIONS
from offramp.service import say_ready, say_stopping
from offramp.sockets import allow_descriptors

GRACE = 30.0  # seconds that calls in flight get to finish after SIGTERM
COMMAND = ("-m", "offramp.nodes.process")  # a child that serves by the settings on its input

Orders = queue.SimpleQueue[object]  # what a node is told by signals, in order: True to reload, False to stop
Reload = Callable[[Callable[[Iterable[Served]], None]], object]  # by what serves other models from then on

log = logging.getLogger("offramp")


def hear_reloads() -> Orders:
    """Take SIGHUP for an order from now on: it would end a node that is not ready yet."""
    orders: Orders = queue.SimpleQueue()
    at_reload(lambda: orders.put(True))
    return orders


def open_bundles(told: Settings) -> list[Bundle]:
    """The bundles that a node's folders stand for, their own or those of a suite's networks, signed where they must be.

    Raises InputError where one is twice.
    """
    opened, trust = dict[str, Bundle](), Trust.of(told.trust)
    for path in (path for folder in told.bundles for path in bundles_in(Path(folder))):
        bundle = Bundle.open(path, trust)
        if bundle.id in opened:
            raise InputError(f"{path} and {opened[bundle.id].path}: the same bundle {bundle.id}. Name it once.")
        opened[bundle.id] = bundle
    return list(opened.values())


def serve_models(
    models: Iterable[Served],
    told: Settings,
    title: str,
    orders: Orders,
    reload: Reload,
    *,
    door: Door,
    calls: int = CALLS,
    shared: bool = False,
    metrics: Metrics | None = None,
    page: Page | None = None,
    plans: Plans | None = None,
    needs: Sequence[CloudWatch] = (),
    full: Callable[[], OverloadedError | None] = lambda: None,
) -> None:
    """Serve until SIGTERM or SIGINT, and reload at SIGHUP, whole or not at all.

    Where the node needs a cloud to be ready, it is ready while one of those is.
    """
    _allow_descriptors(told)
    tracing = traces(f"offramp-{told.node}")
    hooks: list[Hook] = [RequestLog()] if told.log_requests else []
    server = Server(
        models,
        told.host,
        told.port,
        max_batch=told.max_batch,
        calls=calls,
        max_streams=told.max_streams,
        max_connections=told.max_connections,
        shared=shared,
        mode=told.socket_mode,
        shared_memory=told.shared_memory,
        http_port=told.http_port,
        consumed=CONSUMED,
        origins=told.origins,
        root_path=told.root_path,
        unready=partial(_unready, needs),
        metrics=metrics,
        page=page,
        plans=plans,
        hooks=hooks if tracing is None else [*hooks, tracing],
        tracing=tracing,
        door=door,
        full=full,
    )
    for watch in needs:
        watch.changed = server.say_health
    at_stop(lambda: orders.put(False))
    with _hearing(door, told), closing(tracing) if tracing is not None else nullcontext():
        server.start()
        if not shared:  # else who has started it says so once for all
            say_open_to(door, told.shared_memory)
        say_ready(ready_line(server.address, title, None if server.http is None else server.http.address))
        settle()
        while _next(orders):
            reloaded(lambda: _reload(door, lambda: reload(server.plane.serve)))
        say_stopping("stopping: finishing the requests in flight")
        server.stop(GRACE)


def _unready(needs: Sequence[CloudWatch]) -> str | None:
    """Why none of these clouds can be used; None where one can, or none is needed."""
    reasons = [watch.why_not() for watch in needs]
    return None if None in reasons or not reasons else " ".join(filter(None, reasons))


def _hearing(door: Door, told: Settings) -> AbstractContextManager[object]:
    """Meanwhile it is heard of which handshakes fail, where there are any."""
    if door.identity is not None:
        return handshakes_told(lambda kind: door.refusals.note("grpc", kind))
    if isinstance(told, EdgeSettings) and told.credentials is not None:  # what it hears is of its cloud alone
        return handshakes_told(lambda kind: None)
    return nullcontext()


def _allow_descriptors(told: Settings) -> None:
    """Of every connection that there may be, and of every region of shared memory."""
    sides, regions = 1 if told.http_port is None else 2, REGIONS if told.shared_memory else 0
    allow_descriptors(told.max_connections * sides + regions)


def say_open_to(door: Door, shared_memory: bool = False) -> None:
    """Say in the log who can come in, where that is not this machine alone."""
    if door.noteworthy:
        log.log(logging.WARNING if door.warns else logging.INFO, "open to: %s, at %s", door.open_to, door.host)
    if shared_memory:
        log.info("shared memory: callers on this machine have files in %s that this user may open", FOLDER)


def _reload(door: Door, reload: Callable[[], object]) -> None:
    """Take up what the files of the door hold now, where all else can be reloaded too."""
    take = door.read()
    reload()
    if said := take():
        log.info("reload: %s", said)


def _next(orders: Orders) -> bool:
    while True:
        with suppress(queue.Empty):
            return orders.get(timeout=LOOK) is True


def reloaded(reload: Callable[[], object]) -> bool:
    """Whether a reload could be done; if not, the log says why."""
    try:
        reload()
    except OfframpError as error:
        log.error("reload: %s All goes on as it was.", error)  # noqa: TRY400  # one line, as everything for operators
    except Exception:
        log.exception("reload: a defect. All goes on as it was.")
    else:
        return True
    return False
