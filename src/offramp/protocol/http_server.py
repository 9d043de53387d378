"""An HTTP server for an ASGI application, on a thread of its own beside the gRPC server of the same node."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import uvicorn

from offramp.errors import OverloadedError
from offramp.protocol.http_connection import Connection
from offramp.protocol.plain import Plain
from offramp.protocol.rest_app import SILENCE
from offramp.sockets import listening
from offramp.unix_sockets import MODE

BACKLOG = 1024
KEEP_ALIVE = 75  # seconds that an idle connection is kept: longer than a client's usual pool does
HANDSHAKE = 20.0  # seconds for a client to come to terms by TLS
START = 10.0
CONNECTIONS = 400  # at once, of each protocol: with both, a process needs fewer than the usual 1,024 descriptors


class _TlsServer(uvicorn.Server):
    """uvicorn's, by this context, where who says nothing or no TLS is given up after `handshake` seconds.

    uvicorn would make a context by itself, that shows the same certificate for ever, and wait a minute.
    """

    def __init__(self, config: uvicorn.Config, tls: ssl.SSLContext, handshake: float) -> None:
        super().__init__(config)
        self.tls, self.handshake = tls, handshake

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        await super().startup(sockets=[])
        state: dict[str, Any] = {"server_state": self.server_state, "app_state": self.lifespan.state}
        made: Any = partial(self.config.http_protocol_class, config=self.config, **state)  # type: ignore[call-arg]
        loop, tls, handshake = asyncio.get_running_loop(), self.tls, self.handshake
        self.servers = [
            await loop.create_server(made, sock=one, backlog=BACKLOG, ssl=tls, ssl_handshake_timeout=handshake)
            for one in sockets or []
        ]


class HttpServer:
    """Bound when made, so that a port in use is found before anything is served. With `tls` it is HTTPS.

    Up to `most` connections are open at once, and `refused` is told of each that was one too many. One is kept for
    `keep_alive` seconds without a request, and `unread` seconds while next to nothing of an answer is read. To come to
    terms by TLS a client has `handshake` seconds.
    """

    def __init__(
        self,
        application: Any,
        host: str,
        port: int,
        *,
        shared: bool = False,
        mode: int = MODE,
        keep_alive: float = KEEP_ALIVE,
        most: int = CONNECTIONS,
        unread: float = SILENCE,
        refused: Callable[[OverloadedError], object] = lambda error: None,
        tls: ssl.SSLContext | None = None,
        handshake: float = HANDSHAKE,
        plain: Plain | None = None,
    ) -> None:
        self.listener = listening(host, port, BACKLOG, shared=shared, mode=mode)
        self.address, self.port = self.listener.address, self.listener.port
        config = uvicorn.Config(
            application,
            http=partial(Connection, most=most, unread=unread, refused=refused, plain=plain),  # type: ignore[arg-type]  # makes one
            ws="none",
            lifespan="off",
            interface="asgi3",
            access_log=False,
            log_config=None,
            log_level="warning",
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=keep_alive,  # type: ignore[arg-type]  # a number of any kind is waited for
        )
        self.server = uvicorn.Server(config) if tls is None else _TlsServer(config, tls, handshake)
        self.thread = threading.Thread(target=self.server.run, args=([self.listener.socket],), name="http", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self.thread.start()

    def stop(self, grace: float) -> None:
        """Take no new connections, let requests in flight finish for up to `grace` seconds, and close."""
        self.server.config.timeout_graceful_shutdown = max(1, round(grace))
        self.server.should_exit = True
        if self.thread.ident is not None:
            self.thread.join(grace + START)
        self.listener.close()
