"""A connection of the HTTP server: uvicorn's, which takes what is plain past ASGI, and bounds what a client may hold.

What it bounds: bytes beside a body, time without a request, time in which an answer is not read, connections at once.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from offramp.errors import OverloadedError
from offramp.protocol.gone import Gone
from offramp.protocol.plain import PATIENCE, Exchange, Plain
from offramp.protocol.rest_app import GONE, SLOWEST
from offramp.protocol.rest_body import to_json

HEADERS = 1 << 16  # bytes of a request before its body, and behind it
PART = 1 << 20  # bytes of a body that are handed on at once: a batch of 32 images in one piece, not in seven
TOLD = 1.0  # seconds after which a slow body's bytes are handed on all the same
CLOSE = b"connection: close\r\n"
TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\n" + CLOSE + b"content-length: 0\r\n\r\n"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n"


class Parser(httptools.HttpRequestParser):
    """Reads requests past an offer to go on in another protocol, which is nobody's duty to take up (RFC 9110, 7.8).

    httptools takes a request that offers one to end with its headers, whatever body they announce, and leaves the rest
    to who goes on in that protocol. Here nobody does: the request is read again as one that offers nothing.
    """

    def __init__(self, connection: "Connection") -> None:
        super().__init__(connection)
        self.connection = connection
        self.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does

    def feed_data(self, data: Any) -> None:
        """Read on; what stands behind an offer as what follows a request that made none."""
        while True:
            try:
                super().feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                super().feed_data(self.connection.without_offer)
                data = memoryview(data)[offer.args[0] :]
            else:
                return


class Connection(HttpToolsProtocol):
    """A connection that takes no more than so much beside a body, and ends when nothing is asked on it for long.

    So it does when what is answered is not read for `unread` seconds. One of more than `most` is refused, and `refused`
    is told. Whatever protocol a request offers to go on in, the connection stays with this one.
    """

    without_offer = b""  # the head of a request that has made an offer, as it would be without; empty: it made none

    beside = 0  # bytes since a request began, or the last of its body
    known = True
    told = 0.0  # when who reads a body was last told of more
    left = 0  # bytes of answers that were not read when that was last looked at
    leaving: asyncio.TimerHandle | None = None  # until who does not read is given up
    dropping = 0  # bytes that are still to come of a body that nobody reads
    held: Exchange | None = None  # a plain request whose body has not come whole
    holding: asyncio.TimerHandle | None = None  # until it is no longer waited for in that way

    def __init__(
        self,
        *arguments: Any,
        most: int,
        unread: float,
        refused: Callable[[OverloadedError], object],
        plain: Plain | None = None,
        **named: Any,
    ) -> None:
        super().__init__(*arguments, **named)
        self.most, self.unread, self.refused, self.plain = most, unread, refused, plain
        self.parser = Parser(self)

    def connection_made(self, transport: Any) -> None:
        """Take the connection, or refuse one too many."""
        super().connection_made(transport)
        if len(self.connections) <= self.most:
            self._wait_for_request()
            return
        error = OverloadedError(
            f"overloaded: {self.most} connections are open, the most that this node holds. Close one, come back later, "
            "or serve with more --max-connections."
        )
        self.refused(error)
        body = to_json({"error": str(error)})
        self._end(b"%s%scontent-length: %d\r\n\r\n%s" % (BUSY, CLOSE, len(body), body))

    def pause_writing(self) -> None:
        """So much of an answer is not read that no more is written: see to it that it goes on."""
        super().pause_writing()
        self._look_again()

    def resume_writing(self) -> None:
        """It goes on."""
        super().resume_writing()
        self._look_no_more()

    def on_response_complete(self) -> None:
        """An answer has been written."""
        super().on_response_complete()
        if self.transport.is_closing():  # once it is read
            self._look_again()

    def timeout_keep_alive_handler(self) -> None:
        """End a connection on which nothing is asked; whoever has not read the last answer by now never will."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        super().timeout_keep_alive_handler()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        super().send_400_response(msg)
        self._look_again()

    def _end(self, answer: bytes) -> None:
        self.transport.write(answer)
        self.transport.close()
        self._look_again()

    def _look_again(self) -> None:
        self._look_no_more()
        self.left = self.transport.get_write_buffer_size()
        self.leaving = self.loop.call_later(self.unread, self._look)

    def _look_no_more(self) -> None:
        if self.leaving is not None:
            self.leaving.cancel()
            self.leaving = None

    def _look(self) -> None:
        """Give up who reads nothing, or next to nothing, of an answer."""
        if self.left - self.transport.get_write_buffer_size() < SLOWEST * self.unread:
            self.transport.abort()
        else:
            self._look_again()

    def on_message_begin(self) -> None:
        """A request's first byte is there."""
        self.known, self.beside, self.without_offer = False, 0, b""
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A request's head is there: it is plain, or the application's, or refused."""
        method = self.parser.get_method()
        if self.parser.should_upgrade() and method != b"CONNECT":  # which is no offer: it is refused as it was
            start = b"%s %s HTTP/%s" % (method, self.url, self.parser.get_http_version().encode())
            kept = [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
            self.without_offer = b"\r\n".join((start, *kept, b"", b""))
            return
        self.known = True
        if self.plain is not None and method == b"POST" and self._is_next():
            self.held = self.plain.begun(self, self.url, self.headers)
        if self.held is None:
            super().on_headers_complete()
        elif self.held.crowded is not None:
            self._refuse(self.held)

    def _is_next(self) -> bool:
        """Whether a request is the only one on the connection, and another may follow it."""
        answered = self.cycle is None or self.cycle.response_complete
        parser = self.parser
        return (
            answered
            and not self.flow.write_paused
            and parser.should_keep_alive()
            and parser.get_http_version() == "1.1"
        )

    def _refuse(self, exchange: Exchange) -> None:
        """Say that there is no room, and have its body dropped as it comes."""
        self.held, self.cycle, self.dropping = None, exchange, exchange.expected  # type: ignore[assignment]  # as below
        exchange.plain.refuse(exchange)

    def _behind(self, data: bytes) -> bytes:
        """What stands behind a body that is dropped, without a look at what it is made of."""
        taken = min(self.dropping, len(data))
        self.dropping -= taken
        if self.dropping:
            return b""
        self.parser = Parser(self)  # the one of before would wait for that body
        return data[taken:]

    def _let_go(self) -> None:
        """What was held goes the usual way."""
        held = self._taken()
        held.plain.left(held)
        if self.transport.is_closing():
            return
        super().on_headers_complete()
        for part in held.parts:
            self.on_body(part)

    def _taken(self) -> Exchange:
        """What was held, and is no more."""
        held, self.held = self.held, None
        assert held is not None
        if self.holding is not None:
            self.holding.cancel()
            self.holding = None
        return held

    def on_message_complete(self) -> None:
        """A request is there whole."""
        self.beside = 0
        if self.held is not None:
            exchange = self._taken()
            self.cycle = exchange  # type: ignore[assignment]  # in the place of uvicorn's, and with what it asks of one
            exchange.plain.came_whole(exchange)
            return
        if not self.without_offer:
            super().on_message_complete()

    def on_body(self, body: bytes) -> None:
        """Keep a part of a body, and wake who reads it less often than uvicorn does, which is at every 64 KB."""
        if self.held is not None:
            self.beside = 0
            self.held.parts.append(body)
            return
        cycle, self.beside = self.cycle, 0
        if cycle.response_complete:
            self.dropping -= min(self.dropping, len(body))
            return
        cycle.body += body
        if len(cycle.body) > PART:
            self.flow.pause_reading()
        elif self.loop.time() < self.told + TOLD:
            return
        self.told = self.loop.time()
        cycle.message_event.set()

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if self.dropping:
            data = self._behind(data)
            if not data:
                return
        waiting, self.beside = None, self.beside + len(data)
        if not self.known:
            # A request that comes byte by byte gets no longer for it than one that comes at once.
            waiting, self.timeout_keep_alive_task = self.timeout_keep_alive_task, None
        super().data_received(data)
        if waiting is not None and not self.known:
            self.timeout_keep_alive_task = waiting
        elif waiting is not None:
            waiting.cancel()
        if self.beside > HEADERS and not self.transport.is_closing():
            self._end(TOO_LONG)
        elif self.held is not None:
            if self.holding is None:
                self.holding = self.loop.call_later(PATIENCE, self._let_go)
        elif self.cycle is None or self.cycle.response_complete:
            self._wait_for_request()

    def shutdown(self) -> None:
        """Take no further request."""
        if self.held is not None:
            self._let_go()
        super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who works for the client that it has gone."""
        self._look_no_more()
        if self.held is not None:
            held = self._taken()
            held.plain.left(held)
        gone = None if self.cycle is None else self.cycle.scope.get(GONE)
        super().connection_lost(exc)
        if isinstance(gone, Gone):
            gone.set()

    def _wait_for_request(self) -> None:
        if self.timeout_keep_alive_task is None and not self.transport.is_closing():
            self.timeout_keep_alive_task = asyncio.get_running_loop().call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
