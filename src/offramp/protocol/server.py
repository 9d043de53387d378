"""A server of the Open Inference Protocol for any `Served` models: gRPC on one port, HTTP on another.

Both sides live on one event loop, and compute on one pool of threads. No thread waits for what a model asks of others.
"""

import asyncio
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from offramp.protocol.data_plane import DataPlane
from offramp.protocol.grpc_server import GrpcServer
from offramp.protocol.http_server import HttpServer
from offramp.protocol.loop import Loop
from offramp.protocol.rest_app import Application
from offramp.protocol.served import Served

CALLS = 32  # computed at once; each holds a thread while the runtime works


class Server:
    """Serves models: bound and ready when made, since models are made before it.

    Models of one name and several versions are told apart by the version that a request names; the first answers where
    it names none. `calls` are computed at once; those that wait for others are not of them. `shared` lets other
    processes of this user listen on the ports too. Without an `http_port` there is no HTTP.
    """

    def __init__(
        self,
        models: Iterable[Served],
        host: str,
        port: int,
        *,
        max_batch: int,
        calls: int = CALLS,
        shared: bool = False,
        http_port: int | None = None,
    ) -> None:
        plane = DataPlane(models, max_batch)
        self.pool = ThreadPoolExecutor(calls, thread_name_prefix="call")
        self.application = Application(plane, self.pool)
        self.http: HttpServer | None = None
        self.loop = Loop("node")
        try:
            # HTTP's first: grpc lets go of a port only when a server that was started stops.
            if http_port is not None:
                self.http = HttpServer(self.application, host, http_port, shared=shared)
            self.grpc = self.loop.run(_made(plane, self.pool, host, port, shared))
        except BaseException:
            if self.http is not None:
                self.loop.run(self.http.stop(0))
            self._end()
            raise
        self.port = self.grpc.port
        self.address = f"{host}:{self.port}"

    def start(self) -> None:
        """Begin to answer."""
        self.loop.run(self.grpc.start())
        if self.http is not None:
            self.loop.run(self.http.start())

    def stop(self, grace: float) -> None:
        """Take no new calls, let those in flight finish for up to `grace` seconds, and close. Once is enough."""
        self.application.stopping = True
        if not self.loop.closed:
            self.loop.run(self._stop(grace))
            self._end()

    async def _stop(self, grace: float) -> None:
        http = [] if self.http is None else [self.http.stop(grace)]
        await asyncio.gather(self.grpc.stop(grace), *http)

    def _end(self) -> None:
        self.pool.shutdown()
        self.loop.close()


async def _made(plane: DataPlane, pool: ThreadPoolExecutor, host: str, port: int, shared: bool) -> GrpcServer:
    return GrpcServer(plane, pool, host, port, shared=shared)
