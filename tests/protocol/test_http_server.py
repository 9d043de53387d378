"""What the HTTP server builds on that uvicorn does not document: an upgrade that drops one fails here by name."""

import asyncio
import socket
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from offramp.protocol.http_connection import Connection


async def untold(scope: Any, receive: Any, send: Any) -> None:
    """An application that says nothing."""


async def made() -> tuple[Any, Any]:
    """A connection's protocol and its cycle, in the middle of a request."""
    config = uvicorn.Config(untold, log_config=None)
    config.load()
    protocol = HttpToolsProtocol(config=config, server_state=ServerState(), app_state={})
    near, far = await asyncio.get_running_loop().run_in_executor(None, socket.socketpair)
    transport, _ = await asyncio.get_running_loop().create_connection(lambda: protocol, sock=near)
    protocol.data_received(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n12")
    cycle = protocol.cycle
    transport.close()
    far.close()
    await asyncio.sleep(0)
    return protocol, cycle


@pytest.mark.parametrize(
    "name",
    [
        "connection_made", "connections", "data_received", "on_body", "on_headers_complete", "on_message_begin",
        "on_message_complete", "on_response_complete", "pause_writing", "resume_writing", "send_400_response",
        "shutdown", "timeout_keep_alive_handler",
        "cycle", "flow", "headers", "loop", "parser", "tasks", "timeout_keep_alive", "timeout_keep_alive_task",
        "transport", "url",
    ],
)  # fmt: skip
def test_a_connection_still_has(name: str) -> None:
    """Called, replaced or read by our protocol."""
    protocol, _ = asyncio.run(made())
    assert hasattr(protocol, name)


def test_a_request_s_body_is_still_kept_as_ours_is() -> None:
    """Bytes that grow, an event that wakes who reads them, and whether the answer is out; reading can be paused."""
    protocol, cycle = asyncio.run(made())
    assert bytes(cycle.body) == b"12"
    assert isinstance(cycle.message_event, asyncio.Event)
    assert cycle.response_complete in (True, False)
    assert callable(protocol.flow.pause_reading)


class Slow:
    """A client's end that has read so much, and a loop whose time is told by hand."""

    def __init__(self) -> None:
        self.left, self.aborted = 10_000, False
        self.due: list[Any] = []

    def get_write_buffer_size(self) -> int:
        """Bytes that it has not read."""
        return self.left

    def abort(self) -> None:
        """It is given up."""
        self.aborted = True

    def call_later(self, seconds: float, call: Any) -> Any:
        """Put off."""
        assert seconds == 2.0
        self.due.append(call)
        return self

    def cancel(self) -> None:
        """Nothing is due any more."""
        self.due.clear()


def test_a_client_that_reads_slowly_is_waited_for_until_it_is_too_slow() -> None:
    """1,000 bytes a second, in each stretch of the time that it has."""
    slow = Slow()
    protocol = Connection(
        config=uvicorn.Config(untold, log_config=None), server_state=ServerState(), app_state={}, _loop=slow,
        most=1, unread=2.0, refused=print,
    )  # fmt: skip
    protocol.transport, protocol.flow = slow, FlowControl(slow)  # type: ignore[assignment, arg-type]
    protocol.pause_writing()
    for left, aborted in ((8_000, False), (6_000, False), (4_001, True)):
        slow.left = left
        slow.due[-1]()
        assert slow.aborted == aborted


def test_a_server_is_still_stopped_by_these() -> None:
    """A flag that it looks at, and the grace that it reads when it stops."""
    server = uvicorn.Server(uvicorn.Config(untold, log_config=None))
    assert server.should_exit is False
    assert server.config.timeout_graceful_shutdown is None
