"""The plain request over HTTP: one POST to a model, from the bytes of its body to those of its answer, past ASGI.

A request is plain by its head: to a model that is served, of a known length, neither compressed nor announced, nothing
before it unanswered on its connection, with a token that may ask where tokens are asked for, and there is room. Every
other one is the application's, and so is one whose body is long in coming. One that finds the node crowded is refused
at its head: a node that has no time has none for what it does not take. What a body says means the same in both ways:
they differ in who carries the bytes, and in the thread that works.

A model may answer calls at once, which wait for nobody (`Served.at_once`). One that takes no longer than `short.SHORT`,
by what such a call took before, is answered on the event loop where nobody else asks meanwhile: to change threads would
take as long as a third of it. That is how long the loop may be held. What comes together goes to the pool, where a
thread takes up to `TOGETHER` short calls as one batch; all others it answers one by one.
"""

from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from time import perf_counter
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from offramp.errors import OverloadedError, RefusedError
from offramp.protocol.catalog import Catalog
from offramp.protocol.guarded import token_shown
from offramp.protocol.record import Record
from offramp.protocol.rest_app import GONE, Application
from offramp.protocol.rest_call import CODING, HEADER_LENGTH, TRACE, Arrival, Response, failed, given, request_id
from offramp.protocol.served import Served
from offramp.protocol.short import TOGETHER, Known
from offramp.protocol.tokens import Tokens

LARGEST = 1 << 20  # bytes of a body that is waited for in this way
PATIENCE = 0.05  # seconds that it has
LONGEST = 4096  # bytes of one
SMOOTH = 0.25  # share of the newest in what such calls take
STRANGE = frozenset((b"expect", b"transfer-encoding", b"upgrade", CODING))
NOBODY = Record()  # of a request that may be another's yet
GIVEN_UP = Response(b"Internal Server Error", 500, ((b"content-type", b"text/plain; charset=utf-8"),))
Headers = list[tuple[bytes, bytes]]
Head = tuple[str, bytes]  # where a request was sent, and what it says beside the values of its tensors


class Exchange(Arrival):
    """A plain request and its answer, where uvicorn has a cycle: one a connection at a time."""

    __slots__ = (
        "connection", "crowded", "disconnected", "expected", "head", "keep_alive", "parts", "plain",
        "response_complete", "scope",
    )  # fmt: skip

    def __init__(
        self, plain: "Plain", connection: Any, expected: int, model: Served, path: str, headers: dict[bytes, bytes]
    ) -> None:
        memory = plain.application.memory(connection.client, connection.server, headers)
        super().__init__(model, path, headers, NOBODY, memory)
        self.plain, self.connection, self.expected, self.parts = plain, connection, expected, list[bytes]()
        self.scope = {GONE: self.gone}
        self.head: Head | None = None
        self.crowded: OverloadedError | None = None
        self.keep_alive, self.disconnected, self.response_complete = True, False, False

    @property
    def message_event(self) -> "Exchange":
        """Who reads a body is told by this that the connection has ended: nobody does."""
        return self

    def set(self) -> None:
        """See `message_event`."""

    def cancel(self, msg: str = "") -> None:
        """A server that stops waits no longer for it: what uvicorn says for a task that it cancels is said here."""
        self.keep_alive = False
        self.answer(GIVEN_UP)

    def answer(self, response: Response) -> None:
        """Send it, unless the client has gone."""
        if self.disconnected or self.response_complete:
            return
        said = [STATUS_LINE[response.status]]
        for name, value in response.headers:
            said += (name, b": ", value, b"\r\n")
        end = b"" if self.keep_alive else b"connection: close\r\n"
        said += (b"content-length: %d\r\n%s\r\n" % (len(response.body), end), response.body)
        self.connection.transport.write(b"".join(said))
        self.response_complete = True
        if not self.keep_alive:
            self.connection.transport.close()
        self.connection.on_response_complete()


class Plain:
    """Answers plain requests for an application, by the loop of whose connections it is told of them."""

    def __init__(self, application: Application, tokens: Tokens | None = None) -> None:
        self.tokens = tokens
        self.application, self.plane, self.pool = application, application.plane, application.pool
        self.catalog: Catalog | None = None
        self.models: dict[bytes, Served] = {}  # of the catalog, by the addresses at which they are asked
        self.came: list[Exchange] = []  # since the loop last looked
        self.known = Known(more=SMOOTH, less=SMOOTH)
        self.done: deque[tuple[Exchange, Response]] = deque()

    def begun(self, connection: Any, url: bytes, headers: Headers) -> Exchange | None:
        """A request of which the head is there; None where it is not plain.

        Room is kept for its body, or it is to be refused: `crowded` says why.
        """
        if self.plane.catalog is not self.catalog:
            self.catalog = self.plane.catalog
            self.models = dict(_addresses(self.catalog, self.application.root))
        if (model := self.models.get(url)) is None:
            return None
        found = dict(headers)
        length = found.get(b"content-length", b"")
        if not STRANGE.isdisjoint(found) or not length.isdigit() or len(length) > len(str(LARGEST)):
            return None
        expected, application = int(length), self.application
        if not 0 < expected <= self.plane.bounds.body or not self._lets_in(headers):
            return None
        exchange = Exchange(self, connection, expected, model, url.decode("ascii"), found)
        exchange.crowded = self.pool.crowded()
        if exchange.crowded is None:
            if expected > LARGEST or not application.has_room(expected):
                return None
            application.in_hand += expected
        return exchange

    def _lets_in(self, headers: Headers) -> bool:
        """Whether who asks may. Who may not is told so, and counted, by what stands around the application."""
        if self.tokens is not None:
            try:
                self.tokens.check(token_shown(headers), "infer")
            except RefusedError:
                return False
        return True

    def refuse(self, exchange: Exchange) -> None:
        """Answer one that finds the node crowded, before its body is read."""
        self._begin_record(exchange)
        exchange.answer(self._alone(exchange, exchange.crowded))

    def left(self, exchange: Exchange) -> None:
        """It is another's now, or nobody's."""
        self.application.in_hand -= exchange.expected

    def came_whole(self, exchange: Exchange) -> None:
        """Its body is there: answer it, when it is known what else has come."""
        self._begin_record(exchange)
        parts = exchange.parts
        exchange.came(parts[0] if len(parts) == 1 else b"".join(parts))
        parts.clear()
        exchange.head = _head(exchange)
        exchange.connection.tasks.add(exchange)
        self.came.append(exchange)
        if len(exchange.connection.connections) == 1:  # nobody else can have asked
            self._look()
        elif len(self.came) == 1:
            exchange.connection.loop.call_soon(self._look)

    def _begin_record(self, exchange: Exchange) -> None:
        headers = exchange.headers
        exchange.record = self.plane.record("http", request_id(headers), given(headers.get(TRACE, b"")))

    def _look(self) -> None:
        came, self.came = self.came, []
        if len(came) == 1 and not self.pool.busy and self._is_short(came[0]):
            responses = self._at_once(came)
            if responses is not None:
                self._end(came[0], responses[0])
                return
        if self.pool.backlog:
            came = [one for one in came if not self._refused(one)]
        short = []
        for one in came:
            if self._is_short(one):
                short.append(one)
            else:
                self.pool.begin(partial(self._answer, one))
        if short:
            self.pool.run_together(self._work, short, TOGETHER)

    def _refused(self, exchange: Exchange) -> bool:
        """Whether it has too little time for what waits before it."""
        refusal = self.pool.crowded(exchange.timeout())
        if refusal is not None:
            self._end(exchange, self._alone(exchange, refusal))
        return refusal is not None

    def _work(self, exchanges: list[Exchange]) -> None:
        """On a thread: answer short ones that have waited for it, together where they ask one model."""
        alike = [one for one in exchanges if one.model is exchanges[0].model]
        responses = self._at_once(alike) if len(alike) > 1 else None
        if responses is not None:
            self._say(list(zip(alike, responses, strict=True)))
            exchanges = [one for one in exchanges if one not in alike]
        self.pool.put_back([partial(self._answer, one) for one in exchanges[1:]])  # none behind one that waits
        for one in exchanges[:1]:
            self._answer(one)

    def _answer(self, exchange: Exchange) -> None:
        self._say([(exchange, self._alone(exchange))])

    def _say(self, answered: list[tuple[Exchange, Response]]) -> None:
        self.done.extend(answered)
        with suppress(RuntimeError):  # the loop is closed: its server has given up who was asked for
            answered[0][0].connection.loop.call_soon_threadsafe(self._send)

    def _send(self) -> None:
        while self.done:
            self._end(*self.done.popleft())

    def _end(self, exchange: Exchange, response: Response) -> None:
        self.left(exchange)
        exchange.connection.tasks.discard(exchange)
        exchange.answer(response)

    def _alone(self, exchange: Exchange, refusal: OverloadedError | None = None) -> Response:
        """The answer, whatever becomes of the request."""
        start = perf_counter()
        try:
            with exchange.record:
                if refusal is not None:
                    raise refusal
                response = exchange.answered(self.plane)
        except Exception as error:
            return failed(error, exchange.path)
        self._note(exchange, perf_counter() - start)
        return response

    def _at_once(self, exchanges: list[Exchange]) -> list[Response] | None:
        """Answers that wait for nobody; None where each is to be asked for alone."""
        start = perf_counter()
        responses: list[Response] = []
        try:
            asked = [(one.call(self.plane), one.classes) for one in exchanges]
            results = self.plane.at_once(exchanges[0].model, asked)
            if results is not None:
                responses = [one.response(result) for one, result in zip(exchanges, results, strict=True)]
        except Exception:  # whose it is comes out when each is asked for alone
            responses = []
        if not responses:
            for one in exchanges:
                one.record.anew()
            return None
        took = (perf_counter() - start) / len(exchanges)
        for one in exchanges:
            with one.record:
                pass
            self._note(one, took)
        return responses

    def _note(self, exchange: Exchange, took: float) -> None:
        if exchange.head is not None:
            self.known.note(exchange.head, took)

    def _is_short(self, exchange: Exchange) -> bool:
        return exchange.head is not None and self.known.is_short(exchange.head)


def _head(exchange: Exchange) -> Head | None:
    """By what it is known how long such calls take: of tensors whose sizes it says, and of no encoded images."""
    value = exchange.headers.get(HEADER_LENGTH, b"")
    if not value.isdigit() or len(value) > len(str(LONGEST)):
        return None
    head = exchange.body[: int(value)]
    return None if not head or b"BYTES" in head else (exchange.path, head)


def _addresses(catalog: Catalog, root: list[str]) -> Iterable[tuple[bytes, Served]]:
    """Where each model of a catalog is asked, as a client writes it."""
    for model in catalog:
        first = catalog.find(model.name) is model
        for before in {"", "".join(f"/{part}" for part in root)}:
            at = f"{before}/v2/models/{model.name}"
            for address in (f"{at}/versions/{model.version}/infer", *([f"{at}/infer"] if first else [])):
                if address.isascii() and not set(address) & set("%?# "):
                    yield address.encode(), model
