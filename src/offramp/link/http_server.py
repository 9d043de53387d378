"""An HTTP server for an ASGI application, on a thread of its own beside the gRPC server of the same node."""

import socket
import threading
from typing import Any

import uvicorn

from offramp.link.port import port_taken

BACKLOG = 1024
KEEP_ALIVE = 75  # seconds that an idle connection is kept: longer than a client's usual pool does
START = 10.0


class HttpServer:
    """Bound when made, so that a port in use is found before anything is served."""

    def __init__(self, application: Any, host: str, port: int, *, shared: bool = False) -> None:
        self.socket = _bound(host, port, shared=shared)
        self.port = self.socket.getsockname()[1]
        self.address = f"{host}:{self.port}"
        self.server = uvicorn.Server(
            uvicorn.Config(
                application,
                http="httptools",
                ws="none",
                lifespan="off",
                interface="asgi3",
                access_log=False,
                log_config=None,
                log_level="warning",
                server_header=False,
                date_header=False,
                proxy_headers=False,
                timeout_keep_alive=KEEP_ALIVE,
            )
        )
        self.thread = threading.Thread(target=self._serve, name="http", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self.thread.start()

    def stop(self, grace: float) -> None:
        """Take no new connections, let requests in flight finish for up to `grace` seconds, and close."""
        self.server.config.timeout_graceful_shutdown = max(1, round(grace))
        self.server.should_exit = True
        if self.thread.ident is not None:
            self.thread.join(grace + START)
        self.socket.close()

    def _serve(self) -> None:
        self.server.run(sockets=[self.socket])


def _bound(host: str, port: int, *, shared: bool) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise port_taken(host, port) from error
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        bound.bind(address)
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        raise port_taken(host, port) from error
    return bound
