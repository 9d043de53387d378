"""Cross-origin requests (CORS, the Fetch standard, 3.2): which web pages may ask a node, and read what it answers.

Stands around an ASGI application, and answers the question that a browser asks before. A browser holds a page to this;
who is no browser asks as before, and is no business of it. Knows nothing of the application.
"""

from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from offramp.errors import InputError

ANY = "*"
USUAL = {"http": ":80", "https": ":443"}  # ports that a browser does not say
METHODS = b"GET, HEAD, POST"
EXPOSED = b"inference-header-content-length"  # of an answer's headers, what a page may read beside the usual ones
DAY = b"86400"  # seconds that a browser need not ask again; most of them make it less
Message = MutableMapping[str, Any]
Application = Callable[[Message, Any, Any], Awaitable[None]]


def check_origin(origin: str) -> str:
    """Give an origin as browsers send it; InputError where it is none."""
    said = origin.lower().removesuffix("/")
    parts = urlsplit(said)
    if said in (ANY, "null"):
        return said
    if not parts.scheme or not parts.netloc or f"{parts.scheme}://{parts.netloc}" != said:
        raise InputError(
            f"origin {origin!r}: expected a page's scheme, host and port, like https://app.example or "
            f"http://localhost:3000, or {ANY} for every page."
        )
    return said.removesuffix(USUAL.get(parts.scheme, "/"))


class CrossOrigin:
    """An application that pages of these origins may ask; `*` is every page."""

    def __init__(self, application: Application, origins: Collection[str]) -> None:
        self.application = application
        self.any, self.origins = ANY in origins, frozenset(origin.encode() for origin in origins)

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        """Answer one request, or the question that goes before it."""
        sent = dict(scope["headers"])
        origin = sent.get(b"origin")
        allowed = [] if self.any else [(b"vary", b"origin")]  # a cache keeps an answer for each
        if origin is not None and (self.any or origin in self.origins):
            allowed.append((b"access-control-allow-origin", ANY.encode() if self.any else origin))
            allowed.append((b"access-control-expose-headers", EXPOSED))
            if scope["method"] == "OPTIONS" and b"access-control-request-method" in sent:
                asked = sent.get(b"access-control-request-headers", b"content-type")
                told = [(b"methods", METHODS), (b"headers", asked)]
                allowed += [(b"access-control-allow-" + what, which) for what, which in told]
                headers = [*allowed, (b"access-control-max-age", DAY)]
                await send({"type": "http.response.start", "status": 204, "headers": headers})
                await send({"type": "http.response.body", "body": b""})
                return

        async def told_to_the_page(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *allowed]
            await send(message)

        await self.application(scope, receive, told_to_the_page)
