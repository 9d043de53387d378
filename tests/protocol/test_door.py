"""Who comes into a server of both fronts, and who does not: by certificates and tokens that are real ones."""

import http.client
import json
import logging
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from certificates import Authority, Signed, secret, token
from offramp.errors import ForbiddenError, InputError, OfframpError, UnauthenticatedError, UnreachableError
from offramp.protocol.credentials import Credentials
from offramp.protocol.door import Access, Door
from offramp.protocol.http_server import HttpServer
from offramp.protocol.native_log import handshakes_told
from offramp.protocol.peer import Peer
from offramp.protocol.refusals import NO_CERTIFICATE, PLAIN, TOO_MANY
from offramp.protocol.server import Server
from ports import HERE
from until import until

WAIT = 30.0  # seconds after which a test that hangs fails
BODY = json.dumps({"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]})
INFER = "/v2/models/double/infer"
EXPIRED, STRANGE = "a certificate that is expired", "a certificate that is of an unknown authority"


@dataclass
class House:
    """A server, its door, and what callers may have: certificates, and files with one token each."""

    ca: Authority
    other: Authority
    door: Door
    server: Server
    node: Signed
    callers: dict[str, Signed]
    tokens: dict[str, str]

    def credentials(self, caller: str | None = "good", holder: str | None = "both", ca: str = "") -> Credentials:
        """Of a caller who has this certificate and this token."""
        signed = None if caller is None else self.callers[caller]
        return Credentials(
            ca=ca or self.ca.ca,
            cert=signed and signed.cert,
            key=signed and signed.key,
            token_file=None if holder is None else self.tokens[holder],
        )

    def infer(self, credentials: Credentials, host: str = HERE) -> None:
        """Ask over gRPC."""
        with Peer(f"{host}:{self.server.port}", alone=True, credentials=credentials) as peer:
            answer = peer.infer("double", {"x": np.ones((1, 2), np.float32)}, timeout=WAIT)
        assert answer.outputs["twice"].tolist() == [[2, 2]]

    def web(
        self, path: str = INFER, caller: str | None = "good", holder: str | None = "both", ca: str = ""
    ) -> tuple[int, dict[str, str], Any]:
        """Ask over HTTP: status, headers and body."""
        context = ssl.create_default_context(cafile=ca or self.ca.ca)
        if caller is not None:
            context.load_cert_chain(self.callers[caller].cert, self.callers[caller].key)
        assert self.server.http is not None
        client = http.client.HTTPSConnection(HERE, self.server.http.port, timeout=WAIT, context=context)
        headers = {"authorization": f"Bearer {Path(self.tokens[holder]).read_text().strip()}"} if holder else {}
        with closing(client):
            client.request("POST" if path.endswith("infer") else "GET", path, BODY, headers)
            answer = client.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

    def hearing(self) -> AbstractContextManager[None]:
        """Count what grpc's library tells. Within a test: between its parts, pytest takes stderr for itself."""
        return handshakes_told(lambda kind: self.door.refusals.note("grpc", kind))

    def refused(self, front: Any, kind: str) -> int:
        """How many were, for this reason."""
        return self.door.refusals.counts[front, kind]


@pytest.fixture(scope="module")
def house(make: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A server by mutual TLS and with tokens."""
    folder = tmp_path_factory.mktemp("house")
    ca, other = Authority(folder), Authority(folder, "other")
    node = ca.signed("node")
    callers = {
        "good": ca.signed("good"),
        "expired": ca.signed("expired", expired=True),
        "stranger": other.signed("stranger"),
    }
    rights = {"both": "infer,read", "infers": "infer", "reads": "read", "unknown": ""}
    values = {name: token() for name in rights}
    lines = [f"{name} {said} {values[name]}" for name, said in rights.items() if said]
    tokens = {name: secret(folder / f"{name}.token", value + "\n") for name, value in values.items()}
    access = Access(cert=node.cert, key=node.key, client_ca=ca.ca, tokens=secret(folder / "tokens", "\n".join(lines)))
    door = Door(access, HERE)
    server = Server([make()], HERE, 0, max_batch=4, http_port=0, door=door)
    server.start()
    yield House(ca, other, door, server, node, callers, tokens)
    server.stop(WAIT)


@pytest.fixture(autouse=True)
def good_calls_go_on(house: House) -> Iterator[None]:
    """Whoever else was refused."""
    yield
    house.infer(house.credentials())
    assert house.web()[0] == 200


@pytest.mark.parametrize(("caller", "kind"), [(None, NO_CERTIFICATE), ("expired", EXPIRED), ("stranger", STRANGE)])
def test_a_caller_without_a_good_certificate_is_refused(house: House, caller: str | None, kind: str) -> None:
    """On both fronts, counted by what was wrong; the caller is told that its connection is ended."""
    before = house.refused("grpc", kind), house.refused("http", kind)
    with house.hearing():
        with pytest.raises(UnreachableError, match=r"ends each connection at once .* certificate of the caller's"):
            house.infer(house.credentials(caller))
        until(lambda: house.refused("grpc", kind) > before[0])
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
        house.web(caller=caller)
    until(lambda: house.refused("http", kind) > before[1])


def test_a_caller_who_does_not_trust_the_node_sends_it_nothing(house: House) -> None:
    """The certificate is of another authority than the caller's."""
    with pytest.raises(UnreachableError, match=r"no connection by TLS came about .*CERTIFICATE_VERIFY_FAILED"):
        house.infer(house.credentials(ca=house.other.ca))
    with pytest.raises(ssl.SSLCertVerificationError):
        house.web(ca=house.other.ca)
    until(lambda: house.refused("http", "the caller does not trust this node's certificate") > 0)


def test_the_certificate_has_to_name_the_host(house: House) -> None:
    """The address that is asked, not the one that a link to it has."""
    with (
        Peer(f"cloud.example:{house.server.port}", house.server.address, credentials=house.credentials()) as peer,
        pytest.raises(UnreachableError, match=r"cloud\.example:\d+ is there, and no connection by TLS came about"),
    ):
        peer.metadata("double", WAIT)
    with Peer(f"localhost:{house.server.port}", house.server.address, credentials=house.credentials()) as peer:
        assert peer.metadata("double", WAIT).name == "double"


def test_plain_text_is_refused(house: House) -> None:
    """Counted as what it is."""
    before = house.refused("grpc", PLAIN), house.refused("http", PLAIN)
    with house.hearing():
        with Peer(house.server.address) as peer, pytest.raises(UnreachableError, match=r"speaks TLS where this caller"):
            peer.metadata("double", WAIT)
        until(lambda: house.refused("grpc", PLAIN) > before[0])
    assert house.server.http is not None
    with closing(http.client.HTTPConnection(HERE, house.server.http.port, timeout=WAIT)) as client:
        client.request("GET", "/v2")
        with pytest.raises(ConnectionError):
            client.getresponse()
    until(lambda: house.refused("http", PLAIN) > before[1])


@pytest.mark.parametrize(
    ("holder", "error", "status", "words"),
    [
        (None, UnauthenticatedError, 401, "no token: send one"),
        ("unknown", UnauthenticatedError, 401, "unknown token: this node knows others"),
        ("reads", ForbiddenError, 403, "the token of 'reads' has no right to infer, but to read."),
    ],
)
def test_a_token_has_to_be_good_for_what_is_asked(
    house: House, holder: str | None, error: type[OfframpError], status: int, words: str
) -> None:
    """Asking a model takes `infer`, over either front."""
    kind = words.partition(":")[0].removesuffix(".")
    before = house.refused("grpc", kind), house.refused("http", kind)
    with pytest.raises(error, match=words):
        house.infer(house.credentials(holder=holder))
    found, headers, body = house.web(holder=holder)
    assert (found, json.loads(body)["error"].startswith(words)) == (status, True)
    assert headers["www-authenticate"].startswith('Bearer realm="offramp"')
    assert ('scope="infer"' in headers["www-authenticate"]) == (status == 403)
    assert (house.refused("grpc", kind), house.refused("http", kind)) == (before[0] + 1, before[1] + 1)


@pytest.mark.parametrize("path", ["/v2", "/v2/models/double", "/v2/models/double/config", "/v2/models/stats", "/else"])
def test_what_a_node_tells_of_itself_takes_the_right_to_read(house: House, path: str) -> None:
    """A token for asking models does not do, one for reading does."""
    assert house.web(path, holder="infers")[0] == 403
    assert house.web(path, holder="reads")[0] == (404 if path == "/else" else 200)
    with Peer(house.server.address, credentials=house.credentials(holder="infers")) as peer:
        for ask in (peer.metadata, peer.config, peer.prepare):
            with pytest.raises(ForbiddenError, match="no right to read"):
                ask("double", WAIT)


def test_who_asks_whether_the_node_is_alive_or_ready_needs_no_token(house: House) -> None:
    """An orchestrator has none; grpc's own health service is open too, and its reflection is not."""
    for path in ("/v2/health/live", "/v2/health/ready"):
        assert house.web(path, holder=None)[0] == 200
    with Peer(house.server.address, credentials=house.credentials(holder=None)) as peer:
        peer.wait_ready(WAIT)
        health = health_pb2_grpc.HealthStub(peer.channel)
        assert health.Check(health_pb2.HealthCheckRequest(), timeout=WAIT).status == 1
        asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        with pytest.raises(grpc.RpcError) as failed:
            next(reflection_pb2_grpc.ServerReflectionStub(peer.channel).ServerReflectionInfo(asked, timeout=WAIT))
        assert failed.value.code() is grpc.StatusCode.UNAUTHENTICATED  # type: ignore[attr-defined]


def test_a_stream_without_the_right_is_refused_before_anything_is_sent(house: House) -> None:
    """Its caller need not send a message for it."""
    with Peer(house.server.address, credentials=house.credentials(holder="reads")) as peer:
        never: Iterator[Any] = iter(lambda: until(lambda: False, within=WAIT), None)
        with pytest.raises(ForbiddenError, match="no right to infer"):
            next(iter(peer.stream("double", never, timeout=WAIT)))


def test_a_changed_certificate_is_shown_to_who_comes_next(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """On both fronts, once it and its key go together; until then the one before is, and that is said once."""
    old_cert, old_key = Path(house.node.cert).read_bytes(), Path(house.node.key).read_bytes()
    new = house.other.signed("new")
    caplog.set_level(logging.INFO, "offramp")
    try:
        Path(new.cert).replace(house.node.cert)  # and not yet its key
        house.infer(house.credentials())
        house.web()
        assert [
            record.levelname for record in caplog.records if "it is another certificate's key" in record.message
        ] == ["ERROR"]
        Path(new.key).replace(house.node.key)
        house.infer(house.credentials(ca=house.other.ca))
        assert house.web(ca=house.other.ca)[0] == 200
        with pytest.raises(ssl.SSLCertVerificationError):
            house.web()
    finally:
        Path(house.node.key).write_bytes(old_key)
        Path(house.node.cert).write_bytes(old_cert)


def test_tokens_are_read_again_when_that_is_asked(house: House) -> None:
    """Whose line is gone is refused from then on; a file that does not do changes nothing."""
    assert house.door.tokens is not None
    file = Path(house.door.tokens.path)
    lines = file.read_text()
    try:
        file.write_text(lines.replace("reads read", "reads reed"))
        with pytest.raises(
            InputError, match=r"line 3: unknown right 'reed' of reads\. Expected some of infer, read, con"
        ):
            house.door.read()
        file.write_text("\n".join(line for line in lines.splitlines() if not line.startswith("reads")))
        assert house.web("/v2", holder="reads")[0] == 200  # nobody has asked
        assert "2 tokens: both (infer,read), infers (infer)" in house.door.read()()
        assert house.web("/v2", holder="reads")[0] == 401
    finally:
        file.write_text(lines)
        house.door.read()()
    assert house.web("/v2", holder="reads")[0] == 200


def test_no_token_stands_in_the_log_or_in_what_is_printed(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """Nor its hash, whoever looks at what holds it."""
    caplog.set_level(logging.DEBUG)
    shown = house.credentials().read(house.server.address)
    house.web(holder="unknown")
    said = f"{house.door.tokens!r} {house.credentials()!r} {shown!r} {caplog.text} {house.door.read()()}"
    for path in house.tokens.values():
        assert Path(path).read_text().strip() not in said
    assert "PRIVATE KEY" not in said


def test_of_each_kind_one_line_is_said_at_once(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """The others are summed up a minute later."""
    house.door.refusals.notices.clear()
    for _ in range(3):
        house.web("/v2", holder=None)
    assert [record.getMessage() for record in caplog.records if "refused" in record.message] == [
        "refused: 1 over http: no token"
    ]


@pytest.mark.parametrize(
    ("access", "host", "said"),
    [
        ((False, False, False), HERE, ""),
        ((False, False, False), "0.0.0.0", "plain text, anyone"),
        ((True, False, False), "0.0.0.0", "TLS, anyone"),
        ((True, False, True), HERE, "TLS, who shows one of 3 tokens"),
        ((True, True, False), "::", "mutual TLS, who shows a certificate of "),
    ],
)
def test_a_door_says_who_may_come_in(house: House, access: tuple[bool, bool, bool], host: str, said: str) -> None:
    """Nothing where this machine alone can, and is asked nothing."""
    tls, mutual, tokens = access
    assert house.door.tokens is not None
    door = Door(
        Access(
            cert=house.node.cert if tls else None,
            key=house.node.key if tls else None,
            client_ca=house.ca.ca if mutual else None,
            tokens=house.door.tokens.path if tokens else None,
        ),
        host,
    )
    assert (door.noteworthy, door.warns) == (bool(said), said == "plain text, anyone")
    assert not said or door.open_to == said + (house.ca.ca if mutual else "")


def test_tokens_are_asked_for_in_plain_text_on_this_machine_alone(
    tmp_path: Path, house: House, make: Callable[[], Any]
) -> None:
    """There they may be, and a caller sends one there; beyond, neither side does."""
    assert house.door.tokens is not None
    access = Access(tokens=house.door.tokens.path)
    with pytest.raises(InputError, match=r"^tokens .*: would come to 0\.0\.0\.0 in plain text"):
        Door(access, "0.0.0.0")
    server = Server([make()], HERE, 0, max_batch=4, door=Door(access, HERE))
    server.start()
    mine = Credentials(token_file=house.tokens["both"])
    try:
        with Peer(server.address, credentials=mine) as peer:
            assert peer.metadata("double", WAIT).name == "double"
    finally:
        server.stop(WAIT)
    with pytest.raises(InputError, match=r"^token file .*: would go to 10\.0\.0\.5:8001 in plain text"):
        Peer("10.0.0.5:8001", credentials=mine)


def test_who_never_comes_to_terms_takes_no_other_s_place_for_long(house: House, make: Callable[[], Any]) -> None:
    """Up to so many handshakes are under way; one more is refused at once. Who has gone is no more in the way."""
    door = Door(Access(cert=house.node.cert, key=house.node.key), HERE)
    server = Server([make()], HERE, 0, max_batch=4, http_port=0, max_connections=2, door=door)
    server.start()
    assert server.http is not None
    at, context = (HERE, server.http.port), ssl.create_default_context(cafile=house.ca.ca)

    def asked() -> int:
        with closing(http.client.HTTPSConnection(*at, timeout=WAIT, context=context)) as client:
            client.request("GET", "/v2")
            return client.getresponse().status

    try:
        silent = [socket.create_connection(at, WAIT) for _ in range(2)]
        until(lambda: len(door.identity.greeting.under_way) == 2)  # type: ignore[union-attr]
        with pytest.raises((ssl.SSLError, ConnectionError)):
            asked()
        assert door.refusals.counts["http", TOO_MANY] == 1
        for one in silent:
            one.close()
        until(lambda: not door.identity.greeting.under_way)  # type: ignore[union-attr]
        assert [asked() for _ in range(4)] == [200] * 4
    finally:
        server.stop(WAIT)


def test_who_says_nothing_is_given_up(house: House) -> None:
    """A caller that opens a connection to a TLS port and leaves it at that."""
    identity = house.door.identity
    assert identity is not None
    server = HttpServer(None, HERE, 0, tls=identity.http_context(100), handshake=0.2)
    server.start()
    try:
        with socket.create_connection((HERE, server.port), WAIT) as silent:
            assert silent.recv(1) == b""
    finally:
        server.stop(WAIT)
