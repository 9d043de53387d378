"""A page that a node serves of itself: where it stands, and what a browser lets it do."""

import base64
import hashlib
import http.client
from collections.abc import Iterator
from typing import Any

import pytest

from offramp.protocol.page import Page
from offramp.protocol.server import Server


@pytest.fixture(scope="module")
def node(make: Any) -> Iterator[http.client.HTTPConnection]:
    """A node with a page, behind a proxy that leaves /vision before its paths."""
    page = Page.of(b"<p>hello</p><script>1</script><script>2</script>")
    server = Server([make()], "127.0.0.1", 0, max_batch=4, http_port=0, root_path="/vision", page=page)
    server.start()
    assert server.http is not None
    connection = http.client.HTTPConnection("127.0.0.1", server.http.port, timeout=30)
    yield connection
    connection.close()
    server.stop(0)


def ask(connection: http.client.HTTPConnection, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body."""
    connection.request(method, path)
    answer = connection.getresponse()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


def test_the_page_runs_its_own_scripts_and_asks_its_own_node(node: http.client.HTTPConnection) -> None:
    """No other, and nobody frames it."""
    status, headers, body = ask(node, "/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert body.startswith(b"<p>hello")
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    digests = [base64.b64encode(hashlib.sha256(script).digest()).decode() for script in (b"1", b"2")]
    assert policy["script-src"] == " ".join(f"'sha256-{digest}'" for digest in digests)
    assert (policy["default-src"], policy["connect-src"], policy["frame-ancestors"]) == ("'none'", "'self'", "'none'")


def test_below_a_proxy_s_path_it_stands_where_its_numbers_do(node: http.client.HTTPConnection) -> None:
    """What it asks for is beside it; nobody is sent to another host by a path of two slashes."""
    assert ask(node, "/vision/")[0] == ask(node, "/vision/live")[0] == 200
    for path in ("/vision", "//vision"):
        status, headers, _ = ask(node, path)
        assert (status, headers["location"]) == (308, "/vision/")


@pytest.mark.parametrize("path", ["/", "/live", "/metrics"])
def test_it_is_only_read(node: http.client.HTTPConnection, path: str) -> None:
    """Nothing is changed there."""
    status, headers, _ = ask(node, path, "POST")
    assert (status, headers["allow"]) == (405, "GET, HEAD")
