"""The shaper between real sockets: what it promises, held by bounds that a machine which stalls cannot break.

Time is taken before the first byte is sent and after a byte was received, so a stall only makes bytes later.
"""

import asyncio
import hashlib
import logging
import math
import os
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import uvloop

from manual_time import ManualTime
from offramp.errors import InputError, PortInUseError
from offramp.link.shape import LinkShape
from offramp.link.shaper import End, Shaper
from ports import held_port

WAIT = 30.0
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
UNSHAPED = LinkShape()


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    """Runs a coroutine on each kind of loop, and holds that nothing fails in the background."""

    def on_a_loop(main: Any) -> Any:
        failed: list[dict[str, Any]] = []
        factory = uvloop.new_event_loop if request.param == "uvloop" else None
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.get_loop().set_exception_handler(lambda _, context: failed.append(context))
            found = runner.run(asyncio.wait_for(main, WAIT))
        assert failed == []
        return found

    return on_a_loop


@asynccontextmanager
async def target(serve: Serve, path: Path | None = None) -> AsyncIterator[str]:
    """A server, at a Unix socket's path or a port; give its address."""

    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    if path is None:
        server = await asyncio.start_server(closing, "127.0.0.1", 0)
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    else:
        server, address = await asyncio.start_unix_server(closing, path), f"unix:{path}"
    try:
        yield address
    finally:
        server.close()


@asynccontextmanager
async def shaped(shape: LinkShape, to: str) -> AsyncIterator[Shaper]:
    """A shaper in this process."""
    shaper = Shaper(shape, to)
    await shaper.start()
    try:
        yield shaper
    finally:
        await shaper.stop()


async def connect(address: str) -> Streams:
    """A client's connection."""
    host, _, port = address.rpartition(":")
    return await asyncio.open_connection(host, int(port))


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back what comes, and end when it ends."""
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()


async def digest(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with the digest of all that came, once it has ended."""
    writer.write(hashlib.sha256(await reader.read()).digest())
    await writer.drain()


async def timed(reader: asyncio.StreamReader, size: int) -> list[tuple[float, int]]:
    """Read `size` bytes; when so many had been received in all."""
    found, received = [], 0
    while received < size:
        data = await reader.read(1 << 16)
        assert data
        received += len(data)
        found.append((time.monotonic(), received))
    return found


@pytest.mark.parametrize(
    "shape",
    [
        UNSHAPED,
        LinkShape(delay=0.001, jitter=0.002),
        LinkShape(up=20 * 10**6, down=40 * 10**6, delay=0.002, jitter=0.001),
        LinkShape(up=10**9, down=10**9, loss=0.0005, delay=0.0001),
    ],
    ids=str,
)
def test_bytes_arrive_unchanged_in_order_and_each_direction_ends_by_itself(run: Any, shape: LinkShape) -> None:
    """The client ends, and then hears the answer to all that it sent."""

    async def main() -> None:
        sent = os.urandom(1_000_003)
        async with target(digest) as address, shaped(shape, address) as link:
            reader, writer = await connect(link.address)
            writer.write(sent)
            writer.write_eof()
            assert await reader.read() == hashlib.sha256(sent).digest()
            writer.close()
            await writer.wait_closed()

    run(main())


def test_the_target_may_end_first(run: Any) -> None:
    """The client still sends, and the target still reads."""

    async def main() -> None:
        heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def end_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"bye")
            writer.write_eof()
            heard.set_result(await reader.read())

        async with target(end_first) as address, shaped(LinkShape(delay=0.001), address) as link:
            reader, writer = await connect(link.address)
            assert await reader.read() == b"bye"
            writer.write(b"still here")
            writer.write_eof()
            assert await heard == b"still here"
            writer.close()

    run(main())


@pytest.mark.parametrize("rate", [10**6, 10**8, 10**9])
def test_no_more_bytes_come_than_pass_at_the_rate(run: Any, rate: int) -> None:
    """At any time since the first was sent, in both directions at once, over all connections together."""

    async def main() -> None:
        size = max(rate // 8 // 10, 60_000)  # a tenth of a second's
        shape = LinkShape(up=rate, down=rate)
        async with target(echo) as address, shaped(shape, address) as link:
            streams = [await connect(link.address) for _ in range(3)]
            start = time.monotonic()
            for _, writer in streams:
                writer.write(bytes(size))
            received = await asyncio.gather(*(timed(reader, size) for reader, _ in streams))
            for _, writer in streams:
                writer.close()
        for at, _ in received[0] + received[1] + received[2]:
            so_far = sum(max((n for when, n in stream if when <= at), default=0) for stream in received)
            assert so_far <= (at - start) * rate / 8

    run(main())


@pytest.mark.parametrize("shape", [LinkShape(delay=0.02), LinkShape(delay=0.01, jitter=0.01, up=10**7), LinkShape()])
def test_nothing_comes_earlier_than_the_delay(run: Any, shape: LinkShape) -> None:
    """A round trip takes two; the first one on a connection, whose handshake is another, four."""

    async def main() -> None:
        async with target(echo) as address, shaped(shape, address) as link:
            start = time.monotonic()
            reader, writer = await connect(link.address)
            for trip in range(20):
                writer.write(b"%9d" % trip)
                assert await reader.readexactly(9) == b"%9d" % trip
                took = time.monotonic() - start
                assert took >= (2 if trip else 4) * shape.delay
                start = time.monotonic()
            writer.close()

    run(main())


class Recorder:
    """A transport in memory: what was written to it and when, and whether it is read from."""

    def __init__(self, time_: ManualTime) -> None:
        self.time, self.written, self.reading = time_, list[tuple[float, int]](), True

    def set_write_buffer_limits(self, high: int) -> None:
        """Take any amount."""

    def write(self, data: bytes) -> None:
        """Note its size."""
        self.written.append((self.time.now, len(data)))

    def pause_reading(self) -> None:
        """Read no more."""
        self.reading = False

    def resume_reading(self) -> None:
        """Read on."""
        self.reading = True


def in_memory(shape: LinkShape, time_: ManualTime) -> tuple[tuple[End, Recorder], tuple[End, Recorder]]:
    """The client's end and the target's of a connection whose time the test moves, and what each is connected to."""
    shaper = Shaper(shape, "127.0.0.1:1")
    shaper.listener.close()
    shaper.schedule = time_.schedule()
    near, far = ((end, Recorder(time_)) for end in End.pair(shaper))
    for end, transport in (near, far):
        end.connection_made(cast("asyncio.Transport", transport))
    return near, far


def read(end: End, size: int) -> None:
    """So many bytes come in."""
    assert len(end.get_buffer(-1)) >= size
    end.buffer_updated(size)


@pytest.mark.parametrize("direction", ["up", "down"])
def test_bytes_come_exactly_when_the_link_lets_them(direction: str) -> None:
    """At the direction's rate as soon as all before them have passed, and one delay later: nor sooner nor later."""
    time_ = ManualTime(now=100.0)
    near, far = in_memory(LinkShape(up=8_000_000, down=4_000_000, delay=0.25), time_)
    (source, _), (_, sink), rate = (near, far, 1_000_000) if direction == "up" else (far, near, 500_000)
    read(source, 1448)
    read(source, 724)
    while len(sink.written) < 2:
        time_.move()
    assert sink.written == [
        (pytest.approx(100.25 + 1448 / rate, abs=1e-9), 1448),
        (pytest.approx(100.25 + (1448 + 724) / rate, abs=1e-9), 724),
    ]


def test_a_sender_is_stopped_by_a_tenth_of_a_second_of_bytes_and_read_again_at_half_of_that() -> None:
    """As a router's buffer would."""
    time_ = ManualTime(now=100.0)
    (near, client), _ = in_memory(LinkShape(up=8_000_000, delay=0.25), time_)
    for _ in range(4):
        read(near, 25_000)
        assert client.reading
    read(near, 1_000)
    assert not client.reading
    while not client.reading:
        time_.move()
    assert time_.now == pytest.approx(100.051, abs=1e-9)


def test_a_connection_is_opened_after_exactly_one_round_trip(run: Any) -> None:
    """As TCP's handshake takes."""

    async def main() -> None:
        time_, opened = ManualTime(now=100.0), asyncio.Event()

        async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            opened.set()

        async with target(accepted) as address:
            shaper = Shaper(LinkShape(delay=0.25), address)
            await shaper.start(time_.schedule())
            _, writer = await connect(shaper.address)
            while time_.armed == math.inf:
                await asyncio.sleep(0.001)
            assert not opened.is_set()
            assert time_.move() == 100.5
            await opened.wait()
            writer.close()
            await shaper.stop()

    run(main())


def test_either_end_may_be_a_unix_socket(run: Any, tmp_path: Path) -> None:
    """Its file goes with the shaper."""

    async def main() -> None:
        async with target(echo, tmp_path / "node.sock") as address:
            shaper = Shaper(UNSHAPED, address, f"unix:{tmp_path}/link.sock")
            await shaper.start()
            assert shaper.address == f"unix:{tmp_path}/link.sock"
            reader, writer = await asyncio.open_unix_connection(tmp_path / "link.sock")
            writer.write(b"hello" * 20_000)
            writer.write_eof()
            assert await reader.read() == b"hello" * 20_000
            writer.close()
            await shaper.stop()
        assert not (tmp_path / "link.sock").exists()

    run(main())


def test_a_lost_packet_stalls_its_connection_and_no_other(run: Any) -> None:
    """By the time-out at least; what another connection sends later overtakes it."""

    async def main() -> None:
        async with target(echo) as address, shaped(UNSHAPED, address) as link:
            (reader, writer), (other_reader, other_writer) = await connect(link.address), await connect(link.address)
            for r, w in ((reader, writer), (other_reader, other_writer)):
                w.write(b"hello")
                assert await r.readexactly(5) == b"hello"
            # The next packet and, as good as surely, no other; for longer than this machine stalls.
            link.up.loss, link.up.lost, link.up.wait = 1e-9, 1, 3.0
            start = time.monotonic()
            writer.write(b"lost, ")
            while link.up.lost == 1:
                await asyncio.sleep(0.001)
            writer.write(b"and behind it")
            other_writer.write(b"not held up")
            first = asyncio.create_task(other_reader.readexactly(11))
            second = asyncio.create_task(reader.readexactly(19))
            done, _ = await asyncio.wait((first, second), return_when=asyncio.FIRST_COMPLETED)
            assert first in done
            assert await second == b"lost, and behind it"
            assert time.monotonic() - start >= 3.0
            writer.close()
            other_writer.close()

    run(main())


@pytest.mark.parametrize("shape", [UNSHAPED, LinkShape(up=10**9, delay=0.005)], ids=str)
def test_a_receiver_that_does_not_read_stops_the_sender_and_nobody_else(run: Any, shape: LinkShape) -> None:
    """What is held is bounded, and all of it arrives when the receiver reads again."""

    async def main() -> None:
        reads = asyncio.Event()

        async def wait_then_digest(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            first = await reader.readexactly(1)
            if first == b"s":
                await reads.wait()
                await digest(reader, writer)
            else:
                writer.write(first)

        async with target(wait_then_digest) as address, shaped(shape, address) as link:
            reader, writer = await connect(link.address)
            block, sent = os.urandom(1 << 20), hashlib.sha256()
            writer.write(b"s")
            for _ in range(256):  # until the sender's own socket takes no more for a while
                writer.write(block)
                sent.update(block)
                try:
                    await asyncio.wait_for(writer.drain(), 1)
                except TimeoutError:
                    break
            else:
                pytest.fail("the sender was never stopped")
            assert max(end.held for end in link.ends) <= link.up.window + link.up.read
            other_reader, other_writer = await connect(link.address)
            other_writer.write(b"o")
            assert await other_reader.read() == b"o"
            reads.set()
            writer.write_eof()
            assert await reader.read() == sent.digest()
            writer.close()
            other_writer.close()

    run(main())


def test_what_waits_in_front_of_a_slow_link_is_bounded(run: Any) -> None:
    """A tenth of a second's bytes, and one read of each connection on top."""

    async def main() -> None:
        shape = LinkShape(up=10**6)
        async with target(echo) as address, shaped(shape, address) as link:
            streams = [await connect(link.address) for _ in range(4)]
            for _, writer in streams:
                writer.write(bytes(1 << 20))
            most = 0.0
            for _ in range(200):
                await asyncio.sleep(0.002)
                most = max(most, link.up.backlog(time.monotonic()))
            assert 0 < most <= 0.1 + 4 * link.up.read * 8 / 10**6
            for _, writer in streams:
                writer.transport.abort()

    run(main())


def test_every_one_of_many_connections_gets_through_a_full_link(run: Any) -> None:
    """None is forgotten while the queue is full."""

    async def one(link: Shaper, number: int) -> None:
        reader, writer = await connect(link.address)
        sent = os.urandom(20_000 + number)
        writer.write(sent)
        writer.write_eof()
        assert await reader.read() == hashlib.sha256(sent).digest()
        writer.close()

    async def main() -> None:
        shape = LinkShape(up=5 * 10**6, delay=0.01, jitter=0.005)
        async with target(digest) as address, shaped(shape, address) as link:
            await asyncio.gather(*(one(link, number) for number in range(30)))

    run(main())


def test_a_target_that_is_not_there_breaks_the_connection_and_is_said(
    run: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """As a refusal is over a real link, a round trip later; the next connection finds it if it has come."""

    async def main() -> str:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
            async with shaped(LinkShape(delay=0.005), address) as link:
                reader, writer = await connect(link.address)
                with pytest.raises(ConnectionError):
                    await reader.readexactly(1)
                writer.close()
                free.listen()
                with socket.create_connection(("127.0.0.1", int(link.address.split(":")[1]))):
                    accepted, _ = await asyncio.to_thread(free.accept)
                    accepted.close()
        return address

    with caplog.at_level(logging.WARNING, "offramp"):
        address = run(main())
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith(f"link: {address} does not take connections (")


def test_a_connection_that_breaks_breaks_on_the_other_side(run: Any) -> None:
    """With a reset, behind what was on its way."""

    async def main() -> None:
        heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def until_it_breaks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.set_result(await reader.readexactly(5))
            with pytest.raises(ConnectionError):
                await reader.readexactly(1)
            broke.set()

        broke = asyncio.Event()
        async with target(until_it_breaks) as address, shaped(LinkShape(delay=0.005), address) as link:
            _, writer = await connect(link.address)
            writer.write(b"hello")
            assert await heard == b"hello"
            linger = struct.pack("ii", 1, 0)  # close with a reset
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
            await broke.wait()

    run(main())


def test_stopped_it_leaves_nothing_open(run: Any) -> None:
    """Neither sockets nor timers of its own, and clients find their connections broken, whatever they were doing."""

    def descriptors() -> set[str]:
        """What is open, by name: sockets and timers."""
        return {link for fd in Path("/proc/self/fd").iterdir() if (link := _read(fd)).startswith(("socket", "anon"))}

    def _read(fd: Path) -> str:
        try:
            return str(fd.readlink())
        except FileNotFoundError:  # the listing's own
            return ""

    async def main(port: int) -> None:
        async with target(echo) as address:
            before = descriptors()
            shaper = Shaper(LinkShape(up=10**5, delay=0.05), address, port=port)
            await shaper.start()
            streams = [await connect(shaper.address) for _ in range(3)]
            streams[0][1].write(bytes(100_000))
            streams[1][1].write_eof()
            await asyncio.sleep(0.15)  # past the handshake, in the middle of the bytes
            late = await connect(shaper.address)
            await shaper.stop()
            for reader, writer in (streams[0], late):
                with pytest.raises(ConnectionError):
                    await reader.read()
                writer.close()
            for _, writer in streams[1:]:
                writer.close()
            while descriptors() - before:  # the target's ends, which it closes by itself
                await asyncio.sleep(0.01)
            with pytest.raises(ConnectionRefusedError):
                await connect(shaper.address)

    with held_port() as port:
        run(main(port))


def test_a_port_that_is_taken_is_said() -> None:
    """Before anything is forwarded."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortInUseError) as caught:
            Shaper(UNSHAPED, "127.0.0.1:1", port=port)
    assert str(caught.value) == (
        f"cannot listen on 127.0.0.1:{port}: the port is taken, or the host is not this machine's. "
        "Choose another with --port, or stop what listens there."
    )


def test_an_address_that_is_none_is_said() -> None:
    """The same as everywhere."""
    with pytest.raises(InputError, match="expected HOST:PORT"):
        Shaper(UNSHAPED, "cloud")
