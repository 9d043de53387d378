"""Which web pages may ask a node: none, until one is named. And the path under which a proxy reaches it."""

import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from offramp.errors import InputError
from offramp.protocol.cross_origin import check_origin
from offramp.protocol.rest_app import check_root_path
from offramp.protocol.server import Server

WAIT = 30.0  # seconds after which a test that hangs fails
INFER = "/v2/models/double/infer"
BODY = json.dumps({"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]})
APP, OTHER = "https://app.example", "https://other.example"
QUESTION = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,x-mine"}


@contextmanager
def asking(model: Any, **options: Any) -> Iterator[Callable[..., tuple[int, dict[str, str], bytes]]]:
    """Ask a server of these options: method, path, headers and body in; status, headers and body out."""
    server = Server([model], "127.0.0.1", 0, max_batch=4, http_port=0, **options)
    server.start()
    assert server.http is not None
    client = http.client.HTTPConnection("127.0.0.1", server.http.port, timeout=WAIT)

    def ask(method: str, path: str, body: str | None = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
        client.request(method, path, body, headers)
        answer = client.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

    try:
        yield ask
    finally:
        client.close()
        server.stop(0)


def of_cors(headers: dict[str, str]) -> dict[str, str]:
    """The headers that browsers look at, but for what may be read."""
    return {name: value for name, value in headers.items() if name.startswith("access-control-allow") or name == "vary"}


def test_no_page_may_ask_until_its_origin_is_named(double: Any) -> None:
    """A browser reads nothing without these headers, and its question is a method that there is not."""
    with asking(double) as ask:
        status, headers, _ = ask("POST", INFER, BODY, Origin=APP)
        assert (status, of_cors(headers)) == (200, {})
        status, headers, _ = ask("OPTIONS", INFER, Origin=APP, **QUESTION)
        assert (status, of_cors(headers)) == (405, {})


def test_a_page_whose_origin_is_named_may_ask(double: Any) -> None:
    """The question before is answered, then the request, also where it is refused; others are told nothing."""
    with asking(double, origins=[APP, "http://localhost:3000"]) as ask:
        status, headers, content = ask("OPTIONS", INFER, Origin=APP, **QUESTION)
        assert (status, content) == (204, b"")
        assert of_cors(headers) == {
            "vary": "origin",
            "access-control-allow-origin": APP,
            "access-control-allow-methods": "GET, HEAD, POST",
            "access-control-allow-headers": "content-type,x-mine",
        }
        for body, expected in ((BODY, 200), ("{", 400)):
            status, headers, _ = ask("POST", INFER, body, Origin="http://localhost:3000")
            assert status == expected
            assert of_cors(headers) == {"vary": "origin", "access-control-allow-origin": "http://localhost:3000"}
            assert headers["access-control-expose-headers"] == "inference-header-content-length"
        for headers_of in ({"Origin": OTHER}, {}):
            status, headers, _ = ask("POST", INFER, BODY, **headers_of)
            assert (status, of_cors(headers)) == (200, {"vary": "origin"})
        assert ask("OPTIONS", INFER, Origin=OTHER, **QUESTION)[0] == 405
        assert ask("OPTIONS", INFER, Origin=APP)[0] == 405, "that is no browser's question"


def test_every_page_may_ask_where_that_is_said(double: Any) -> None:
    """By a star; then answers do not depend on who asks."""
    with asking(double, origins=["*"]) as ask:
        assert of_cors(ask("POST", INFER, BODY, Origin=OTHER)[1]) == {"access-control-allow-origin": "*"}


@pytest.mark.parametrize(
    ("said", "sent"),
    [
        ("https://App.Example/", APP),
        ("https://app.example:443", APP),
        ("http://[::1]:80", "http://[::1]"),
        ("http://a:443", "http://a:443"),
        ("*", "*"),
        ("null", "null"),
    ],
)
def test_an_origin_is_kept_as_browsers_send_it(said: str, sent: str) -> None:
    """In small letters, without the usual port."""
    assert check_origin(said) == sent


@pytest.mark.parametrize("origin", ["", "app.example", "https://", "//app.example", "https://app.example/page"])
def test_what_is_no_origin_is_said(origin: str) -> None:
    """Before anything is served."""
    with pytest.raises(InputError) as caught:
        check_origin(origin)
    assert str(caught.value) == (
        f"origin {origin!r}: expected a page's scheme, host and port, like https://app.example or "
        "http://localhost:3000, or * for every page."
    )


@pytest.mark.parametrize("root", ["/vision", "/sites/north"])
def test_a_node_answers_below_the_path_of_its_proxy(double: Any, root: str) -> None:
    """And without it, where the proxy takes it off or a neighbour asks past the proxy."""
    with asking(double, root_path=root) as ask:
        for path in (INFER, root + INFER):
            assert ask("POST", path, BODY)[0] == 200
        assert ask("GET", f"{root}/v2/health/ready")[0] == 200
        for path in (f"{root}s{INFER}", f"{root}{root}{INFER}", root):
            assert ask("POST", path, BODY)[0] == 404
    with asking(double) as ask:
        assert ask("POST", root + INFER, BODY)[0] == 404


@pytest.mark.parametrize("path", ["vision", "/a//b", "/v2", "/v2/x", "http://a/b", "/a?b", "/a%20b"])
def test_what_is_no_path_of_a_proxy_is_said(path: str) -> None:
    """With what would be."""
    with pytest.raises(InputError) as caught:
        check_root_path(path)
    assert str(caught.value) == (
        f"root path {path!r}: expected what stands before /v2 where the proxy is asked, like /vision or /sites/north."
    )
