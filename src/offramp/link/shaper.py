"""A link between a port and a target, in user space: forwards TCP connections, shaped as `LinkShape` says.

What comes in at the port is read, held for as long as the link would take, and written to the target; and back. All
connections share the link. Reading stops while the link's queue is full, or while a connection has too much on its way,
so the sender's own TCP stops it, and memory stays bounded. Stands in nobody else's process: see `link.shaper_process`.
"""

import asyncio
import logging
import socket
import struct
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, cast

from offramp.link.lane import QUEUE, Lane
from offramp.link.schedule import Schedule
from offramp.link.shape import LinkShape
from offramp.link.trace import Trace, TracedLane
from offramp.sockets import check_address, listening, split_address
from offramp.unix_sockets import path_of

log = logging.getLogger("offramp")

CONNECT = 10.0  # seconds until a target that does not answer is given up
RECOVER = 0.1  # seconds until the next connection is taken after one could not be
LAST_CALLS = 5.0  # seconds that transports get to say that they are closed
MOST_CONNECTIONS = 1024
RESET = (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # when closed, instead of an orderly end
WRITE = 1 << 19  # bytes that a receiver may leave unread before what comes next is held back


class End(asyncio.BufferedProtocol):
    """One of the two sockets of a connection: what it reads goes by its lane to its peer, which writes it."""

    transport: asyncio.Transport
    peer: "End"

    def __init__(self, lane: Lane, shaper: "Shaper") -> None:
        self.lane, self.shaper = lane, shaper
        self.buffer = memoryview(bytearray(lane.read))
        self.last = 0.0  # when the last of what it read arrives: nothing overtakes
        self.held = 0  # bytes that it read and its peer has not written
        self.reading, self.looking = True, False  # looking: it is going to see whether it may read again
        self.ended = self.closed = self.broken = False  # ended: all that its peer read is written
        self.blocked = True  # until it is connected, and while the receiver is slow
        self.unwritten: deque[bytes | None] = deque()  # None: the end

    @classmethod
    def pair(cls, shaper: "Shaper") -> "tuple[End, End]":
        """The two of a connection: the client's and the target's."""
        near, far = cls(shaper.up, shaper), cls(shaper.down, shaper)
        near.peer, far.peer = far, near
        return near, far

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to read, and write what has come already."""
        # uvloop's own has all that asyncio's has and does not descend from it.
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=WRITE)
        self.shaper.ends.add(self)
        if self.broken:
            self.abort()
        else:
            self.resume_writing()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Give where to read to."""
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Send what was read on its way."""
        start = 0
        for size, arrival in self.lane.cross(nbytes, self.shaper.schedule.clock()):
            self.last = max(self.last, arrival)
            self.held += size
            self.shaper.schedule.at(self.last, self.peer.write, bytes(self.buffer[start : start + size]))
            start += size
        self._regulate()

    def eof_received(self) -> bool:
        """The end travels behind the last byte; the other direction stays open."""
        self._send_last(self.peer.write, None)
        return True

    def connection_lost(self, error: Exception | None) -> None:
        """A connection that broke breaks on the other side, behind what is on its way."""
        self.closed = True
        self.unwritten.clear()
        self.shaper.ends.discard(self)
        if not (self.ended and self.peer.ended):
            self._send_last(self.peer.abort)

    def _send_last(self, call: Callable[..., None], *arguments: object) -> None:
        ((_, arrival),) = self.lane.cross(0, self.shaper.schedule.clock())
        self.last = max(self.last, arrival)
        self.shaper.schedule.at(self.last, call, *arguments)

    def pause_writing(self) -> None:
        """The receiver is slow."""
        self.blocked = True

    def resume_writing(self) -> None:
        """It has caught up."""
        self.blocked = False
        while self.unwritten and not self.blocked:
            self._write(self.unwritten.popleft())

    def write(self, data: bytes | None) -> None:
        """Hand over what has crossed the link; None is the end."""
        if self.blocked and not self.closed:
            self.unwritten.append(data)
        else:
            self._write(data)

    def _write(self, data: bytes | None) -> None:
        if data is not None:
            self.peer.held -= len(data)
            if not self.closed:
                self.transport.write(data)
            self.peer._regulate()
        elif not self.closed:
            self.ended = True
            if self.peer.ended:
                self.transport.close()
                self.peer.transport.close()
            else:
                self.transport.write_eof()

    def abort(self) -> None:
        """Break the connection, with a reset: without one it would look like an end."""
        self.broken = True
        if self in self.shaper.ends:
            connection = self.transport.get_extra_info("socket")
            if connection is None:  # uvloop's transport of a connection that ended as it was made: it says no more
                self.connection_lost(None)
                return
            connection.setsockopt(*RESET)
            self.transport.abort()

    def _regulate(self) -> None:
        """Read, or leave what comes in the sender's socket, by how much is on the way."""
        if self.closed:
            return
        now = self.shaper.schedule.clock()
        backlog = self.lane.backlog(now)
        if backlog > QUEUE and not self.looking:
            self.looking = True
            self.shaper.schedule.at(now + backlog - QUEUE / 2, self._look)
        wanted = backlog <= QUEUE and self.held < self.lane.window
        if wanted and not self.reading:
            self.transport.resume_reading()
        elif self.reading and not wanted:
            self.transport.pause_reading()
        self.reading = wanted

    def _look(self) -> None:
        self.looking = False
        self._regulate()


class Shaper:
    """Forwards what comes to `host:port` to `target`, HOST:PORT. Port 0 chooses a free one.

    Raises PortInUseError where it cannot listen. A connection is opened to the target one round trip after it came, as
    TCP's handshake takes; where the target does not take it, it breaks, and the log says why.
    """

    def __init__(
        self, shape: LinkShape | Trace, target: str, host: str = "127.0.0.1", port: int = 0, *, seed: int = 0
    ) -> None:
        self.shape, self.target = shape, check_address(target)
        self.up, self.down = _lanes(shape, seed)
        self.listener = listening(host, port, MOST_CONNECTIONS, http=False)
        self.listener.socket.setblocking(False)
        self.address = self.listener.address
        self.ends: set[End] = set()  # that are connected
        self.tasks: set[asyncio.Task[None]] = set()  # that accept or connect

    async def start(self, schedule: Schedule | None = None) -> None:
        """Begin to take connections; what is under way keeps to the schedule's clock."""
        self.schedule = schedule or Schedule(asyncio.get_running_loop())
        self._spawn(self._accept())

    async def stop(self) -> None:
        """Break every connection and close the port."""
        self.schedule.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.listener.close()
        for end in tuple(self.ends):
            end.abort()
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_CALLS):
                while self.ends:
                    await asyncio.sleep(0)  # the transports' own last calls

    def _handshake(self) -> float:
        """When the answer to a packet of next to no bytes is here, were it alone on the link."""
        now, shape = self.schedule.clock(), self.shape
        if isinstance(shape, LinkShape):
            return now + 2 * shape.delay
        there = shape.passed(0, now, up=True)
        there += shape.delay(there)
        return there + shape.delay(there)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = await loop.sock_accept(self.listener.socket)
            except OSError as error:  # no descriptors are left, or it went before it was taken
                log.warning("link: a connection to %s was not taken: %s", self.address, error)
                await asyncio.sleep(RECOVER)
                continue
            if len(self.tasks) + len(self.ends) // 2 > MOST_CONNECTIONS:
                log.warning("link: more than %d connections: one to %s broken", MOST_CONNECTIONS, self.address)
                _break(client)
            else:
                self._spawn(self._connect(client))

    async def _connect(self, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        near, far = End.pair(self)
        try:
            handshake = loop.create_future()
            self.schedule.at(self._handshake(), handshake.set_result, None)
            await handshake
            async with asyncio.timeout(CONNECT):
                if (path := path_of(self.target)) is not None:
                    await loop.create_unix_connection(lambda: far, path)
                else:
                    await loop.create_connection(lambda: far, *split_address(self.target))
            if client.family != socket.AF_UNIX:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.connect_accepted_socket(lambda: near, client)
        except (OSError, TimeoutError) as error:
            why = f"no answer in {CONNECT:g} s" if isinstance(error, TimeoutError) else error
            log.warning("link: %s does not take connections (%s): one to %s broken", self.target, why, self.address)
        finally:
            if near not in self.ends and not near.closed:
                _break(client)
                far.abort()


def _lanes(shape: LinkShape | Trace, seed: int) -> tuple[Lane, Lane]:
    """Of a link up and down."""
    if isinstance(shape, Trace):
        return TracedLane(shape, up=True), TracedLane(shape, up=False)
    also = {"delay": shape.delay, "jitter": shape.jitter, "loss": shape.loss}
    return Lane(shape.up, **also, seed=2 * seed), Lane(shape.down, **also, seed=2 * seed + 1)


def _break(connection: socket.socket) -> None:
    """Close with a reset, as a connection that was refused."""
    connection.setsockopt(*RESET)
    connection.close()
