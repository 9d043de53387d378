"""The address /plan over HTTP: who may read a plan, who may put another there, what is refused unread."""

import http.client
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from certificates import secret
from offramp.errors import BusyError, InputError, UnknownModelError
from offramp.protocol.door import Access, Door
from offramp.protocol.guarded import right_of_path
from offramp.protocol.page import Page
from offramp.protocol.plans import LARGEST
from offramp.protocol.server import Server

READER, CHIEF = "a1" * 32, "b2" * 32
RAISED = {b"busy": BusyError("plan: later."), b"bad": InputError("plan: it is none.")}


class Held:
    """One plan, and by whom it was put there."""

    def __init__(self) -> None:
        self.document, self.by = "{}", "nobody"

    def told(self, version: str) -> str:
        """It, of the one version."""
        if version not in ("", "7"):
            raise UnknownModelError("plan: not here.")
        return self.document

    def change(self, version: str, document: bytes, by: str) -> str:
        """Take another, unless it is one of RAISED."""
        if document in RAISED:
            raise RAISED[document]
        self.told(version)
        self.document, self.by = document.decode(), by
        return self.document


@contextmanager
def node(make: Any, door: Door | None, plans: Held | None) -> Iterator[http.client.HTTPConnection]:
    """A connection to a node with a page."""
    page = Page.of(b"<p>1</p>")
    server = Server([make()], "127.0.0.1", 0, max_batch=4, http_port=0, door=door, page=page, plans=plans)
    server.start()
    assert server.http is not None
    with closing(http.client.HTTPConnection("127.0.0.1", server.http.port, timeout=30)) as connection:
        yield connection
    server.stop(0)


@pytest.fixture(scope="module")
def plans() -> Held:
    """What the guarded node follows."""
    return Held()


@pytest.fixture(scope="module")
def guarded(make: Any, plans: Held, tmp_path_factory: pytest.TempPathFactory) -> Iterator[http.client.HTTPConnection]:
    """A node that asks for tokens: of a reader, and of a chief, who may change it."""
    file: Path = tmp_path_factory.mktemp("tokens") / "tokens"
    lines = f"reader read,infer {READER}\nchief read,control {CHIEF}\n"
    with node(make, Door(Access(tokens=secret(file, lines)), "127.0.0.1"), plans) as connection:
        yield connection


def ask(
    connection: http.client.HTTPConnection, method: str, path: str, token: str = "", body: bytes = b"", **headers: str
) -> tuple[int, str]:
    """Status and body, or the message of an error."""
    sent = headers | ({"authorization": f"Bearer {token}"} if token else {})
    connection.request(method, path, body or None, sent)
    answer = connection.getresponse()
    text = answer.read().decode()
    return answer.status, text if answer.status == 200 else json.loads(text)["error"]


def test_who_may_control_puts_a_plan_there(guarded: http.client.HTTPConnection, plans: Held) -> None:
    """Of a version too; the node hears the name of the token, and the answer is what is in force."""
    assert ask(guarded, "PUT", "/plan", CHIEF, b'{"one": 1}') == (200, '{"one": 1}')
    assert (plans.document, plans.by) == ('{"one": 1}', "chief")
    assert ask(guarded, "PUT", "/plan/7", CHIEF, b'{"two": 2}')[0] == 200
    assert ask(guarded, "GET", "/plan", READER) == ask(guarded, "GET", "/plan/7", READER) == (200, '{"two": 2}')


def test_who_may_not_control_changes_nothing(guarded: http.client.HTTPConnection, plans: Held) -> None:
    """Whatever else the token may do; without one nobody reads a plan either."""
    before = plans.document
    assert ask(guarded, "PUT", "/plan", READER, b'{"three": 3}') == (
        403, "the token of 'reader' has no right to control, but to infer, read.",
    )  # fmt: skip
    assert ask(guarded, "PUT", "/plan", "", b'{"three": 3}')[0] == ask(guarded, "GET", "/plan")[0] == 401
    assert plans.document == before


def test_a_page_is_told_whether_its_token_may_control(guarded: http.client.HTTPConnection) -> None:
    """So that it offers nothing that would be refused."""
    assert [json.loads(ask(guarded, "GET", "/live", token)[1])["control"] for token in (READER, CHIEF)] == [False, True]


@pytest.mark.parametrize(
    ("path", "body", "status"), [("/plan", b"busy", 409), ("/plan", b"bad", 400), ("/plan/8", b"{}", 404)]
)
def test_what_cannot_be_followed_is_an_error(
    guarded: http.client.HTTPConnection, path: str, body: bytes, status: int
) -> None:
    """In the words of who could not."""
    code, said = ask(guarded, "PUT", path, CHIEF, body)
    assert code == status
    assert said.startswith("plan: ")


def test_a_body_that_is_no_plan_s_is_not_taken(guarded: http.client.HTTPConnection, plans: Held) -> None:
    """One that is larger, also where it does not say how large it is; one that is packed."""
    before, large = plans.document, b"x" * (LARGEST + 1)
    assert ask(guarded, "PUT", "/plan", CHIEF, large) == (
        413, f"plan: {LARGEST + 1} bytes, and a plan is of {LARGEST} at most.",
    )  # fmt: skip
    guarded.request("PUT", "/plan", iter([large]), {"authorization": f"Bearer {CHIEF}"}, encode_chunked=True)
    answer = guarded.getresponse()
    assert (answer.status, b"a plan is of" in answer.read()) == (413, True)
    assert ask(guarded, "PUT", "/plan", CHIEF, b"{}", **{"content-encoding": "gzip"})[0] == 415
    assert plans.document == before


def test_a_body_that_says_it_is_too_large_is_not_waited_for(guarded: http.client.HTTPConnection) -> None:
    """Its length is in the head: nothing of it has come."""
    with closing(http.client.HTTPConnection(guarded.host, guarded.port, timeout=30)) as connection:
        connection.putrequest("PUT", "/plan")
        connection.putheader("authorization", f"Bearer {CHIEF}")
        connection.putheader("content-length", str(LARGEST + 1))
        connection.endheaders()
        assert connection.getresponse().status == 413


def test_a_node_that_asks_for_no_tokens_lets_nobody_change_it(make: Any) -> None:
    """It says how to allow it; its plan can be read by all."""
    with node(make, None, Held()) as connection:
        assert ask(connection, "GET", "/plan") == (200, "{}")
        status, said = ask(connection, "PUT", "/plan", CHIEF, b"{}")
        assert (status, "Start it with --tokens FILE" in said) == (403, True)
        assert json.loads(ask(connection, "GET", "/live")[1])["control"] is False


def test_a_node_without_plans_has_no_such_address(make: Any) -> None:
    """As a cloud."""
    with node(make, None, None) as connection:
        assert ask(connection, "GET", "/plan")[0] == ask(connection, "PUT", "/plan", body=b"{}")[0] == 404


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH"])
def test_only_reading_a_plan_takes_no_right_to_control(method: str) -> None:
    """Whatever stands behind it in the path."""
    for parts in (["plan"], ["plan", "7"], ["plan", "infer"]):
        assert right_of_path(parts, method) == "control"
        assert right_of_path(parts, "GET") == "read"
