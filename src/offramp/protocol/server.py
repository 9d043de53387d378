"""A server of the Open Inference Protocol for any `Served` models: gRPC on one port, HTTP on another."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

from offramp.errors import OverloadedError
from offramp.machine import cores_to_use
from offramp.protocol import grpc_service as rpc
from offramp.protocol import messages as pb
from offramp.protocol.apart import Entrance, on
from offramp.protocol.cross_origin import CrossOrigin
from offramp.protocol.data_plane import DataPlane
from offramp.protocol.door import Door
from offramp.protocol.guarded import GuardedApplication, GuardedCalls
from offramp.protocol.http_server import CONNECTIONS, HANDSHAKE, HttpServer
from offramp.protocol.identity import Identity
from offramp.protocol.metrics import WAITING, Metrics
from offramp.protocol.page import Page
from offramp.protocol.peer import KEEPALIVE_MS
from offramp.protocol.plain import Plain
from offramp.protocol.plans import Plans
from offramp.protocol.pool import Pool
from offramp.protocol.record import Hook, Tracing
from offramp.protocol.rest_app import IN_HAND, Application
from offramp.protocol.served import Listening, Served
from offramp.protocol.shared_memory import Regions
from offramp.protocol.streams import Streams
from offramp.sockets import join_address, port_taken
from offramp.unix_sockets import MODE, SCHEME, SocketFile, http_beside, path_of

# The health service would send from the thread that says what changed, and wait there, holding what grpc needs for the
# end of a call: a node that stopped then stood still.
WATCHED_WITHOUT_THREADS = False
VANISHED = 20.0  # seconds after which a client is given up that answers no ping, and its calls with it
STREAMS = 128  # open at once: each holds a thread while it waits for its client
OPENING = 2  # threads for who asks whether a model is ready: it may have to be opened, which takes up to seconds
TELLING = 2  # threads for what a node tells of itself, whatever it computes
LOOK = 0.05  # seconds between looks, of a node that stops, at what is under way
# Computed at once: each holds a thread while the runtime works, and none while it waits for other nodes. Threads that
# compute share the cores with the one that reads what comes: with 32 of them it was late by seconds.
CALLS = cores_to_use(0) + 1


class Server:
    """Serves models: bound and ready when made, since models are made before it.

    Models of one name and several versions are told apart by the version that a request names; the first answers where
    it names none. `calls` are computed at once on each side, and `max_streams` are open beside them; what the node
    tells of itself waits for neither. Each side has up to `max_connections`. `shared` lets other processes of this user
    listen on the ports too. A `host` that is unix:/PATH is a Unix socket, whose file has `mode`; HTTP's is beside it,
    whatever the ports. `shared_memory` is offered to callers on this machine. A client that is silent for `vanished`
    seconds, to pings too, has gone: its calls are ended. Without an `http_port` there is no HTTP. `consumed` parameters
    do not come back with an answer. Of HTTP: web pages of `origins` may ask, and paths may begin with `root_path`.
    `unready` says why the node is not ready, in every way that it can be asked; when that changes, `say_health` is to
    be called. `full` says why a call is refused as it comes. A `door` says who may come in; without one everybody may,
    in plain text. `metrics` count what is asked, and `page` shows them; `plans` are told, and changed by who may.
    `hooks` are told of each request too, and `tracing` has a part in its trace.
    """

    http: HttpServer | None = None
    file: SocketFile | None = None

    def __init__(
        self,
        models: Iterable[Served],
        host: str,
        port: int,
        *,
        max_batch: int,
        calls: int = CALLS,
        shared: bool = False,
        mode: int = MODE,
        shared_memory: bool = False,
        max_streams: int = STREAMS,
        max_connections: int = CONNECTIONS,
        vanished: float = VANISHED,
        http_port: int | None = None,
        consumed: Iterable[str] = (),
        origins: Collection[str] = (),
        root_path: str = "",
        unready: Callable[[], str | None] = lambda: None,
        metrics: Metrics | None = None,
        page: Page | None = None,
        plans: Plans | None = None,
        hooks: Sequence[Hook] = (),
        tracing: Tracing | None = None,
        door: Door | None = None,
        full: Callable[[], OverloadedError | None] = lambda: None,
    ) -> None:
        self.plane = DataPlane(models, max_batch, consumed, unready, metrics, hooks, tracing)
        self.plane.regions = Regions(self.plane.bounds.message) if shared_memory else None
        self.streams = Streams(max_streams, self.plane.statistics.refused)
        telling, opening = Pool(TELLING, "telling"), Pool(OPENING, "opening")
        self.pools = [Pool(calls, "grpc"), Pool(calls, "http"), telling, opening, self.streams.pool]
        for pool in self.pools:
            pool.told = self.plane.statistics.metrics.gauge(WAITING, pool.name)
        tokens, identity = (None, None) if door is None else (door.tokens, door.identity)
        if door is not None:
            door.refusals.told = self.plane.statistics.metrics.shut_out
        guards = [] if door is None or tokens is None else [GuardedCalls(tokens, door.refusals, telling)]
        self.pools[0].full = self.pools[1].full = full
        self.server = grpc.server(
            self.pools[0],
            interceptors=guards,
            options=_options(self.plane.bounds.message, vanished, max_connections, shared=shared),
        )
        self.health = health.HealthServicer(experimental_non_blocking=WATCHED_WITHOUT_THREADS)
        self._add_calls(self.pools[0], telling, opening)
        self.application = Application(self.plane, self.pools[1], opening, root_path=root_path, page=page, plans=plans)
        front = _guarded(self.application, door, root_path)
        fronts = (CrossOrigin(front, origins), None) if origins else (front, Plain(self.application, tokens))
        try:
            self._listen(fronts, host, (port, http_port), max_connections, identity, shared=shared, mode=mode)
        except BaseException as error:
            if self.http is not None:
                self.http.stop(0)
            self.server.stop(None)
            for pool in self.pools:
                pool.shutdown()
            if isinstance(error, RuntimeError):  # grpc's
                raise port_taken(host, port) from error
            raise

    def _add_calls(self, calls: Pool, telling: Pool, opening: Pool) -> None:
        """Have the gRPC server answer for the protocol, for health and for reflection, each on threads of its own."""
        self.health.Check = on(telling, self.health.Check)
        self.health.Watch = self.streams.counted(self.health.Watch)
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self.server)
        most = max(1, IN_HAND // self.plane.bounds.message)
        self.entrance, opens_in = (Entrance(pool, self.plane.statistics.refused, most) for pool in (calls, opening))
        rpc.add_to(self.server, self.plane, self.entrance, telling, opens_in, self.streams)
        for known in (health_pb2, reflection_pb2):  # all that is told of lies in one pool
            pb.POOL.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
        services = (pb.SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
        told = reflection.ReflectionServicer(services, pool=pb.POOL)
        told.ServerReflectionInfo = self.streams.counted(told.ServerReflectionInfo)
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(told, self.server)

    def _listen(
        self,
        fronts: tuple[Any, Plain | None],
        host: str,
        ports: tuple[int, int | None],
        most: int,
        by: Identity | None,
        *,
        shared: bool,
        mode: int,
    ) -> None:
        """Open both sides, HTTP's first: grpc lets go of a port only when a server that was started stops."""
        (front, plain), (port, http_port), path = fronts, ports, path_of(host)
        if http_port is not None:
            refused, tls = self.plane.statistics.refused, None if by is None else by.http_context(most)
            at = host if path is None else f"{SCHEME}{http_beside(path)}"
            self.http = HttpServer(
                front, at, http_port, shared=shared, mode=mode, most=most, refused=refused, tls=tls, plain=plain
            )
        if path is not None:
            self.file, self.port, self.address = SocketFile(path, mode), 0, f"{SCHEME}{path}"
            with self.file.taken() as name:
                self.server.add_insecure_port(f"{SCHEME}{name}")
            return
        at = join_address(host, port)
        if by is None:
            self.port = self.server.add_insecure_port(at)
        else:
            self.port = self.server.add_secure_port(at, by.grpc_credentials())
        self.address = join_address(host, self.port)

    def start(self) -> None:
        """Begin to answer."""
        self.server.start()
        if self.http is not None:
            self.http.start()
        self.say_health()

    def say_health(self) -> None:
        """Tell those who follow the health service whether the node is ready now."""
        said = health_pb2.HealthCheckResponse
        for name in ("", pb.SERVICE):
            self.health.set(name, said.SERVING if self.plane.unready() is None else said.NOT_SERVING)

    def stop(self, grace: float) -> None:
        """Take no new calls, let those in flight finish for up to `grace` seconds, and close.

        A stream on which nothing is under way ends at once; one that is open for what others' calls bring, after those.
        """
        self.health.enter_graceful_shutdown()
        self.application.stopping = True
        stopped = self.server.stop(grace)
        self.streams.end()
        if self.http is not None:
            self.http.stop(grace)
        listening = [model for model in self.plane.catalog if isinstance(model, Listening)]
        while listening and self._works(listening) and not stopped.wait(LOOK):
            pass
        for model in listening:
            model.close()
        stopped.wait()
        if self.file is not None:
            self.file.remove()
        for pool in self.pools:
            pool.shutdown()

    def _works(self, listening: Iterable[Listening]) -> bool:
        """Whether any call over gRPC is under way, but for streams that are open for others'."""
        streams = self.streams.open - sum(model.listeners for model in listening)
        return streams > 0 or self.entrance.aside > 0 or self.pools[0].works


def _guarded(application: Any, door: Door | None, root_path: str) -> Any:
    """An application that asks for a token, where the door knows any; a browser asks before it whether it may."""
    if door is None or door.tokens is None:
        return application
    return GuardedApplication(application, door.tokens, door.refusals, root_path)


def _options(largest: int, vanished: float, most: int, *, shared: bool) -> list[tuple[str, int]]:
    """What grpc is told: the largest message in bytes, seconds until a client is given up, and connections at once."""
    return [
        ("grpc.max_allowed_incoming_connections", most),
        # Unless told not to, grpc lets two servers share a port, and each answers some of the calls.
        ("grpc.so_reuseport", int(shared)),
        ("grpc.max_receive_message_length", largest),
        ("grpc.max_send_message_length", -1),
        ("grpc.server_handshake_timeout_ms", round(1000 * HANDSHAKE)),  # else two minutes
        # Pings closer than this while nothing is said are taken for an attack, and the connection is ended.
        ("grpc.http2.min_ping_interval_without_data_ms", KEEPALIVE_MS // 2),
        ("grpc.keepalive_permit_without_calls", 1),
        # A network that dies quietly, or a client that is stopped, ends no connection: it is asked.
        ("grpc.keepalive_time_ms", round(500 * vanished)),
        ("grpc.keepalive_timeout_ms", round(500 * vanished)),
        ("grpc.http2.ping_timeout_ms", round(500 * vanished)),  # else a ping has a minute
        ("grpc.http2.max_pings_without_data", 0),
    ]
