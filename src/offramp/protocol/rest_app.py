"""The protocol's REST form as an ASGI application over a node. No framework stands in the hot path.

The event loop reads and writes; decoding, inference and encoding run together on one thread of the node's pool, so that
a request changes threads twice and no more. Knows neither sockets nor processes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import partial
from typing import Any, TypeVar

from offramp.errors import ForbiddenError, InputError, OverloadedError
from offramp.protocol.catalog import config
from offramp.protocol.coding import CODINGS, is_plain
from offramp.protocol.data_plane import DataPlane
from offramp.protocol.gone import GoneError
from offramp.protocol.page import Page
from offramp.protocol.plans import PLAN, Plans, check_size, controller, holds
from offramp.protocol.pool import Pool
from offramp.protocol.rest_body import read_registration, to_json
from offramp.protocol.rest_call import (
    CODING,
    OK,
    TRACE,
    Arrival,
    Response,
    SilentError,
    error_response,
    failed,
    given,
    number,
    request_id,
)
from offramp.protocol.shared_memory import ELSEWHERE, Regions, Socket, is_here

T = TypeVar("T")
MEMORY = "systemsharedmemory"
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

IN_HAND = 1 << 29  # bytes of bodies in hand at once
SILENCE = 60.0  # seconds without a byte of a request's body after which it is given up
SLOWEST = 1000  # bytes a second of a body, on the whole: who sends less holds what others need
NOT_OFFERED = frozenset({"systemsharedmemory", "cudasharedmemory", "trace", "logging", "load", "unload"})
GONE = "offramp.gone"  # in a request's scope: what the server sets when the connection ends


class Application:
    """Answers the protocol's addresses below `/v2`, and `/metrics`; with a `page`, `/`, which asks for `/live`.

    With `plans`, `/plan` tells the one that is followed, and takes another from who may change the node.

    Of all bodies together it holds up to `most` bytes, and waits `silence` seconds for the next bytes of one. Below
    `root_path` it answers too: where a proxy that hands paths on as they come has put it.
    """

    def __init__(
        self,
        plane: DataPlane,
        pool: Pool,
        opening: Pool,
        *,
        most: int = IN_HAND,
        silence: float = SILENCE,
        root_path: str = "",
        page: Page | None = None,
        plans: Plans | None = None,
    ) -> None:
        self.plane, self.pool, self.opening, self.most, self.silence = plane, pool, opening, most, silence
        self.root, self.page, self.plans = parts_of(root_path), page, plans
        self.stopping = False
        self.in_hand = 0  # bytes of bodies that have come and are not answered yet

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        assert scope["type"] == "http"  # the server offers nothing else
        response = await self._answer(scope, receive)
        headers = [*response.headers, (b"content-length", b"%d" % len(response.body))]
        if response.status != OK and any(name == b"expect" for name, _ in scope["headers"]):
            # The client may never send the body that it asked leave to send: what comes next could be either.
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": response.body})

    async def _answer(self, scope: Message, receive: Receive) -> Response:  # noqa: PLR0911  # a return an address
        method, path = scope["method"], parts_below(self.root, scope["path"])
        try:
            match path:
                case ["v2", "models", name, "infer"]:
                    return _only(method, "POST") or await self._inferred(name, "", scope, receive)
                case ["v2", "models", name, "versions", version, "infer"]:
                    return _only(method, "POST") or await self._inferred(name, version, scope, receive)
                case ["v2", "repository", "index"]:
                    return _only(method, "POST", "GET") or _json(self.plane.catalog.index())
                case [] | ["live"] | ["metrics"] if path == ["metrics"] or self.page is not None:
                    return _only(method, "GET", "HEAD") or await self._seen(path, self.page, scope)
                case [first, *version] if first == PLAN and self.plans is not None and len(version) <= 1:
                    asked = partial(self._plan, self.plans, "".join(version))
                    return _only(method, "GET", "HEAD", "PUT") or await asked(scope, receive)
                case ["v2", first, *rest] if first == MEMORY and self.plane.regions is not None:
                    return await self._shared(rest, scope, receive) or _nothing_at(scope["path"])
                case ["v2", *rest] if NOT_OFFERED.intersection(rest):
                    return error_response(f"{scope['path']}: this node does not offer it.", 501)
                case ["v2", *rest]:
                    return _only(method, "GET", "HEAD") or await self._told(rest) or _nothing_at(scope["path"])
            return _nothing_at(scope["path"])
        except Exception as error:
            return failed(error, scope["path"])

    async def _seen(self, path: list[str], page: Page | None, scope: Message) -> Response:
        """What there is to see of the node, for a scraper and for people."""
        metrics = self.plane.statistics.metrics
        if path == ["metrics"]:
            from offramp.protocol.exposition import exposition

            accept = dict(scope["headers"]).get(b"accept", b"").decode("latin1")
            # Not on a thread of the pool: what a node tells of itself waits for no request.
            text, kind = await asyncio.to_thread(exposition, metrics, accept)
            return Response(text, headers=((b"content-type", kind.encode()),))
        if page is None or path == ["live"]:
            return _json(metrics.live() | {"control": self.plans is not None and holds(scope, "control")})
        if not scope["path"].endswith("/"):  # what the page asks for stands beside it
            return Response(b"", 308, ((b"location", "/".join(["", *self.root, ""]).encode()),))
        return Response(page.body, headers=page.headers)

    async def _plan(self, plans: Plans, version: str, scope: Message, receive: Receive) -> Response:
        """The plan in force, and before that another one where it is put there."""
        if scope["method"] != "PUT":
            return Response(plans.told(version).encode())
        by, found = controller(scope), dict(scope["headers"])
        if not is_plain(found.get(CODING, b"").lower()):
            return error_response(
                "plan: is taken as it is, without a Content-Encoding.", 415, (b"accept-encoding", b"identity")
            )
        check_size(number(found, b"content-length") or 0)
        document = await self._body(receive, check_size)
        self.in_hand -= len(document)
        if (crowded := self.opening.crowded()) is not None:  # what it runs is opened there
            raise self.plane.statistics.refused(crowded, "http")
        return Response((await self._run(partial(plans.change, version, document, by), self.opening)).encode())

    def memory(self, client: Socket, server: Socket, headers: Mapping[bytes, bytes]) -> Regions | None:
        """What a caller may use of shared memory, by both ends of its connection; a web page none.

        A browser on this machine asks for whatever page it shows, and without a question before where the body is text.
        """
        regions = self.plane.regions
        return regions if regions is not None and b"origin" not in headers and is_here(client, server) else None

    async def _shared(self, path: list[str], scope: Message, receive: Receive) -> Response | None:
        """What is asked of regions of shared memory; None for an address that there is not."""
        method, memory = scope["method"], self.memory(scope.get("client"), scope.get("server"), dict(scope["headers"]))
        if memory is None:
            raise ForbiddenError(ELSEWHERE)
        match path:
            case ["status"] | ["region", _, "status"]:
                return _only(method, "GET") or _json(memory.status("".join(path[1:-1])))
            case ["unregister"] | ["region", _, "unregister"]:
                if (wrong := _only(method, "POST")) is None:
                    memory.unregister("".join(path[1:-1]))
                return wrong or Response(b"")
            case ["region", name, "register"]:
                if (wrong := _only(method, "POST")) is None:
                    body = await self._body(receive, self.plane.bounds.check_body)
                    self.in_hand -= len(body)
                    memory.register(name, *read_registration(body))
                return wrong or Response(b"")
        return None

    async def _told(self, path: list[str]) -> Response | None:  # noqa: PLR0911
        """What the node tells of itself; None for an address that there is not."""
        match path:
            case []:
                return _json(self.plane.metadata())
            case ["health", "live"]:
                return _json({"live": True})
            case ["health", "ready"]:
                return self._unready() or _json({"ready": True})
            case ["models", "stats"]:
                return _json(self.plane.told("", ""))
            case ["models", name, "versions", version, *what]:
                return await self._told_of(name, version, what)
            case ["models", name, *what]:
                return await self._told_of(name, "", what)
        return None

    async def _told_of(self, name: str, version: str, what: list[str]) -> Response | None:
        model = self.plane.catalog.find(name, version)
        match what:
            case []:
                return _json(self.plane.catalog.metadata(model))
            case ["config"]:
                return _json(config(model, self.plane.bounds.batch))
            case ["stats"]:
                return _json(self.plane.told(name, version))
            case ["ready"]:
                if (unready := self._unready()) is not None:
                    return unready
                if (crowded := self.opening.crowded()) is not None:
                    raise self.plane.statistics.refused(crowded, "http")
                await self._run(model.prepare, self.opening)
                return _json({"name": model.name, "ready": True})
        return None

    def _unready(self) -> Response | None:
        """Why nobody should send anything now."""
        why = "the node is stopping: it takes nothing new." if self.stopping else self.plane.unready()
        return None if why is None else error_response(why, 503)

    async def _inferred(self, name: str, version: str, scope: Message, receive: Receive) -> Response:
        """Read a request within the bounds and have it answered."""
        found: dict[bytes, bytes] = dict(scope["headers"])
        with self.plane.record("http", request_id(found), given(found.get(TRACE, b""))) as record:
            arrival = Arrival(
                self.plane.catalog.find(name, version),
                scope["path"],
                found,
                record,
                self.memory(scope.get("client"), scope.get("server"), found),
            )
            return await self._recorded(arrival, scope, receive)

    async def _recorded(self, arrival: Arrival, scope: Message, receive: Receive) -> Response:
        scope[GONE], found = arrival.gone, arrival.headers
        coding = found.get(CODING, b"").lower()
        if not is_plain(coding) and coding not in CODINGS:
            return _unknown_coding(coding)
        self.plane.check_crowd(self.pool)
        expected = number(found, b"content-length") or 0
        self.plane.bounds.check_body(expected)
        self._check_room(expected)
        arrival.came(await self._body(receive, self.plane.bounds.check_body))
        try:
            if self.pool.backlog:  # others may have come while this one was read
                self.plane.check_crowd(self.pool, arrival.timeout())
            return await self._run(partial(arrival.answered, self.plane), self.pool)
        finally:
            self.in_hand -= len(arrival.body)

    def has_room(self, more: int) -> bool:
        """Whether it holds so many bytes more."""
        return not self.in_hand or self.in_hand + more <= self.most

    def _check_room(self, more: int) -> None:
        if not self.has_room(more):
            raise OverloadedError(
                f"overloaded: {self.in_hand} bytes of requests are in hand, and this one would add {more}; "
                f"this node holds {self.most}. Send less or later."
            )

    async def _body(self, receive: Receive, check: Callable[[int], None]) -> bytes:
        """Read a body whole, while it is not too large. It is in hand from its first byte on, whatever it claims."""
        parts: list[bytes] = []
        size, clock = 0, asyncio.get_running_loop().time
        end = clock() + self.silence
        try:
            while True:
                if (left := end + size / SLOWEST - clock()) <= 0:
                    raise SilentError(f"body: came too slowly, {size} bytes so far. Send {SLOWEST} a second, or more.")
                async with asyncio.timeout(min(self.silence, left)):
                    message = await receive()
                if message["type"] == "http.disconnect":
                    raise GoneError
                more = len(message["body"])
                self._check_room(more)
                parts.append(message["body"])
                size += more
                self.in_hand += more
                check(size)
                if not message.get("more_body"):
                    return b"".join(parts)
        except BaseException as error:
            self.in_hand -= size
            if isinstance(error, TimeoutError):
                raise SilentError(f"body: nothing more of it came for {min(self.silence, left):.3g} s.") from None
            raise

    async def _run(self, work: Callable[[], T], pool: Pool) -> T:
        return await asyncio.get_running_loop().run_in_executor(pool, work)


def parts_of(path: str) -> list[str]:
    """What stands between the slashes of a path."""
    return [part for part in path.split("/") if part]


def parts_below(root: list[str], path: str) -> list[str]:
    """The same, without what a proxy has left before it."""
    parts = parts_of(path)
    return parts[len(root) :] if parts[: len(root)] == root else parts


def check_root_path(path: str) -> str:
    """Give a path prefix back, without a slash at its end; InputError where it is none."""
    parts = parts_of(path)
    if path.rstrip("/") != "".join(f"/{part}" for part in parts) or parts[:1] == ["v2"] or set("?#% ") & set(path):
        raise InputError(
            f"root path {path!r}: expected what stands before /v2 where the proxy is asked, like /vision or "
            "/sites/north."
        )
    return path.rstrip("/")


def _json(value: Any) -> Response:
    return Response(to_json(value))


def _unknown_coding(coding: bytes) -> Response:
    known = b", ".join(CODINGS)
    message = f"Content-Encoding {coding.decode('latin1')!r}: expected identity or one of {known.decode()}."
    return error_response(message, 415, (b"accept-encoding", known))


def _nothing_at(path: str) -> Response:
    return error_response(
        f"{path}: nothing is here. The protocol's addresses begin with /v2; metrics are at /metrics.", 404
    )


def _only(method: str, *methods: str) -> Response | None:
    """A refusal where the method is none of these."""
    if method in methods:
        return None
    return error_response(
        f"method {method}: expected {' or '.join(methods)}.", 405, (b"allow", ", ".join(methods).encode())
    )
