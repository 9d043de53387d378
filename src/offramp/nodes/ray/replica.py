"""What runs in an actor of Ray Serve: an ordinary cloud node, on a port of its own, beside what Ray asks of a replica.

Batches are made by the node's own batcher, not by `serve.batch`: it knows deadlines, refuses what finds no room, takes
out who has gone, and has no request fail another's.
"""

import asyncio
import tempfile
import time
from itertools import chain
from pathlib import Path
from typing import Any

import ray

from offramp.nodes.batching import Batcher
from offramp.nodes.cloud import tails
from offramp.nodes.cloud_process import chosen
from offramp.nodes.contract import CONSUMED
from offramp.nodes.ray.proxy import CALLS, Loopback, Message
from offramp.nodes.ray.scaling import Flying
from offramp.nodes.serving import open_bundles
from offramp.nodes.settings import CloudSettings
from offramp.nodes.told import from_json
from offramp.protocol.door import Access, Door
from offramp.protocol.metrics import Metrics
from offramp.protocol.server import CALLS as AT_ONCE
from offramp.protocol.server import Server

GRACE = 15.0  # seconds that calls in flight get where Ray Serve takes the replica away
CHECK = 10.0  # seconds that the node has to say that it lives


class Replica:
    """One of them. Raises what a node raises that cannot serve these bundles; Ray Serve says so."""

    def __init__(self, settings: str, token: str) -> None:
        told = from_json(settings)
        assert isinstance(told, CloudSettings)
        bundles = open_bundles(told)
        choice = chosen(told, bundles[0])
        self.batcher, self.flying = Batcher(told.limits), Flying()
        self.server = Server(
            chain.from_iterable(tails(bundle, self.batcher, choice) for bundle in bundles),
            ray.util.get_node_ip_address(),
            0,
            max_batch=told.max_batch,
            calls=told.limits.calls + AT_ONCE,
            max_streams=told.max_streams,
            max_connections=told.max_connections,
            consumed=CONSUMED,
            metrics=Metrics(),
            hooks=[self.flying],
            door=_door(token),
            full=self.batcher.full,
        )
        self.server.start()
        self.loopback = Loopback(self.server.address, token)
        self.front, self.asked = "", 0.0

    def where(self, front: str) -> tuple[str, str]:
        """Tell a front where the node listens, and on which machine; it asks again and again while it is there."""
        self.front, self.asked = front, time.monotonic()
        return self.server.address, ray.get_runtime_context().get_node_id()

    def whose(self) -> tuple[str, float]:
        """Tell which front asked last, and how many seconds ago."""
        return self.front, time.monotonic() - self.asked

    async def check_health(self) -> None:
        """Raise where the node does not say that it lives: Ray Serve puts another in its place."""
        channel = self.loopback
        await asyncio.wait_for(channel.call("ServerLive", b"", _Context()), CHECK)

    def record_autoscaling_stats(self) -> dict[str, float]:
        """Requests in flight, in the mean since it was asked last."""
        return {Flying.NAME: self.flying.mean()}

    async def ModelStreamInfer(self, requests: Any) -> Any:  # noqa: N802
        """A proxy's stream."""
        async for message in self.loopback.stream(requests):
            yield message

    def __del__(self) -> None:
        """Ray Serve calls it before it ends the actor: what is in flight is finished."""
        if (server := getattr(self, "server", None)) is not None:
            server.stop(GRACE)
            self.batcher.close()


def _through(name: str) -> Any:
    async def call(self: Replica, request: bytes, grpc_context: Any) -> Message:
        return await self.loopback.call(name, request, grpc_context)

    call.__name__ = name
    return call


for _name in CALLS[:-1]:
    setattr(Replica, _name, _through(_name))


class _Context:
    """Whom an error's status is told, where nobody is."""

    def set_code(self, code: Any) -> None:
        """Nobody listens."""

    def set_details(self, details: Any) -> None:
        """Nobody listens."""


def _door(token: str) -> Door:
    """One that asks for this token. In plain text, as Ray asks for its own within its cluster."""
    with tempfile.TemporaryDirectory(prefix="offramp-") as folder:
        path = Path(folder) / "tokens"
        path.touch(0o600)
        path.write_text(f"front infer,read {token}\n")
        return Door(Access(tokens=str(path)), "127.0.0.1")
