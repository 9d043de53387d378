"""What a node that asks for tokens shows of what it does, and to whom."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from offramp.protocol.door import Access, Door
from offramp.protocol.page import Page
from offramp.protocol.server import Server

TOKEN = "reader-token-of-this-test-0123456789abcdef"


@pytest.fixture(scope="module")
def node(make: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A node with a page, one token that may read and one that may not; where its HTTP side is."""
    file: Path = tmp_path_factory.mktemp("tokens") / "tokens"
    file.write_text(f"reader read {TOKEN}\nasker infer {TOKEN[::-1]}\n")
    file.chmod(0o600)
    door, page = Door(Access(tokens=str(file)), "127.0.0.1"), Page.of(b"<script>1</script>")
    server = Server([make()], "127.0.0.1", 0, max_batch=4, http_port=0, door=door, page=page)
    server.start()
    assert server.http is not None
    yield f"http://{server.http.address}"
    server.stop(0)


def ask(address: str, token: str = "") -> tuple[int, bytes]:
    """Status and body."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_the_page_opens_and_its_numbers_take_the_right_to_read(node: str) -> None:
    """The page itself says nothing of the node."""
    assert ask(f"{node}/") == (200, b"<script>1</script>")
    for path in ("live", "metrics"):
        assert [ask(f"{node}/{path}", token)[0] for token in ("", TOKEN[::-1], TOKEN)] == [401, 403, 200]


def test_who_was_not_let_in_is_counted(node: str) -> None:
    """By the side and the reason, and in no words of the caller's."""
    before = refused(node)
    ask(f"{node}/live", "somebody-s-guess-that-is-long-enough-to-be-one")
    after = refused(node)
    assert sum(after.values()) == sum(before.values()) + 1
    assert all(front == "http" for front, _ in after)
    assert not any("guess" in reason for _, reason in after)


def refused(node: str) -> dict[tuple[str, str], float]:
    """Callers that were not let in, by side and reason."""
    rows = json.loads(ask(f"{node}/live", TOKEN)[1])["numbers"]
    return {(row[1], row[2]): row[3][0] for row in rows if row[0] == "offramp_callers_refused"}
