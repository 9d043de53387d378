"""The protocol's REST form over real sockets: every address, every refusal, and the connection afterwards."""

import asyncio
import gzip
import http.client
import json
import queue
import re
import socket
import struct
import threading
import zlib
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import suppress
from typing import Any

import pytest

from offramp._version import __version__
from offramp.protocol.data_plane import DataPlane
from offramp.protocol.http_connection import HEADERS
from offramp.protocol.http_server import HttpServer
from offramp.protocol.pool import Pool
from offramp.protocol.rest_app import Application
from offramp.protocol.server import Server
from until import until

WAIT = 30.0  # seconds after which a test that hangs fails
INFER = "/v2/models/double/infer"
BOUND = 3 * 4 * 2 * 8 + (1 << 16)  # bytes of a body: JSON of four samples of two numbers, and slack


@pytest.fixture(scope="module")
def model(make: Callable[[], Any]) -> Any:
    """What the server serves."""
    return make()


@pytest.fixture(scope="module")
def server(model: Any) -> Iterator[Server]:
    """A real server of it, with both sides."""
    running = Server([model], "127.0.0.1", 0, max_batch=4, http_port=0)
    running.start()
    yield running
    running.stop(WAIT)


@pytest.fixture
def connection(server: Server) -> Iterator[http.client.HTTPConnection]:
    """A connection that is kept from one request to the next."""
    yield from connected(server.http)


def connected(side: HttpServer | None) -> Iterator[http.client.HTTPConnection]:
    """One connection to it."""
    assert side is not None
    client = http.client.HTTPConnection("127.0.0.1", side.port, timeout=WAIT)
    client.connect()
    yield client
    client.close()


def tensors(*rows: list[float], **more: Any) -> bytes:
    """A request's body."""
    data = [value for row in rows for value in row]
    inputs = [{"name": "x", "shape": [len(rows), 2], "datatype": "FP32", "data": data}]
    return json.dumps({"inputs": inputs, **more}).encode()


GOOD = tensors([1, 2], [3, 4.5])


def ask(
    client: http.client.HTTPConnection, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, Any]:
    """Status and JSON of an answer; the same socket serves the next one, or the test fails."""
    kept = client.sock
    assert kept is not None, "the server closed the connection"
    client.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    response = client.getresponse()
    content = response.read()
    return response.status, json.loads(content) if content else None


def doubled(client: http.client.HTTPConnection) -> list[float]:
    """What the next good request on this connection gives."""
    status, answer = ask(client, "POST", INFER, GOOD)
    assert status == 200, answer
    return list(answer["outputs"][0]["data"])


def raw(server: Server, *pieces: bytes) -> bytes:
    """Send bytes and read until the server closes."""
    assert server.http is not None
    with socket.create_connection(("127.0.0.1", server.http.port), WAIT) as client:
        for piece in pieces:
            client.sendall(piece)
        received = b""
        while more := client.recv(1 << 16):
            received += more
    return received


METADATA = {
    "name": "double",
    "versions": ["7"],
    "platform": "offramp",
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
    "outputs": [
        {"name": "twice", "datatype": "FP32", "shape": [-1, 2]},
        {"name": "word", "datatype": "BYTES", "shape": [-1]},
    ],
}
CONFIG = {
    "name": "double",
    "platform": "offramp",
    "max_batch_size": 0,
    "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": [-1, 2]}],
    "output": [
        {"name": "twice", "data_type": "TYPE_FP32", "dims": [-1, 2]},
        {"name": "word", "data_type": "TYPE_STRING", "dims": [-1]},
    ],
    "parameters": {"colour": {"string_value": "green"}, "max_batch": {"string_value": "4"}},
}
INDEX = [{"name": "double", "version": "7", "state": "READY", "reason": ""}]
EXTENSIONS = ["binary_tensor_data", "classification", "model_configuration", "parameters", "statistics"]
TOLD: dict[tuple[str, str], Any] = {
    ("GET", "/v2"): {"name": "offramp", "version": __version__, "extensions": EXTENSIONS},
    ("GET", "/v2/"): {"name": "offramp", "version": __version__, "extensions": EXTENSIONS},
    ("GET", "/v2/health/live"): {"live": True},
    ("GET", "/v2/health/ready"): {"ready": True},
    ("GET", "/v2/models/double"): METADATA,
    ("GET", "/v2/models/double/versions/7"): METADATA,
    ("GET", "/v2/models/d%6fuble"): METADATA,
    ("GET", "/v2/models/double/ready"): {"name": "double", "ready": True},
    ("GET", "/v2/models/double/versions/7/ready"): {"name": "double", "ready": True},
    ("GET", "/v2/models/double/config"): CONFIG,
    ("GET", "/v2/models/double/versions/7/config"): CONFIG,
    ("GET", "/v2/repository/index"): INDEX,
    ("POST", "/v2/repository/index"): INDEX,
}


@pytest.mark.parametrize(("method", "path"), TOLD)
def test_what_a_node_tells_of_itself(connection: http.client.HTTPConnection, method: str, path: str) -> None:
    """Every address of the protocol that is not inference."""
    assert ask(connection, method, path) == (200, TOLD[method, path])


def test_readiness_of_a_model_makes_it_ready(connection: http.client.HTTPConnection, model: Any) -> None:
    """It is opened before anybody is told that it is."""
    before = model.prepared
    ask(connection, "GET", "/v2/models/double/ready")
    assert model.prepared == before + 1


@pytest.mark.parametrize("path", ["/v2/models/stats", "/v2/models/double/stats", "/v2/models/double/versions/7/stats"])
def test_statistics_count_what_is_answered(connection: http.client.HTTPConnection, path: str) -> None:
    """Of one model, or of each."""
    before = ask(connection, "GET", path)[1]["model_stats"][0]["inference_count"]
    doubled(connection)
    status, answer = ask(connection, "GET", path)
    assert status == 200
    assert [(stats["name"], stats["inference_count"]) for stats in answer["model_stats"]] == [("double", before + 2)]


def test_a_request_is_answered(connection: http.client.HTTPConnection) -> None:
    """In JSON, as it was asked."""
    status, answer = ask(connection, "POST", INFER, tensors([1, 2], [3, 4.5], id="mine", parameters={"mark": "a"}))
    assert status == 200
    assert answer == {
        "model_name": "double",
        "model_version": "7",
        "id": "mine",
        "parameters": {"mark": "a", "rows": 2},
        "outputs": [
            {"name": "twice", "datatype": "FP32", "shape": [2, 2], "data": [2.0, 4.0, 6.0, 9.0]},
            {"name": "word", "datatype": "BYTES", "shape": [2], "data": ["row 0", "row 1"]},
        ],
    }


def test_a_request_to_a_version_is_answered(connection: http.client.HTTPConnection) -> None:
    """The address names it."""
    assert ask(connection, "POST", "/v2/models/double/versions/7/infer", GOOD)[0] == 200


def test_a_request_in_binary_form_is_answered_in_it(connection: http.client.HTTPConnection) -> None:
    """JSON, then raw contents; a header says where."""
    header = json.dumps(
        {
            "inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}],
            "outputs": [{"name": "twice", "parameters": {"binary_data": True}}, {"name": "word"}],
        }
    ).encode()
    headers = {"Inference-Header-Content-Length": str(len(header))}
    connection.request("POST", INFER, header + struct.pack("<2f", 0.5, 8), headers)
    response = connection.getresponse()
    content = response.read()
    length = int(response.headers["Inference-Header-Content-Length"])
    assert response.status == 200
    assert response.headers["Content-Type"] == "application/octet-stream"
    assert struct.unpack("<2f", content[length:]) == (1.0, 16.0)
    assert json.loads(content[:length])["outputs"][1]["data"] == ["row 0"]


def test_a_request_of_nothing_but_raw_contents_is_answered(connection: http.client.HTTPConnection) -> None:
    """Triton's: a length of 0, no JSON; as many samples as there are bytes for, every output in binary form."""
    connection.request("POST", INFER, struct.pack("<4f", 0.5, 8, 1, 2), {"Inference-Header-Content-Length": "0"})
    response = connection.getresponse()
    content, length = response.read(), int(response.headers["Inference-Header-Content-Length"])
    assert response.status == 200
    assert struct.unpack("<4f", content[length : length + 16]) == (1.0, 16.0, 2.0, 4.0)
    assert [tensor["parameters"] for tensor in json.loads(content[:length])["outputs"]] == [
        {"binary_data_size": 16},
        {"binary_data_size": 18},
    ]


def test_an_answer_in_json_says_that_it_is(connection: http.client.HTTPConnection) -> None:
    """By its type; and it names no length of a header that it has not."""
    connection.request("POST", INFER, GOOD)
    response = connection.getresponse()
    response.read()
    assert response.headers["Content-Type"] == "application/json"
    assert "Inference-Header-Content-Length" not in response.headers


def test_head_gives_no_body(connection: http.client.HTTPConnection) -> None:
    """Load balancers ask that way; the connection goes on."""
    connection.request("HEAD", "/v2/health/ready")
    response = connection.getresponse()
    assert (response.status, response.read()) == (200, b"")
    assert doubled(connection) == [2.0, 4.0, 6.0, 9.0]


def test_a_body_in_chunks_is_read(connection: http.client.HTTPConnection) -> None:
    """Its length is known when it ends."""
    pieces = iter([GOOD[:10], GOOD[10:11], GOOD[11:]])
    connection.request("POST", INFER, pieces, encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
    response = connection.getresponse()
    assert json.loads(response.read())["outputs"][0]["data"] == [2.0, 4.0, 6.0, 9.0]


def test_a_client_that_asks_before_it_sends_is_told_to(server: Server) -> None:
    """`Expect: 100-continue`, as curl does with large bodies."""
    head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(GOOD)}\r\nExpect: 100-continue\r\n"
    assert server.http is not None
    with socket.create_connection(("127.0.0.1", server.http.port), WAIT) as client:
        client.sendall(head.encode() + b"Connection: close\r\n\r\n")
        assert client.recv(1 << 16) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(GOOD)
        assert client.recv(1 << 16).startswith(b"HTTP/1.1 200 OK\r\n")


def test_requests_one_behind_the_other_are_answered_in_order(server: Server) -> None:
    """Pipelined: the second is sent before the first is answered."""
    first = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(GOOD)}\r\n\r\n".encode() + GOOD
    answers = raw(server, first + b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answers.count(b"HTTP/1.1 200 OK\r\n") == 2
    assert answers.endswith(b'{"live":true}')


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "GZip": lambda body: b"".join(gzip.compress(body[at : at + 7]) for at in range(0, len(body), 7)),  # of many members
    "identity": bytes,
}


@pytest.mark.parametrize("encoding", PACKED)
def test_a_packed_body_is_unpacked(connection: http.client.HTTPConnection, encoding: str) -> None:
    """The ways of the protocol's clients, and a gzip of several members, which is one (RFC 1952)."""
    status, answer = ask(connection, "POST", INFER, PACKED[encoding](GOOD), Content_Encoding=encoding)
    assert status == 200
    assert answer["outputs"][0]["data"] == [2.0, 4.0, 6.0, 9.0]


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_packed_body_may_be_as_large_as_the_bound(connection: http.client.HTTPConnection, encoding: str) -> None:
    """To the byte."""
    body = GOOD + b" " * (BOUND - len(GOOD))
    assert ask(connection, "POST", INFER, PACKED[encoding](body), Content_Encoding=encoding)[0] == 200


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("size", [BOUND + 1, 48 << 20])
def test_a_body_that_unpacks_to_more_than_the_bound_is_refused(
    connection: http.client.HTTPConnection, encoding: str, size: int
) -> None:
    """One byte too many, or a bomb."""
    bomb = PACKED[encoding](b" " * size)
    assert len(bomb) < BOUND
    status, answer = ask(connection, "POST", INFER, bomb, Content_Encoding=encoding)
    assert (status, answer) == (
        413,
        {"error": f"body: larger than {BOUND} bytes once it is unpacked, the most that this node takes."},
    )
    assert doubled(connection) == [2.0, 4.0, 6.0, 9.0]


REFUSED: dict[str, tuple[dict[str, str], bytes, int, str]] = {
    "gzip cut short": ({"Content-Encoding": "gzip"}, gzip.compress(GOOD)[:-3], 400, "body: its gzip is cut short."),
    "gzip that is none": (
        {"Content-Encoding": "gzip"},
        GOOD,
        400,
        "body: not gzip (Error -3 while decompressing data: incorrect header check).",
    ),
    "deflate that is gzip": (
        {"Content-Encoding": "deflate"},
        gzip.compress(GOOD),
        400,
        "body: not deflate (Error -3 while decompressing data: incorrect header check).",
    ),
    "more behind it": (
        {"Content-Encoding": "gzip"},
        gzip.compress(GOOD) + b"more",
        400,
        "body: 4 bytes follow the end of its gzip.",
    ),
    "another packing": (
        {"Content-Encoding": "br"},
        GOOD,
        415,
        "Content-Encoding 'br': expected identity or one of gzip, x-gzip, deflate.",
    ),
    "two packings": (
        {"Content-Encoding": "gzip, gzip"},
        gzip.compress(gzip.compress(GOOD)),
        415,
        "Content-Encoding 'gzip, gzip': expected identity or one of gzip, x-gzip, deflate.",
    ),
    "a second gzip cut short": (
        {"Content-Encoding": "gzip"},
        gzip.compress(GOOD) + gzip.compress(GOOD)[:-3],
        400,
        "body: its gzip is cut short.",
    ),
    "a length that is none": (
        {"Inference-Header-Content-Length": "-1"},
        GOOD,
        400,
        "header inference-header-content-length: expected a whole number, got '-1'.",
    ),
    "a length that is endless": (
        {"Inference-Header-Content-Length": "9" * 5000},
        GOOD,
        400,
        "header inference-header-content-length: expected a whole number, got '999999999999999999'.",
    ),
    "raw contents that are no whole samples": (
        {"Inference-Header-Content-Length": "0"},
        struct.pack("<3f", 1, 2, 3),
        400,
        "x: 12 bytes of raw contents: a sample of FP32 takes 8. Send whole samples, or say more in JSON.",
    ),
    "raw contents of nothing": (
        {"Inference-Header-Content-Length": "0"},
        b"",
        400,
        "x: 0 bytes of raw contents: a sample of FP32 takes 8. Send whole samples, or say more in JSON.",
    ),
    "a length beyond the body": (
        {"Inference-Header-Content-Length": "999"},
        b'{"inputs":[]}',
        400,
        "Inference-Header-Content-Length 999: expected the length of the JSON part, from 1 to the 13 bytes of the "
        "body.",
    ),
    "a batch over the bound": (
        {},
        tensors(*[[1, 2]] * 5),
        413,
        "x: a batch of 5, and this node takes at most 4 samples in one request. Send smaller batches, or start the "
        "node with a larger --max-batch.",
    ),
    "an unknown output": (
        {},
        tensors([1, 2], outputs=[{"name": "thrice"}]),
        400,
        "output 'thrice': double gives twice, word.",
    ),
    "a deadline of nothing": (
        {},
        tensors([1, 2], parameters={"timeout": 0}),
        400,
        "parameter 'timeout': expected microseconds above 0, got 0.",
    ),
    "overload": ({}, tensors([1, 2], parameters={"fail": "overloaded"}), 503, "too much to do."),
    "a lost node behind it": ({}, tensors([1, 2], parameters={"fail": "unreachable"}), 503, "nobody there."),
    "a deadline": ({}, tensors([1, 2], parameters={"fail": "deadline"}), 504, "too late."),
    "something of ours": ({}, tensors([1, 2], parameters={"fail": "ours"}), 500, "something of ours."),
    "a defect": (
        {},
        tensors([1, 2], parameters={"fail": "defect"}),
        500,
        "the node failed; its log has the details.",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_request_says_why_and_the_next_one_is_answered(
    connection: http.client.HTTPConnection, case: str
) -> None:
    """On the same connection."""
    headers, body, status, message = REFUSED[case]
    connection.request("POST", INFER, body, headers)
    response = connection.getresponse()
    assert (response.status, json.loads(response.read())) == (status, {"error": message})
    assert doubled(connection) == [2.0, 4.0, 6.0, 9.0]


NOWHERE = "nothing is here. The protocol's addresses begin with /v2; metrics are at /metrics."
NO_VERSION = (
    "model 'double' version '9': this node serves version 7. The two nodes hold different bundles: give both the same "
    "one."
)
MISSED: dict[tuple[str, str], tuple[int, str]] = {
    ("GET", "/"): (404, f"/: {NOWHERE}"),
    ("GET", "/v1/models"): (404, f"/v1/models: {NOWHERE}"),
    ("GET", "/v2/health"): (404, f"/v2/health: {NOWHERE}"),
    ("GET", "/v2/models/double/weights"): (404, f"/v2/models/double/weights: {NOWHERE}"),
    ("GET", "/v2/models/resnet"): (404, "model 'resnet': unknown here. This node serves double."),
    ("GET", "/v2/models/resnet/ready"): (404, "model 'resnet': unknown here. This node serves double."),
    ("GET", "/v2/models/double/versions/9"): (404, NO_VERSION),
    ("POST", "/v2/models/resnet/infer"): (404, "model 'resnet': unknown here. This node serves double."),
    ("POST", "/v2/models/double/versions/9/infer"): (404, NO_VERSION),
    ("GET", INFER): (405, "method GET: expected POST."),
    ("PUT", "/v2/models/double/versions/7/infer"): (405, "method PUT: expected POST."),
    ("POST", "/v2/health/ready"): (405, "method POST: expected GET or HEAD."),
    ("DELETE", "/v2/repository/index"): (405, "method DELETE: expected POST or GET."),
    ("POST", "/v2/repository/models/double/load"): (
        501,
        "/v2/repository/models/double/load: this node does not offer it.",
    ),
    ("POST", "/v2/repository/models/double/unload"): (
        501,
        "/v2/repository/models/double/unload: this node does not offer it.",
    ),
    ("GET", "/v2/systemsharedmemory/status"): (501, "/v2/systemsharedmemory/status: this node does not offer it."),
    ("POST", "/v2/cudasharedmemory/region/r/register"): (
        501,
        "/v2/cudasharedmemory/region/r/register: this node does not offer it.",
    ),
    ("GET", "/v2/models/double/trace/setting"): (501, "/v2/models/double/trace/setting: this node does not offer it."),
    ("POST", "/v2/logging"): (501, "/v2/logging: this node does not offer it."),
}


@pytest.mark.parametrize(("method", "path"), MISSED)
def test_what_there_is_not_is_said_and_the_next_request_is_answered(
    connection: http.client.HTTPConnection, method: str, path: str
) -> None:
    """Whether the request had a body or not: what nobody read of it is not taken for the next request."""
    status, message = MISSED[method, path]
    body = GOOD if method in {"POST", "PUT"} else None
    assert ask(connection, method, path, body) == (status, {"error": message})
    assert doubled(connection) == [2.0, 4.0, 6.0, 9.0]


def test_a_wrong_method_is_told_the_right_one(connection: http.client.HTTPConnection) -> None:
    """In the header that is there for it."""
    connection.request("GET", INFER)
    response = connection.getresponse()
    response.read()
    assert response.headers["Allow"] == "POST"


def too_large(size: int) -> dict[str, str]:
    """What is said of a body of so many bytes."""
    return {
        "error": f"body: {size} bytes, and this node takes at most {BOUND} in one request. Send smaller batches, or "
        "start the node with a larger --max-batch."
    }


def test_a_body_over_the_bound_is_refused_before_it_comes(server: Server) -> None:
    """By what its header says: not one byte of it has been sent."""
    assert server.http is not None
    with socket.create_connection(("127.0.0.1", server.http.port), WAIT) as client:
        client.sendall(f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: {BOUND + 1}\r\n\r\n".encode())
        response = http.client.HTTPResponse(client)
        response.begin()
        assert (response.status, json.loads(response.read())) == (413, too_large(BOUND + 1))


def test_a_client_that_sends_a_body_over_the_bound_gets_to_read_why(connection: http.client.HTTPConnection) -> None:
    """It is read past and not kept, so that the connection serves the next request."""
    size = 1 << 24
    assert ask(connection, "POST", INFER, b" " * size) == (413, too_large(size))
    assert doubled(connection) == [2.0, 4.0, 6.0, 9.0]


def test_a_client_that_asked_leave_to_send_and_was_refused_is_let_go(server: Server) -> None:
    """Whether it sends its body all the same cannot be known: the connection ends, and the answer says so."""
    head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: {BOUND + 1}\r\nExpect: 100-continue\r\n\r\n"
    answer = raw(server, head.encode())
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"\r\nconnection: close\r\n" in answer


def test_a_body_in_chunks_over_the_bound_is_refused(connection: http.client.HTTPConnection) -> None:
    """As soon as it is too large, whatever it did not say before."""
    pieces = iter([b" " * 50_000, b" " * 50_000, b" " * 50_000])
    connection.request("POST", INFER, pieces, encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
    response = connection.getresponse()
    assert response.status == 413
    assert f"and this node takes at most {BOUND} in one request." in json.loads(response.read())["error"]
    assert doubled(connection) == [2.0, 4.0, 6.0, 9.0]


def test_a_body_longer_than_it_said_is_no_request(server: Server) -> None:
    """What follows its length is read as the next request, and is none."""
    head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(GOOD)}\r\n\r\n".encode()
    answer = raw(server, head + GOOD + b"{more}\r\n\r\n")
    assert b"HTTP/1.1 400 Bad Request\r\n" in answer
    assert answer.endswith(b"Invalid HTTP request received.")


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
        b"GET /v2 HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST " + INFER.encode() + b" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["tls", "a length that is none", "two lengths", "a length and chunks", "a chunk that is none"],
)
def test_what_is_no_http_is_refused_and_the_node_goes_on(
    server: Server, connection: http.client.HTTPConnection, sent: bytes
) -> None:
    """The connection ends; others do not."""
    assert raw(server, sent).startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert doubled(connection) == [2.0, 4.0, 6.0, 9.0]


def test_a_client_that_goes_in_the_middle_leaves_nothing_behind(
    server: Server, connection: http.client.HTTPConnection
) -> None:
    """What it had sent is given up."""
    assert server.http is not None
    with socket.create_connection(("127.0.0.1", server.http.port), WAIT) as client:
        client.sendall(f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{{".encode())
        until(lambda: server.application.in_hand == 1)
    until(lambda: server.application.in_hand == 0)
    assert doubled(connection) == [2.0, 4.0, 6.0, 9.0]


def test_a_client_that_goes_before_its_answer_leaves_nothing_behind(
    server: Server, model: Any, connection: http.client.HTTPConnection
) -> None:
    """The answer goes nowhere, and what it took is given back."""
    assert server.http is not None
    body = tensors([1, 2], parameters={"wait": True})
    model.entered.clear()
    model.opened.clear()
    with socket.create_connection(("127.0.0.1", server.http.port), WAIT) as client:
        client.sendall(f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        assert model.entered.wait(WAIT)
        assert server.application.in_hand == len(body)
    model.opened.set()
    until(lambda: server.application.in_hand == 0)
    assert doubled(connection) == [2.0, 4.0, 6.0, 9.0]


def test_a_request_before_whose_body_too_much_stands_is_refused(server: Server) -> None:
    """A header that never ends takes no memory that does not either."""
    assert server.http is not None
    with socket.create_connection(("127.0.0.1", server.http.port), WAIT) as client:
        client.sendall(b"GET /v2 HTTP/1.1\r\nHost: x\r\nx-endless: ")
        assert ended(client, [b"a" * HEADERS] * 64)


def test_what_stands_behind_a_body_is_bounded_too(server: Server) -> None:
    """Trailers that never end, whether many or one."""
    assert server.http is not None
    head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n".encode()
    for trailers in (b"a: b\r\n" * (HEADERS // 6), b"a" * HEADERS):
        with socket.create_connection(("127.0.0.1", server.http.port), WAIT) as client:
            client.sendall(head)
            assert ended(client, [trailers] * 64)


@pytest.mark.parametrize("size", [1 << 25, 1 << 13])
@pytest.mark.parametrize("close", [b"", b"connection: close\r\n"])
def test_a_client_that_does_not_read_its_answers_is_given_up(size: int, close: bytes) -> None:
    """One far larger than what the system keeps for it, or many that are not; before the connection ends, too."""
    body = bytes(size)

    async def large(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size)]})
        await send({"type": "http.response.body", "body": body})

    side = HttpServer(large, "127.0.0.1", 0, unread=0.5, keep_alive=0.5)
    side.start()
    open_now = side.server.server_state.connections
    request = b"GET /v2 HTTP/1.1\r\nHost: x\r\n"
    try:
        with socket.create_connection(("127.0.0.1", side.port), WAIT) as client:
            asked = (request + b"\r\n") * ((1 << 25) // size - 1) + request + close + b"\r\n"
            client.setblocking(False)
            with suppress(BlockingIOError):
                client.send(asked)
            until(lambda: len(open_now) == 1)
            until(lambda: not open_now)
    finally:
        side.stop(1)


def ended(client: socket.socket, pieces: list[bytes], every: float = 0.0) -> bool:
    """Whether the server ends the connection while these are sent, with so many seconds between them.

    Sent at once they may all lie in the system's buffers before the server has looked at one: its end is waited for.
    """
    pause = threading.Event()
    try:
        for piece in pieces:
            client.sendall(piece)
            pause.wait(every)
        while not every and client.recv(1 << 16):
            pass
    except (BrokenPipeError, ConnectionResetError):
        return True
    except TimeoutError:
        return False
    return not every


Small = tuple[Any, Application, HttpServer]


def running(model: Any, *, silence: float) -> Iterator[Small]:
    """A model, its application, and a server of it with bounds of its own."""
    with Pool(2, "http") as pool:
        application = Application(DataPlane([model], 4), pool, pool, most=1000, silence=silence)
        side = HttpServer(application, "127.0.0.1", 0, keep_alive=silence)
        side.start()
        yield model, application, side
        side.stop(WAIT)


@pytest.fixture
def small(double: Any) -> Iterator[Small]:
    """A server that holds 1000 bytes."""
    yield from running(double, silence=WAIT)


@pytest.fixture
def impatient(double: Any) -> Iterator[Small]:
    """A server that does not wait long."""
    yield from running(double, silence=0.2)


def test_a_body_that_trickles_is_given_up(double: Any) -> None:
    """A byte now and then is no silence, and would hold for ever what it has of the bytes in hand."""
    sent, answers = 0, []

    async def receive() -> dict[str, Any]:
        nonlocal sent
        sent += 1
        assert sent < 500, "it is read for ever"
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b" ", "more_body": True}

    async def send(message: MutableMapping[str, Any]) -> None:
        answers.append(message)

    with Pool(1, "http") as pool:
        application = Application(DataPlane([double], 256), pool, pool, silence=0.2)
        scope = {"type": "http", "method": "POST", "path": INFER, "headers": []}
        asyncio.run(application(scope, receive, send))
    assert answers[0]["status"] == 408
    assert re.match(rb'{"error":"body: (came too slowly, \d+ bytes so far|nothing more)', answers[1]["body"])
    assert application.in_hand == 0


def test_a_body_of_which_nothing_more_comes_is_given_up(impatient: Small) -> None:
    """With an answer that says so, and the end of the connection."""
    _, application, side = impatient
    with socket.create_connection(("127.0.0.1", side.port), WAIT) as client:
        client.sendall(f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{".encode())
        received = b""
        while more := client.recv(1 << 16):
            received += more
    assert received.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b"\r\nconnection: close\r\n" in received
    assert received.endswith(b'{"error":"body: nothing more of it came for 0.2 s."}')
    assert application.in_hand == 0


@pytest.mark.parametrize(
    "sent", [b"", b"GET /v2/health/li", b"GET /v2 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12"]
)
def test_a_connection_on_which_nothing_more_comes_is_closed(impatient: Small, sent: bytes) -> None:
    """Before a request, in the middle of one, or behind an answer that did not wait for the body."""
    with socket.create_connection(("127.0.0.1", impatient[2].port), WAIT) as client:
        client.sendall(sent)
        while client.recv(1 << 16):
            pass


def test_a_request_that_comes_byte_by_byte_does_not_get_longer(impatient: Small) -> None:
    """Each byte would be in time, the whole is not."""
    with socket.create_connection(("127.0.0.1", impatient[2].port), WAIT) as client:
        client.sendall(b"GET /")
        assert ended(client, [b"a"] * int(WAIT / 0.05), every=0.05)


def test_what_is_in_hand_is_bounded_over_all_requests(small: Small) -> None:
    """What comes on top is refused and may come again; the first is answered, however large it is."""
    model, application, side = small
    body = tensors([1, 2], parameters={"wait": True}) + b" " * 600
    answers: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()

    def first() -> None:
        for client in connected(side):
            answers.put(ask(client, "POST", INFER, body))

    caller = threading.Thread(target=first, daemon=True)
    caller.start()
    assert model.entered.wait(WAIT)
    for client in connected(side):
        status, answer = ask(client, "POST", INFER, GOOD + b" " * 400)
        assert (status, answer) == (
            503,
            {
                "error": f"overloaded: {len(body)} bytes of requests are in hand, and this one would add "
                f"{len(GOOD) + 400}; this node holds 1000. Send less or later."
            },
        )
        model.opened.set()
        assert answers.get(timeout=WAIT)[0] == 200
        until(lambda: application.in_hand == 0)
        assert ask(client, "POST", INFER, GOOD + b" " * 400)[0] == 200
    caller.join(WAIT)


def test_a_client_that_claims_much_and_sends_little_holds_little(small: Small) -> None:
    """What is in hand is what came: others are answered meanwhile."""
    _, application, side = small
    with socket.create_connection(("127.0.0.1", side.port), WAIT) as client:
        client.sendall(f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n{{".encode())
        until(lambda: application.in_hand == 1)
        for other in connected(side):
            assert doubled(other) == [2.0, 4.0, 6.0, 9.0]
