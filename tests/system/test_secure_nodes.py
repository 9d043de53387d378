"""An edge and a cloud by TLS, mutual between them, with tokens: who is let in is answered, whatever is changed."""

import json
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gevent.ssl
import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

import offramp as public
from certificates import Authority, Signed, secret, token
from command_line import Node, running
from load import WAIT, ClosedLoop
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.plan import Plan
from offramp.data.image_set import Splits
from offramp.protocol.peer import Peer
from until import until

PORTABLE = ("--port", "0", "--threads", "1", "--runtime", "onnxruntime", "--precision", "fp32")


@dataclass
class Secured:
    """Two running nodes, and the files by which they and their callers know each other."""

    folder: Path
    ca: Authority
    cloud: Node
    edge: Node
    cloud_cert: Signed
    edge_cert: Signed
    caller: Signed
    tokens: dict[str, str]  # values by name

    def credentials(self, holder: str | None = "app") -> public.Credentials:
        """Of a caller, who has a certificate that the cloud trusts."""
        own = self.caller
        file = None if holder is None else str(self.folder / f"{holder}.token")
        return public.Credentials(ca=self.ca.ca, cert=own.cert, key=own.key, token_file=file)

    def cloud_knows(self, *names: str) -> None:
        """Write the cloud's file of tokens."""
        lines = [f"{name} infer,read {self.tokens[name]}" for name in names]
        secret(self.folder / "cloud.tokens", "\n".join(lines))


@pytest.fixture(scope="module")
def secured(bundle: Bundle, offramp: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A cloud that asks for certificates, tokens and signed bundles, and an edge that asks for tokens alone."""
    folder = tmp_path_factory.mktemp("secured")
    ca, tokens = Authority(folder), {name: token() for name in ("app", "edge", "moved")}
    for name, value in tokens.items():
        secret(folder / f"{name}.token", value)
    secret(folder / "edge.tokens", f"app infer,read {tokens['app']}\n")
    cloud_cert, edge_cert = ca.signed("cloud"), ca.signed("edge")
    secured = Secured(folder, ca, None, None, cloud_cert, edge_cert, ca.signed("caller"), tokens)  # type: ignore[arg-type]
    secured.cloud_knows("app", "edge")
    of_cloud = ("--tls-cert", cloud_cert.cert, "--tls-key", cloud_cert.key, "--tls-client-ca", ca.ca)
    of_edge = ("--tls-cert", edge_cert.cert, "--tls-key", edge_cert.key, "--tokens", str(folder / "edge.tokens"))
    at_cloud = (
        "--cloud-tls-ca", ca.ca, "--cloud-tls-cert", edge_cert.cert, "--cloud-tls-key", edge_cert.key,
        "--cloud-token-file", str(folder / "edge.token"), "--cloud-timeout", str(WAIT),
    )  # fmt: skip
    key, signed = folder / "sign.key", folder / "signed"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(key)], check=True)
    subprocess.run(["openssl", "pkey", "-in", str(key), "-pubout", "-out", str(folder / "sign.pub")], check=True)
    shutil.copytree(bundle.path, signed)
    assert offramp("sign", str(signed), "--key", str(key)).returncode == 0
    (folder / "current").symlink_to(signed)
    served, trust = (str(bundle.path), *PORTABLE), ("--trust", str(folder / "sign.pub"))
    of_cloud += ("--tokens", str(folder / "cloud.tokens"), *trust)
    with running(
        "cloud", str(folder / "current"), *PORTABLE, *of_cloud, *trust, "--tokens", str(folder / "cloud.tokens")
    ) as secured.cloud:
        plan = ("--exit", "3", "--threshold", "0.3", "--cloud", secured.cloud.address())
        with running("edge", *served, *plan, *of_edge, *at_cloud) as secured.edge:
            secured.edge.address()
            yield secured


@pytest.fixture(scope="module")
def images(bundle: Bundle, digits: Splits) -> np.ndarray:
    """Some that leave at the edge and some that go on."""
    return bundle.manifest.preprocessing.from_uint8(digits.test.images[:24])


@pytest.fixture(scope="module")
def expected(bundle: Bundle, images: np.ndarray) -> public.Answers:
    """What the network answers without any nodes."""
    return public.Edge(bundle, Plan.of(3, 0.3), public.LocalCloud(bundle), threads=1).infer(images)


def said(node: Node, words: str) -> list[str]:
    """What a node has said with these words in it."""
    return [line for line in list(node.output) if words in line]


def reload(node: Node) -> None:
    """Send SIGHUP, and wait for what is said of it."""
    before = len(said(node, "reload: "))
    node.process.send_signal(signal.SIGHUP)
    until(lambda: len(said(node, "reload: ")) > before)


@pytest.mark.parametrize("direct", [False, True])
def test_a_client_is_answered_by_both_nodes(
    secured: Secured, images: np.ndarray, expected: public.Answers, direct: bool
) -> None:
    """Through the edge, and straight from the cloud."""
    cloud = secured.cloud.address() if direct else None
    with public.Client(secured.edge.address(), cloud, credentials=secured.credentials()) as client:
        answers = client.infer(images, timeout=WAIT, degraded=False)
    assert answers.label.tolist() == expected.label.tolist()
    assert answers.tier.tolist() == expected.tier.tolist()
    assert len(set(answers.tier.tolist())) == 2


def test_an_edge_as_a_library_has_credentials_too(secured: Secured, bundle: Bundle, images: np.ndarray) -> None:
    """For a cloud that is named by its address."""
    cloud, mine = secured.cloud.address(), secured.credentials("edge")
    edge = public.Edge(bundle, Plan.of(3, 0.0), cloud, threads=1, degraded=False, credentials=mine)
    edge.check(WAIT)
    assert set(edge.infer(images, timeout=WAIT).tier.tolist()) == {int(public.Tier.CLOUD)}


def test_the_nodes_say_who_may_come_in(secured: Secured) -> None:
    """A line each, and nobody's token anywhere."""
    assert said(secured.cloud, "INFO open to: mutual TLS, who shows a certificate of ")
    assert said(secured.edge, "INFO open to: TLS, who shows one of 1 tokens, at 127.0.0.1")
    printed = "".join([*secured.cloud.output, *secured.edge.output])
    assert not any(value in printed for value in secured.tokens.values())


def test_tritonclient_is_answered_and_refused_as_ever(secured: Secured, images: np.ndarray) -> None:
    """Its own options for TLS, the token as a header; over gRPC and HTTP."""
    mine = {"Authorization": f"Bearer {secured.tokens['app']}"}
    calls = {
        "grpc": (tritonclient.grpc, secured.edge.address(), {"ssl": True, "root_certificates": secured.ca.ca}),
        "http": (
            tritonclient.http,
            secured.edge.http_address(),
            {
                "ssl": True,
                "ssl_options": {"ca_certs": secured.ca.ca},
                "ssl_context_factory": gevent.ssl.create_default_context,
            },
        ),
    }
    for kind, (module, address, options) in calls.items():
        tensor = module.InferInput("image", list(images.shape), "FP32")
        tensor.set_data_from_numpy(images)
        with module.InferenceServerClient(address, **options) as client:
            client.is_server_ready()
            headers = {name.lower(): value for name, value in mine.items()} if kind == "grpc" else mine
            assert client.infer("classifier", [tensor], headers=headers).as_numpy("label").shape == (24,)
            with pytest.raises(InferenceServerException, match="no token: send one") as refused:
                client.infer("classifier", [tensor])
            assert refused.value.status() in ("StatusCode.UNAUTHENTICATED", "401")


class NewCallers(ClosedLoop):
    """Clients that make a connection for each request."""

    def __init__(self, secured: Secured, images: np.ndarray) -> None:
        super().__init__()
        self.secured, self.images, self.asked = secured, images, [0, 0, 0]

    @contextmanager
    def client(self, number: int) -> Iterator[Callable[[], object]]:
        """Every other request on a connection that stays."""
        address, credentials = self.secured.edge.address(), self.secured.credentials()
        with public.Client(address, credentials=credentials) as stays:

            def ask() -> None:
                stays.infer(self.images, WAIT, degraded=False)
                with Peer(address, alone=True, credentials=credentials) as anew:
                    anew.config("classifier", WAIT)
                self.asked[number] += 1

            yield ask

    def more(self) -> None:
        """Wait until each has been answered again, twice."""
        before = list(self.asked)
        until(lambda: bool(self.errors) or all(now > then + 1 for now, then in zip(self.asked, before, strict=True)))
        assert self.errors == []


def test_certificates_and_tokens_are_changed_under_load(secured: Secured, images: np.ndarray) -> None:
    """Both nodes get new ones of the same authority, with and without a signal: no request fails."""
    with NewCallers(secured, images[:4]) as load:
        load.more()
        Authority.written(secured.ca.authority.issue_cert("127.0.0.1"), secured.edge_cert)
        load.more()
        assert len(said(secured.edge, "certificate: ")) >= 1  # who came next has had it taken up
        Authority.written(secured.ca.authority.issue_cert("127.0.0.1"), secured.edge_cert)
        Authority.written(secured.ca.authority.issue_cert("127.0.0.1"), secured.cloud_cert)
        with (secured.folder / "edge.tokens").open("a") as tokens:
            tokens.write(f"moved infer {secured.tokens['moved']}\n")
        for node in (secured.cloud, secured.edge):
            reload(node)
        until(lambda: bool(said(secured.edge, "2 tokens: app (infer,read), moved (infer)")))
        assert said(secured.edge, "is shown other credentials")  # its own certificate is the one that the cloud sees
        load.more()


def test_an_edge_that_its_cloud_refuses_answers_itself_until_it_has_another_token(
    secured: Secured, images: np.ndarray
) -> None:
    """It says so once, and whose fault it is; who asked the edge has done nothing wrong."""
    with public.Client(secured.edge.address(), credentials=secured.credentials()) as client:
        secured.cloud_knows("app", "moved")
        reload(secured.cloud)
        until(lambda: bool(client.infer(images, WAIT).degraded.any()))
        with pytest.raises(public.OfframpError, match=r"does not let this edge in \(.*unknown token: "):
            client.infer(images, WAIT, degraded=False)
        until(lambda: bool(said(secured.edge, "cloud refused: ")))
        assert len(said(secured.edge, "cloud refused: ")) == 1
        assert said(secured.cloud, "refused: 1 over grpc: unknown token")
        secret(secured.folder / "edge.token", secured.tokens["moved"])
        until(lambda: bool(said(secured.edge, "cloud back: ")))  # it looks at its file whenever it asks
        assert not client.infer(images, WAIT, degraded=False).degraded.any()


def test_a_bundle_that_nobody_has_signed_is_not_loaded_at_a_reload(secured: Secured, bundle: Bundle) -> None:
    """All goes on as it was, and one line says why."""
    current = secured.folder / "current"
    current.unlink()
    current.symlink_to(bundle.path)  # the same, without a signature
    reload(secured.cloud)
    assert "current: is not signed (no manifest.json.sig)" in said(secured.cloud, "reload: ")[-1]
    current.unlink()
    current.symlink_to(secured.folder / "signed")
    reload(secured.cloud)
    assert "the bundles are the same" in said(secured.cloud, "reload: ")[-1]


def test_bench_goes_by_tls(secured: Secured, offramp: Any) -> None:
    """With the options of a caller."""
    mine, by = secured.credentials(), ("--samples", "16", "--batch-size", "8")
    shown = ("--tls-ca", mine.ca, "--tls-cert", mine.cert, "--tls-key", mine.key, "--token-file", mine.token_file)
    nodes = ("--edge", secured.edge.address(), "--direct", secured.cloud.address())
    done = offramp("bench", *nodes, *by, *shown)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outcome"]
    refused = offramp("bench", *nodes, *by, *shown[:-2])
    assert (refused.returncode, "no token: send one with each request" in refused.stderr) == (2, True)


def test_workers_have_the_same_door(secured: Secured, bundle: Bundle) -> None:
    """Each reads the files by itself; who may come in is said once."""
    cert = secured.ca.signed("workers")
    tls = ("--tls-cert", cert.cert, "--tls-key", cert.key, "--tokens", str(secured.folder / "cloud.tokens"))
    with running("cloud", str(bundle.path), *PORTABLE, "--workers", "2", *tls, "--no-http") as cloud:
        address = cloud.address()
        for _ in range(4):  # the kernel gives each connection to one of them
            with Peer(address, alone=True, credentials=secured.credentials()) as peer:
                peer.prepare("tail-3", WAIT)
            unknown = Peer(address, alone=True, credentials=secured.credentials(None))
            with unknown, pytest.raises(public.OfframpError, match="no token"):
                unknown.prepare("tail-3", WAIT)
        assert len(said(cloud, "open to: TLS, who shows one of 2 tokens")) == 1


STARTS: list[tuple[Callable[[Secured], tuple[str, ...]], str]] = [
    (lambda s: ("--tls-cert", s.edge_cert.cert), "named without its key"),
    (lambda s: ("--tls-cert", s.edge_cert.cert, "--tls-key", s.cloud_cert.key), "it is another certificate's key"),
    (lambda s: ("--tokens", secret(s.folder / "open", "a infer x", 0o644)), "others on this machine may read"),
    (lambda s: ("--tokens", secret(s.folder / "bad", f"a fly {s.tokens['app']}")), "unknown right 'fly' of a"),
    (lambda s: ("--trust", str(s.folder / "sign.pub")), "is not signed (no manifest.json.sig)"),
    (lambda s: ("--tokens", str(s.folder / "edge.tokens"), "--host", "0.0.0.0"), "would come to 0.0.0.0 in plain text"),
]


@pytest.mark.parametrize(("options", "words"), STARTS)
def test_what_does_not_do_is_said_at_the_start(
    secured: Secured, bundle: Bundle, refusal: Any, options: Callable[[Secured], tuple[str, ...]], words: str
) -> None:
    """In one line, by a node that does not start."""
    assert words in refusal("serve", "cloud", str(bundle.path), *PORTABLE, *options(secured))


@pytest.fixture(autouse=True)
def signals_given_back() -> Iterator[None]:
    """A node that starts in this process takes them."""
    before = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
