"""Offers to go on in another protocol, as Java's client and `curl --http2` make them: ignored, and nothing is lost."""

import http.client
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from offramp.protocol.server import Server

WAIT = 30.0  # seconds after which a test that hangs fails
BODY = json.dumps({"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]}).encode()
OFFERS = {
    "h2c": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n",
    "websocket": b"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZQ==\r\n",
    "several, in capitals": b"UPGRADE: TLS/1.0, IRC/6.9\r\nCONNECTION: keep-alive, UPGRADE\r\n",
}
FRAMES = {
    "of a length": b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY),
    "in chunks": b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY),
}


@pytest.fixture(scope="module")
def port(make: Callable[[], Any]) -> Iterator[int]:
    """The HTTP port of a server."""
    server = Server([make()], "127.0.0.1", 0, max_batch=4, http_port=0)
    server.start()
    assert server.http is not None
    yield server.http.port
    server.stop(WAIT)


def post(offer: str, frame: str) -> bytes:
    """A request that makes an offer."""
    return b"POST /v2/models/double/infer HTTP/1.1\r\nHost: x\r\n" + OFFERS[offer] + FRAMES[frame]


def answer(client: socket.socket) -> tuple[int, Any]:
    """The next answer on a connection, read to its last byte and no further."""
    response = http.client.HTTPResponse(client)
    response.begin()
    return response.status, json.loads(response.read())


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("offer", OFFERS)
def test_an_offer_is_ignored_and_the_connection_stays_in_step(port: int, offer: str, frame: str) -> None:
    """The body is read, and so is the next request, wherever the pieces end in which they come."""
    request = post(offer, frame)
    for cut in range(1, len(request), 29):
        with socket.create_connection(("127.0.0.1", port), WAIT) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.sendall(request[:cut])
            client.sendall(request[cut:])
            for _ in range(2):
                status, found = answer(client)
                assert (status, found["outputs"][0]["data"]) == (200, [2.0, 4.0])
                client.sendall(request)


def test_offers_one_behind_the_other_are_all_ignored(port: int) -> None:
    """In one piece: more of them than a stack is deep."""
    count = 2_000
    request = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    last = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), WAIT) as client, client.makefile("rb") as answers:
        client.sendall(request * count + last)
        assert answers.read().count(b'{"live":true}') == count + 1


def test_an_offer_beside_a_question_for_leave_is_ignored(port: int) -> None:
    """`Expect: 100-continue`: the client is told to go on, once, in this protocol."""
    head, _, body = post("h2c", "of a length").partition(b"\r\n\r\n")
    with socket.create_connection(("127.0.0.1", port), WAIT) as client:
        client.sendall(head + b"\r\nExpect: 100-continue\r\n\r\n")
        assert client.recv(1 << 16) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(body)
        assert answer(client)[0] == 200
