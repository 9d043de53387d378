"""What TLS costs: an edge and a cloud in plain text against the same two by mutual TLS with tokens, in turns.

Real processes on loopback, the network that comes with the package, one client that asks one batch after another, over
gRPC and over HTTP. What leaves at exit 1 computes least for its bytes, and is the worst case; what
is forwarded as an image goes by TLS twice. Fails where the throughput by TLS is below `--least` of that without.

Over HTTP a client in Python spends half as much on TLS as the node does, one after the other, and is measured with it:
where there is `h2load` (Debian's nghttp2-client), that in C asks too, from one connection and from several. It has no
certificate to show, so its nodes ask for the token alone; a caller's certificate matters at the handshake alone.

On a machine that others use too, the time on the wall says little; the processor's time that both nodes take for a
request, which is printed beside it, says what TLS adds to their work.
"""

import argparse
import http.client
import shutil
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex
from typing import Any

import numpy as np
import tritonclient.grpc as over_grpc
import tritonclient.http as over_http

from alternate import Spread, alternate, last_line, ratio, show
from h2load import posted
from offramp.artifacts.measurement import Conditions
from offramp.artifacts.plan import Plan
from offramp.artifacts.pretrained import pretrained
from offramp.children import Child
from offramp.machine import here
from offramp.nodes.edge_settings import EdgeSettings
from offramp.nodes.process import child_node
from offramp.nodes.settings import CloudSettings
from offramp.protocol.credentials import Credentials
from offramp.protocol.door import Access
from offramp.runtime.onnx_span import RUNTIME

LAST, SHAPE = 9, (3, 32, 32)
INFER = "/v2/models/classifier/infer"
WARM_UP = 2  # rounds
CONNECTIONS, TURN = (1, 4), 1  # of the client in C, and seconds that it asks at once
WAYS: dict[str, dict[str, Any]] = {
    "leaves at exit 1": {"exit": 1, "threshold": 1.0},
    "all at the edge": {"exit": LAST, "threshold": 0.0},
    "all forwarded as images": {"exit": 0, "cut": 0, "codec": "fp32"},
}
Ask = Callable[[dict[str, Any], dict[str, str]], object]  # with a plan and headers
REQUEST = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"]


@dataclass(frozen=True)
class Files:
    """What both nodes and their callers know each other by."""

    ca: str
    cert: str
    key: str
    client_ca: str | None
    token: str  # its file
    tokens: str  # the nodes' file
    value: str

    @classmethod
    def made(cls, folder: Path) -> "Files":
        """By openssl, an authority and one certificate for this machine; and a token."""
        ca, ca_key, cert, key = (str(folder / name) for name in ("ca.pem", "ca.key", "node.pem", "node.key"))
        authority = [*REQUEST, "-subj", "/CN=benchmark", "-keyout", ca_key, "-out", ca]
        node = [*REQUEST, "-subj", "/CN=node", "-addext", "subjectAltName=IP:127.0.0.1", "-CA", ca, "-CAkey", ca_key]
        for arguments in (authority, [*node, "-keyout", key, "-out", cert]):
            subprocess.run(["openssl", *arguments], check=True, capture_output=True)
        value = token_hex(32)
        written = {"token": value, "tokens": f"benchmark infer,read {value}\n"}
        for name, content in written.items():
            (folder / name).write_text(content)
            (folder / name).chmod(0o600)
        return cls(ca, cert, key, ca, str(folder / "token"), str(folder / "tokens"), value)


@dataclass
class Contender:
    """An edge and its cloud, and a call for each protocol and each way through the network."""

    processes: tuple[int, int]
    calls: dict[str, Callable[[], object]]
    computed: dict[str, float]  # seconds of the processor, of both nodes, by call

    def turn(self, way: str) -> Callable[[], object]:
        """The call, with its processor's time added up."""

        def call() -> None:
            before = sum(map(on_processor, self.processes))
            self.calls[way]()
            self.computed[way] = self.computed.get(way, 0.0) + sum(map(on_processor, self.processes)) - before

        return call


def on_processor(process: int) -> float:
    """Seconds that the threads of a process have run, to the nanosecond; those that end meanwhile are left out."""
    ran = 0
    for thread in Path(f"/proc/{process}/task").glob("*/schedstat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            ran += int(thread.read_text().split()[0])
    return ran / 1e9


def nodes(held: ExitStack, threads: int, files: Files | None) -> tuple[Child, Child]:
    """Start an edge and its cloud, by TLS where there are files for it."""
    common: dict[str, Any] = {
        "bundles": (str(pretrained() / "bundle"),), "threads": threads, "runtime": "onnxruntime", "precision": "fp32",
        "http_port": 0,
    }  # fmt: skip
    credentials = None
    if files is not None:
        common["access"] = Access(cert=files.cert, key=files.key, client_ca=files.client_ca, tokens=files.tokens)
        credentials = Credentials(ca=files.ca, cert=files.cert, key=files.key, token_file=files.token)
    cloud = held.enter_context(child_node(CloudSettings(**common)))
    plan = Plan.of(4, 0.3)
    told = EdgeSettings(**common, plan=plan, cloud=cloud.address(), degraded=False, credentials=credentials)
    edge = held.enter_context(child_node(told))
    edge.address()
    return edge, cloud


def by_grpc(held: ExitStack, edge: Child, image: np.ndarray, files: Files | None) -> Ask:
    """An unmodified tritonclient."""
    by: dict[str, Any] = {}
    if files is not None:
        named = {"root_certificates": files.ca, "private_key": files.key, "certificate_chain": files.cert}
        by = {"ssl": True, **named}
    client = over_grpc.InferenceServerClient(edge.address(), **by)
    held.callback(client.close)
    tensor = over_grpc.InferInput("image", list(image.shape), "FP32")
    tensor.set_data_from_numpy(image)
    return lambda plan, headers: client.infer("classifier", [tensor], parameters=plan, headers=headers)


def tensor_of(image: np.ndarray) -> over_http.InferInput:
    """A batch as tritonclient sends it over HTTP."""
    tensor = over_http.InferInput("image", list(image.shape), "FP32")
    tensor.set_data_from_numpy(image)
    return tensor


def posting(tensor: over_http.InferInput, plan: dict[str, Any]) -> tuple[bytes, dict[str, str]]:
    """A request's body, and the header that says how it is made up."""
    body, length = over_http.InferenceServerClient.generate_request_body([tensor], parameters=plan)
    return body, {"Inference-Header-Content-Length": str(length)}


def by_http(held: ExitStack, edge: Child, image: np.ndarray, files: Files | None) -> Ask:
    """What tritonclient sends, on a connection that waits for no acknowledgement before a record of TLS goes out.

    tritonclient's own leaves Nagle's algorithm on: over loopback, whose segments are larger than a record, each waits
    up to 40 ms for the one before.
    """
    at = edge.http_address()
    if files is None:
        client = http.client.HTTPConnection(at)
    else:
        context = ssl.create_default_context(cafile=files.ca)
        context.load_cert_chain(files.cert, files.key)
        client = http.client.HTTPSConnection(at, context=context)
    held.callback(client.close)
    tensor = tensor_of(image)

    def ask(plan: dict[str, Any], headers: dict[str, str]) -> None:
        body, sized = posting(tensor, plan)
        client.request("POST", INFER, body, {**headers, **sized})
        answer = client.getresponse()
        if answer.read() and answer.status != 200:
            raise SystemExit(f"HTTP {answer.status}")

    return ask


def contender(held: ExitStack, threads: int, batch: int, files: Files | None) -> Contender:
    """Nodes, and a client of each protocol on one connection that stays."""
    edge, cloud = nodes(held, threads, files)
    headers = {} if files is None else {"authorization": f"Bearer {files.value}"}
    image = np.random.default_rng(0).random((batch, *SHAPE), np.float32)
    calls: dict[str, Callable[[], object]] = {}
    for name, ask in (("gRPC", by_grpc(held, edge, image, files)), ("HTTP", by_http(held, edge, image, files))):
        for way, plan in WAYS.items():
            calls[f"{name}, {way}"] = lambda ask=ask, plan=plan: ask(plan, headers)
    return Contender((edge.process.pid, cloud.process.pid), calls, {})


def in_c(
    held: ExitStack, folder: Path, options: argparse.Namespace, rounds: int, files: Files
) -> tuple[dict[str, dict[str, Spread]], dict[str, list[float]]]:
    """The same over HTTP by h2load, in turns of `TURN`: figures of each way, and the processor's milliseconds."""
    tensor = tensor_of(np.random.default_rng(0).random((options.batch_size, *SHAPE), np.float32))
    asked = {"plain": None, "tls": replace(files, client_ca=None)}
    pairs = {name: nodes(held, options.threads, by) for name, by in asked.items()}
    found, computed = {}, {}
    for way, connections in [(way, connections) for way in WAYS for connections in CONNECTIONS]:
        body, sized = posting(tensor, WAYS[way])
        said = sized | {"authorization": f"Bearer {files.value}"}
        rates: dict[str, list[float]] = {name: [] for name in pairs}
        spent, answered = dict.fromkeys(pairs, 0.0), dict.fromkeys(pairs, 0)
        for position in range(-1, rounds):
            for name, pair in pairs.items():
                url = f"{'http' if name == 'plain' else 'https'}://{pair[0].http_address()}{INFER}"
                before = sum(on_processor(node.process.pid) for node in pair)
                took = posted(url, body, said, connections, TURN, folder, "--h1")
                if position >= 0:
                    rates[name].append(options.batch_size * len(took) / TURN)
                    spent[name] += sum(on_processor(node.process.pid) for node in pair) - before
                    answered[name] += len(took)
        row = f"HTTP, {way}, h2load from {connections}"
        found[row] = {name: Spread.of(rates[name]) for name in rates} | {"ratio": ratio(rates["tls"], rates["plain"])}
        computed[row] = [round(spent[name] / answered[name] * 1000, 2) for name in pairs]
    return found, computed


def main() -> None:
    """Time, print, and say whether it passes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1, help="of each session")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--repeats", type=int, default=20, help="requests a turn")
    parser.add_argument("--least", type=float, default=0.9, help="smallest median ratio of throughputs that passes")
    parser.add_argument("--quick", action="store_true", help="two rounds: only to see that it runs")
    options = parser.parse_args()
    rounds, repeats = (2, 2) if options.quick else (options.rounds, options.repeats)
    found: dict[str, dict[str, Spread]] = {}
    computed: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as held:
        files = Files.made(Path(folder))
        each = [contender(held, options.threads, options.batch_size, by) for by in (None, files)]
        for way in each[0].calls:
            turns = dict(zip(("plain", "tls"), (one.turn(way) for one in each), strict=True))
            times = alternate(turns, rounds=rounds, repeats=repeats, warm_up=WARM_UP)
            rates = {name: Spread.of([options.batch_size / second for second in times[name]]) for name in times}
            found[way] = rates | {"ratio": ratio(times["plain"], times["tls"])}
            asked = (rounds + WARM_UP) * repeats
            computed[way] = [round(one.computed[way] / asked * 1000, 2) for one in each]
        if shutil.which("h2load"):
            more = in_c(held, Path(folder), options, rounds, files)
            found, computed = found | more[0], computed | more[1]
    show(
        f"TLS, mutual, with tokens, against plain text: batches of {options.batch_size}, {rounds} rounds in turn",
        ("", "plain, images/s", "TLS, images/s", "TLS / plain", "processor, ms a request"),
        [
            [way, *(it[name].show() for name in ("plain", "tls", "ratio")), "{} and {}".format(*computed[way])]
            for way, it in found.items()
        ],
    )
    passed = all(it["ratio"].median >= options.least for it in found.values())
    conditions = Conditions(
        batch_size=options.batch_size, link="loopback, unshaped", runtime=RUNTIME, dtype="fp32", **here()
    )
    settings = {"threads": options.threads, "rounds": rounds, "repeats": repeats, "least": options.least}
    figures = {way: it | {"processor_ms_a_request": computed[way]} for way, it in found.items()}
    last_line("tls", figures, conditions, **settings, passed=passed)
    sys.exit(not passed)


if __name__ == "__main__":
    main()
