"""Plain requests over HTTP: answered as the application answers them, and on the thread that they belong on."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from certificates import secret, token
from offramp.errors import OverloadedError
from offramp.protocol.door import Access, Door
from offramp.protocol.metrics import SHUT_OUT
from offramp.protocol.plain import PATIENCE
from offramp.protocol.served import Call, Result
from offramp.protocol.server import Server
from until import until

WAIT = 30.0
PATH = "/v2/models/double/infer"
GOOD, READS, UNKNOWN = token(), token(), token()
TIMES = ("_seconds",)  # families of numbers that no two runs have alike
LONG = {"Content-Encoding": "identity"}  # means nothing, and is no plain request's


@pytest.fixture(scope="module")
def model(make: Callable[[], Any]) -> Any:
    """A model that answers at once what asks for nothing special; it tells on which threads, and may be slow."""

    class Quick(type(make())):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.threads: list[tuple[str, int]] = []  # who answered how many calls
            self.order: list[float] = []  # the first numbers of those that were answered one by one
            self.takes = 0.0

        def infer(self, call: Call) -> Result:
            self.threads.append((threading.current_thread().name, 1))
            self.order.append(float(call.inputs["x"].flat[0]))
            time.sleep(self.takes)
            return super().infer(call)

        def at_once(self, calls: list[Call]) -> list[Result] | None:
            if any(call.parameters for call in calls):
                return None
            self.threads.append((threading.current_thread().name, len(calls)))
            return [super(Quick, self).infer(call) for call in calls]

    return Quick()


@contextmanager
def serving(model: Any, door: Door | None = None) -> Iterator[Server]:
    """A real server."""
    running = Server([model], "127.0.0.1", 0, max_batch=4, calls=2, http_port=0, door=door)
    running.start()
    yield running
    running.stop(WAIT)


def connected(server: Server) -> socket.socket:
    """A connection to its HTTP side."""
    assert server.http is not None
    return socket.create_connection(("127.0.0.1", server.http.port), WAIT)


@pytest.fixture(scope="module")
def server(model: Any) -> Iterator[Server]:
    """A server of it."""
    with serving(model) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[socket.socket]:
    """A connection."""
    with connected(server) as connection:
        yield connection


@pytest.fixture(scope="module")
def guarded(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of it that asks for tokens."""
    tokens = secret(tmp_path_factory.mktemp("tokens") / "tokens", f"good infer {GOOD}\nreads read {READS}\n")
    with serving(model, Door(Access(tokens=tokens), "127.0.0.1")) as running:
        yield running


@pytest.fixture
def caller(guarded: Server) -> Iterator[socket.socket]:
    """A connection to it."""
    with connected(guarded) as connection:
        yield connection


def request(body: bytes, headers: dict[str, str]) -> bytes:
    """A request's bytes."""
    said = {"Host": "x", "Content-Length": str(len(body)), **headers}
    lines = [f"POST {PATH} HTTP/1.1", *(f"{name}: {value}" for name, value in said.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def answer(client: socket.socket) -> bytes:
    """The bytes of one answer."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += client.recv(1 << 16) or pytest.fail("the connection ended")
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += client.recv(1 << 16) or pytest.fail("the connection ended")
    return head + b"\r\n\r\n" + body


def asked(x: Any, **said: Any) -> tuple[bytes, dict[str, str]]:
    """A body with a binary tensor, and its header."""
    values = np.asarray(x, np.float32)
    sized = {"binary_data_size": values.nbytes}
    tensor = {"name": "x", "shape": values.shape, "datatype": "FP32", "parameters": sized}
    head = json.dumps({"inputs": [tensor | said.pop("tensor", {})], **said}).encode()
    return head + values.tobytes(), {"Inference-Header-Content-Length": str(len(head))}


VALUE = st.floats(-(2.0**100), 2.0**100, width=32) | st.just(float("nan"))
OUTPUTS = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(["twice", "word", "none"])},
        optional={
            "parameters": st.sampled_from([{"binary_data": True}, {"binary_data": False}, {"classification": 1}])
        },
    ),
    max_size=2,
)
SAID = st.fixed_dictionaries(
    {},
    optional={
        "outputs": OUTPUTS,
        "id": st.sampled_from(["", "seven", 7]),
        "parameters": st.sampled_from(
            [
                {},
                {"binary_data_output": True},
                {"colour": "red"},
                {"fail": "overloaded"},
                {"fail": "defect"},
                {"timeout": 0},
            ]
        ),
        "tensor": st.sampled_from([{"name": "y"}, {"shape": [7]}, {"datatype": "FP16"}, {"datatype": "TEXT"}, {}]),
    },
)


def counted(server: Server) -> dict[Any, Any]:
    """All that was counted, but times."""
    return {key: told for key, told in server.plane.statistics.metrics.read().items() if not key[0].endswith(TIMES)}


def more(after: dict[Any, Any], before: dict[Any, Any]) -> dict[Any, Any]:
    """What was counted in between."""
    found = {key: np.subtract(told, before.get(key, np.zeros(len(told)))).tolist() for key, told in after.items()}
    return {key: told for key, told in found.items() if any(told)}


@given(st.lists(st.tuples(VALUE, VALUE), max_size=5), SAID, st.integers(-1, 1), st.booleans())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_both_ways_answer_and_count_alike_to_the_last_byte(
    server: Server, client: socket.socket, rows: list[Any], said: dict[str, Any], off: int, named: bool
) -> None:
    """The application's answer, and three times the plain one: on a thread, on the loop, of a head that is known."""
    body, headers = asked(np.array(rows, np.float32).reshape(-1, 2), **said)
    headers = {**headers, **({"X-Request-Id": "mine"} if named else {})}
    headers["Inference-Header-Content-Length"] = str(int(headers["Inference-Header-Content-Length"]) + off)
    start = counted(server)
    client.sendall(request(body, headers | LONG))
    expected = answer(client)
    once = counted(server)
    for _ in range(3):
        before = counted(server)
        client.sendall(request(body, headers))
        assert answer(client) == expected
        assert more(counted(server), before) == more(once, start)


@contextmanager
def crowded(server: Server) -> Iterator[None]:
    """While it lasts, the node takes no call over HTTP."""
    pool = server.pools[1]
    before, pool.full = pool.full, lambda: OverloadedError("no room.")
    try:
        yield
    finally:
        pool.full = before


def test_both_ways_refuse_and_count_alike(server: Server, client: socket.socket, model: Any) -> None:
    """To the last byte, and no model is asked; the connection serves the next request."""
    body, headers = asked([[1, 2]])
    answers, counts = [], []
    ran = len(model.threads)
    for way in (LONG, {}):
        with crowded(server):
            start = counted(server)
            client.sendall(request(body, headers | way))
            answers.append(answer(client))
            counts.append(more(counted(server), start))
        client.sendall(request(body, headers))
        assert answer(client).startswith(b"HTTP/1.1 200")
    assert answers[0] == answers[1]
    assert answers[0].startswith(b"HTTP/1.1 503")
    assert answers[0].endswith(b'{"error":"no room."}')
    assert counts[0] == counts[1]
    assert sum(sum(count) for key, count in counts[0].items() if "refused" in key) == 1
    assert len(model.threads) == ran + 2


@given(st.integers(1, 3000), st.integers(0, 3000), st.lists(st.integers(0, 4000), max_size=6))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_refused_body_is_dropped_and_what_follows_it_answered(
    server: Server, client: socket.socket, size: int, first: int, cuts: list[int]
) -> None:
    """However the bytes come, and though the body reads like requests; its refusal waits for none of it."""
    body, headers = asked([[0.25, 2]])
    good = request(body, headers)
    refused = request((good * 20)[:size], {})
    head = len(refused) - size
    with crowded(server):
        client.sendall(refused[: head + first])
        assert answer(client).startswith(b"HTTP/1.1 503")
    rest = refused[head + first :] + good
    ends = sorted({*(min(cut, len(rest)) for cut in cuts), len(rest)})
    for start, end in zip([0, *ends], ends, strict=False):
        client.sendall(rest[start:end])
    said = answer(client)
    assert said.startswith(b"HTTP/1.1 200")
    assert json.loads(said.partition(b"\r\n\r\n")[2])["outputs"][0]["data"] == [0.5, 4]


def test_a_call_that_is_known_to_be_short_is_answered_on_the_loop(client: socket.socket, model: Any) -> None:
    """One that is not known to be is not, whatever the model says."""
    body, headers = asked([[0.5, 1]], id="short")

    def thread() -> str:
        client.sendall(request(body, headers))
        assert answer(client).startswith(b"HTTP/1.1 200")
        return str(model.threads[-1][0])

    assert thread() in ("http_0", "http_1")
    until(lambda: thread() == "http")  # on a busy machine, what is short may have taken long


def test_who_shows_a_good_token_is_answered_on_the_loop_too(caller: socket.socket, model: Any) -> None:
    """To ask for tokens makes no request another than plain."""
    body, headers = asked([[0.5, 1]], id="short, by token")

    def thread() -> str:
        caller.sendall(request(body, headers | {"Authorization": f"Bearer {GOOD}"}))
        assert answer(caller).startswith(b"HTTP/1.1 200")
        return str(model.threads[-1][0])

    until(lambda: thread() == "http")


@pytest.mark.parametrize(
    ("shown", "status"),
    [
        ({}, 401),
        ({"Authorization": f"Bearer {UNKNOWN}"}, 401),
        ({"Authorization": GOOD}, 401),
        ({"Authorization": f"Bearer {READS}"}, 403),
        ({"Authorization": f"Bearer {UNKNOWN}", "authorization": f"Bearer {GOOD}"}, 401),
        ({"Authorization": f"Bearer {GOOD}", "authorization": f"Bearer {UNKNOWN}"}, 200),
    ],
)
@pytest.mark.parametrize("full", [False, True])
def test_both_ways_let_in_the_same_callers(
    guarded: Server, caller: socket.socket, model: Any, shown: dict[str, str], status: int, full: bool
) -> None:
    """To the last byte; who is refused is counted once and asks no model, and is not told that the node is crowded."""
    body, headers = asked([[1, 2]])
    status = 503 if full and status == 200 else status
    answers, counts, ran = [], [], len(model.threads)
    for way in (LONG, {}):
        start = counted(guarded)
        with crowded(guarded) if full else nullcontext():
            caller.sendall(request(body, headers | shown | way))
            answers.append(answer(caller))
        counts.append(more(counted(guarded), start))
    assert answers[0] == answers[1]
    assert answers[0].startswith(b"HTTP/1.1 %d" % status)
    assert counts[0] == counts[1]
    assert len(model.threads) == ran + (2 if status == 200 else 0)
    shut_out = sum(sum(count) for key, count in counts[1].items() if key[0] == SHUT_OUT.name)
    assert shut_out == (status in (401, 403))


def test_a_call_that_takes_long_never_holds_the_loop(client: socket.socket, model: Any) -> None:
    """5 ms, by what it took the first time."""
    body, headers = asked([[0.25, 1]], id="long")
    model.takes = 0.005
    try:
        for _ in range(4):
            client.sendall(request(body, headers))
            assert answer(client).startswith(b"HTTP/1.1 200")
            assert model.threads[-1][0] in ("http_0", "http_1")
    finally:
        model.takes = 0.0


def test_what_comes_together_is_answered_together_and_each_gets_its_own(server: Server, model: Any) -> None:
    """Short calls wait for both threads, which are taken: whoever is free first takes them as one batch."""
    assert server.http is not None
    port = server.http.port

    def ask(row: float) -> bytes:
        body, headers = asked([[row, -row]], outputs=[{"name": "twice", "parameters": {"binary_data": True}}])
        return _posted(port, body, headers)[-8:]

    def is_known() -> bool:
        ask(1.0)
        return bool(model.threads[-1][0] == "http")

    until(is_known)  # to be short, which on a busy machine it may not have been the first time
    model.opened.clear()
    with ThreadPoolExecutor(10) as callers:
        waiting = []
        for _ in range(2):
            model.entered.clear()
            waiting.append(callers.submit(_posted, port, *asked([[1, 1]], parameters={"wait": True})))
            assert model.entered.wait(WAIT)
        asking = [callers.submit(ask, float(row)) for row in range(1, 7)]
        until(lambda: len(server.pools[1].backlog) == 6)
        model.opened.set()
        for row, one in enumerate(asking, 1):
            assert one.result(WAIT) == np.array([2 * row, -2 * row], np.float32).tobytes()
        assert all(one.result(WAIT).startswith(b"HTTP/1.1 200") for one in waiting)
    assert max(count for _, count in model.threads) >= 3


@pytest.mark.parametrize("short", [False, True])
def test_what_waits_is_answered_in_the_order_in_which_it_came(server: Server, model: Any, short: bool) -> None:
    """More than are taken at once: long ones, and short ones that are not to be answered together after all."""
    assert server.http is not None
    port, callers, asking = server.http.port, ThreadPoolExecutor(16), []
    asked_like = [asked([[float(row), 0]], id="order", parameters={"colour": "red"}) for row in range(10, 22)]
    if short:
        server.http.server.config.http.keywords["plain"].known.took.update(  # type: ignore[union-attr]
            {(PATH, body[: int(headers["Inference-Header-Content-Length"])]): 0.0 for body, headers in asked_like}
        )
    model.opened.clear()
    with callers:
        for _ in range(2):
            model.entered.clear()
            asking.append(callers.submit(_posted, port, *asked([[1, 1]], parameters={"wait": True})))
            assert model.entered.wait(WAIT)
        model.order.clear()
        for count, like in enumerate(asked_like, 1):
            asking.append(callers.submit(_posted, port, *like))
            until(lambda count=count: len(server.pools[1].backlog) == count)
        model.opened.set()
        assert all(one.result(WAIT).startswith(b"HTTP/1.1 200") for one in asking)
    late = [place - came for place, came in zip(model.order, range(10, 22), strict=True)]
    assert max(map(abs, late)) <= 2  # two threads take what comes next


def _posted(port: int, body: bytes, headers: dict[str, str]) -> bytes:
    with socket.create_connection(("127.0.0.1", port), WAIT) as own:
        own.sendall(request(body, headers))
        return answer(own)


def test_a_body_that_is_long_in_coming_is_the_application_s(client: socket.socket, server: Server) -> None:
    """In three pieces, or with one that comes late: the answer is the same, and nothing stays in hand."""
    body, headers = asked([[1, 2]])
    whole = request(body, headers)
    client.sendall(whole)
    expected = answer(client)
    for pause in (0.0, 2 * PATIENCE):
        for piece in (whole[:-9], whole[-9:-4], whole[-4:]):
            client.sendall(piece)
            threading.Event().wait(pause)
        assert answer(client) == expected
    assert server.application.in_hand == 0


def test_two_requests_at_once_on_a_connection_are_answered_in_their_order(client: socket.socket) -> None:
    """The second is in the same bytes as the first."""
    first, second = (request(*asked([[value, value]], outputs=[{"name": "twice"}])) for value in (1, 2))
    client.sendall(first + second + first)
    found = b"".join(answer_of(client, 3))
    assert [part.split(b'"data":[')[1][:3] for part in found.split(b"HTTP/1.1 200 OK")[1:]] == [b"2.0", b"4.0", b"2.0"]


def answer_of(client: socket.socket, count: int) -> list[bytes]:
    """So many answers, as they come."""
    received = b""
    while received.count(b"HTTP/1.1 200 OK") < count or not received.endswith(b"}"):
        received += client.recv(1 << 16) or pytest.fail("the connection ended")
    return [received]
