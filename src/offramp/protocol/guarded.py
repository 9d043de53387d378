"""A node's two fronts behind its tokens: who has none, or one without the right, comes no further than a header.

Stands around the gRPC service and around the ASGI application, and is not there at all where no tokens are asked for.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import grpc

from offramp.errors import ForbiddenError, RefusedError
from offramp.protocol.apart import on
from offramp.protocol.plans import CALLER, PLAN
from offramp.protocol.pool import Pool
from offramp.protocol.refusals import Front, Refusals
from offramp.protocol.rest_app import MEMORY, parts_below, parts_of
from offramp.protocol.rest_body import to_json
from offramp.protocol.status import end_by, http_status_of
from offramp.protocol.tokens import Holder, Right, Tokens

HEADER = "authorization"
SHOWN = HEADER.encode()  # over HTTP
REALM = b'Bearer realm="offramp"'
HEALTH = "/grpc.health.v1.Health/"
OPEN = frozenset({"ServerLive", "ServerReady"})  # what an orchestrator asks, that has no token
INFER = frozenset({"ModelInfer", "ModelStreamInfer", "SystemSharedMemoryRegister", "SystemSharedMemoryUnregister"})
READING = ("GET", "HEAD")


def right_of_call(method: str) -> Right | None:
    """What a call takes, by its full name, /package.Service/Method; None: nothing."""
    name = method.rpartition("/")[2]
    if method.startswith(HEALTH) or name in OPEN:
        return None
    return "infer" if name in INFER else "read"


def right_of_path(parts: list[str], method: str = "GET") -> Right | None:
    """What a request takes, by its path's parts below what a proxy has put there, and its method; None: nothing."""
    if not parts or parts[:2] == ["v2", "health"]:  # the page itself says nothing of the node, and asks for a token
        return None
    if parts[0] == PLAN:
        return "read" if method in READING else "control"
    asks = parts[-1] == "infer" or (parts[1:2] == [MEMORY] and parts[-1] != "status")
    return "infer" if asks else "read"


def token_shown(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """What stands for a token in a request's headers: of several the first."""
    return next((value for name, value in headers if name == SHOWN), None)


class _Checked:
    """Counts whom it does not let in."""

    def __init__(self, front: Front, tokens: Tokens, refusals: Refusals) -> None:
        self.front: Front = front
        self.tokens, self.refusals = tokens, refusals

    def __call__(self, header: str | bytes | None, right: Right | None) -> Holder | RefusedError | None:
        """Who calls, where that is asked, or why not."""
        if right is None:
            return None
        try:
            return self.tokens.check(header, right)
        except RefusedError as error:
            self.refusals.note(self.front, str(error).partition(":")[0].removesuffix("."))
            return error


class GuardedCalls(grpc.ServerInterceptor):  # type: ignore[misc]  # untyped base
    """Lets a call of gRPC in, or answers in its place, before any of its message is read."""

    def __init__(self, tokens: Tokens, refusals: Refusals, pool: Pool) -> None:
        self.check, self.pool = _Checked("grpc", tokens, refusals), pool

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        """Called for each call, with its name and metadata."""
        right = right_of_call(details.method)
        header = next((value for key, value in details.invocation_metadata if key == HEADER), None)
        found = self.check(header, right)
        if not isinstance(found, RefusedError):
            return continuation(details)
        # As a stream in both directions: a call of any kind may be ended so, and nothing of it has to come first.
        return grpc.stream_stream_rpc_method_handler(on(self.pool, partial(_refuse, found)))


def _refuse(error: RefusedError, _requests: Any, context: grpc.ServicerContext) -> None:
    end_by(context, error)


class GuardedApplication:
    """An ASGI application that answers who shows a token with the right to what is asked."""

    def __init__(self, application: Any, tokens: Tokens, refusals: Refusals, root_path: str = "") -> None:
        self.application, self.check = application, _Checked("http", tokens, refusals)
        self.root = parts_of(root_path)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request, or refuse it before its body is read."""
        right = right_of_path(parts_below(self.root, scope["path"]), scope["method"])
        found = self.check(token_shown(scope["headers"]), right)
        if not isinstance(found, RefusedError):
            scope[CALLER] = found
            await self.application(scope, receive, send)
            return
        body, asked = to_json({"error": str(found)}), REALM
        if isinstance(found, ForbiddenError):
            asked += b', error="insufficient_scope", scope="%s"' % (right or "").encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"www-authenticate", asked),
        ]
        if any(name == b"expect" for name, _ in scope["headers"]):  # as the application does: its body may not come
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": http_status_of(found), "headers": headers})
        await send({"type": "http.response.body", "body": body})
