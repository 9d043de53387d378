"""Our edge against the bare runtime and against other model servers, with one client and with sixteen.

bare      onnxruntime's session of the whole network, in this process
library   `offramp.nodes.edge.Edge` in this process
http      offramp's edge process over HTTP, binary tensors
grpc      offramp's edge process over gRPC
mlserver  MLServer over gRPC with raw tensors; litserve: LitServe over HTTP; ray: Ray Serve over HTTP, raw bytes

All run the same graph with the same number of threads; offramp checks, scores and answers besides. Peers stand in
virtual environments of their own (benchmarks/peers/setup.sh); one that is missing is left out and named. Every
contender's answers are compared with the bare runtime's before its time is taken. Contenders take turns.
"""

import argparse
import base64
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from alternate import Spread, last_line, ratio, show
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.measurement import Conditions
from offramp.artifacts.plan import Plan
from offramp.artifacts.stages import IMAGE
from offramp.bench.load import Calls, load
from offramp.bench.scenario import Query, Rows
from offramp.exits.score import softmax
from offramp.export.write import export
from offramp.machine import here
from offramp.nodes.contract import CLASSIFIER
from offramp.nodes.edge import Edge
from offramp.nodes.edge_settings import EdgeSettings
from offramp.nodes.process import child_node
from offramp.protocol.peer import Peer
from offramp.runtime.cut import cut_out
from offramp.runtime.onnx_span import RUNTIME, OnnxSpan
from offramp.runtime.span import SpanSpec
from untrained import architecture_of, noise, untrained

Images = npt.NDArray[np.float32]
Logits = npt.NDArray[np.float32]
Ask = Callable[[Images], Logits]  # one client's call, for its answer's probabilities
PEERS = {"mlserver": 9401, "litserve": 9411, "ray": 9421}
START_TIMEOUT, CALL_TIMEOUT = 180.0, 60.0
HERE = Path(__file__).parent


class HttpClient:
    """A connection that is kept, one a thread."""

    def __init__(self, port: int) -> None:
        self.port, self.local = port, threading.local()

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> bytes:
        """Send and read the whole answer."""
        kept = getattr(self.local, "connection", None)
        connection = kept or http.client.HTTPConnection("127.0.0.1", self.port, timeout=CALL_TIMEOUT)
        self.local.connection = connection
        try:
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            content: bytes = response.read()
        except Exception as error:
            self.local.connection = None
            connection.close()
            # A server may have ended a connection that was idle while others had their turn.
            if kept and isinstance(error, ConnectionError):
                return self.post(path, body, headers)
            raise
        if response.status != 200:
            raise SystemExit(f"port {self.port}: status {response.status}: {content[:300]!r}")
        return content


def our_http(port: int, classes: int) -> Ask:
    """The protocol's REST form with binary tensors; one output is asked for, as peers give one."""
    client = HttpClient(port)

    def ask(image: Images) -> Logits:
        tensor = {
            "name": IMAGE,
            "shape": image.shape,
            "datatype": "FP32",
            "parameters": {"binary_data_size": image.nbytes},
        }
        outputs = [{"name": "probabilities", "parameters": {"binary_data": True}}]
        head = json.dumps({"inputs": [tensor], "outputs": outputs}).encode()
        headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}
        content = client.post(f"/v2/models/{CLASSIFIER}/infer", head + image.tobytes(), headers)
        return np.frombuffer(content[-4 * classes * len(image) :], np.float32).reshape(len(image), classes)

    return ask


def raw_http(port: int, path: str, classes: int, *, as_json: bool) -> Ask:
    """Shape and values as bytes; the answer is logits as bytes."""
    client = HttpClient(port)

    def ask(image: Images) -> Logits:
        body = np.array(image.shape, np.int64).tobytes() + image.tobytes()
        kind = "application/octet-stream"
        if as_json:
            body, kind = json.dumps({"body": base64.b64encode(body).decode()}).encode(), "application/json"
        content = client.post(path, body, {"Content-Type": kind})
        return softmax(np.frombuffer(content, np.float32).reshape(len(image), classes)).astype(np.float32)

    return ask


def over_grpc(client: Peer, model: str, output: str) -> Ask:
    """The protocol over gRPC, raw tensors."""

    def ask(image: Images) -> Logits:
        found = client.infer(model, {IMAGE: image}, timeout=CALL_TIMEOUT).outputs[output]
        return softmax(found).astype(np.float32) if output == "logits" else found

    return ask


@contextmanager
def peer(name: str, graph: Path, threads: int, venvs: Path) -> Iterator[int]:
    """Run a peer; whatever it starts is ended with it."""
    port = PEERS[name]
    variables = {"PEER_GRAPH": str(graph), "PEER_THREADS": str(threads), "PEER_PORT": str(port)}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [str(venvs / name / "bin/python"), str(HERE / f"peers/serve_{name}.py")],
            env=os.environ | variables | {"PYTHONPATH": str(HERE / "peers")},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield port
        finally:
            for number in (signal.SIGTERM, signal.SIGKILL):
                try:
                    os.killpg(process.pid, number)
                    time.sleep(3)
                except ProcessLookupError:
                    break
            process.wait(30)


def until_answered(name: str, ask: Ask, image: Images) -> Logits:
    """The first answer of a server that is still starting."""
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        try:
            return ask(image)
        except (Exception, SystemExit) as error:
            if time.monotonic() > deadline:
                raise SystemExit(f"{name} did not answer within {START_TIMEOUT:g} s: {error}") from error
            time.sleep(1)


def samples_per_second(
    ask: Ask, image: Images, clients: int, calls: int, pool: ThreadPoolExecutor
) -> tuple[float, float]:
    """Throughput of `clients` that each send one call after another, and the median of a call in seconds."""

    def begin(_client: int, _query: int, _rows: Rows) -> "Future[Logits]":
        if clients > 1:
            return pool.submit(ask, image)
        answer: Future[Logits] = Future()  # one client needs no thread beside this one
        answer.set_result(ask(image))
        return answer

    query = Query(np.arange(len(image)), None)
    found = load(repeat(query), Calls(begin), clients=clients, count=clients * calls)
    seconds = max(one.end for one in found) - found[0].start
    return len(found) * len(image) / seconds, float(np.median([one.end - one.start for one in found]))


def main() -> None:  # noqa: PLR0915  # a script's one course from top to bottom
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rounds of few calls: to see that it runs")
    parser.add_argument("--preset", default="small")
    parser.add_argument("--threads", type=int, default=1, help="of each session")
    parser.add_argument("--venvs", type=Path, default=HERE / "peers/venvs", help="what peers/setup.sh made")
    parser.add_argument("--rounds", type=int, help="default 15")
    options = parser.parse_args()
    rounds = options.rounds or (2 if options.quick else 15)
    scale = 0.1 if options.quick else 1.0

    architecture = architecture_of(options.preset, "mem")
    classes = len(architecture.classes)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        bundle: Bundle = export(untrained(architecture, Path(folder)), Path(folder) / "bundle", noise(architecture, 64))
        last = bundle.manifest.last
        graph, source, outputs = cut_out(bundle, SpanSpec(0, last, (last,)))
        file = Path(folder) / "whole.onnx"
        file.write_bytes(graph)
        bare = OnnxSpan(graph, source, outputs, options.threads)
        target = next(iter(outputs))
        plan = Plan.checked(active=[], cut=last)
        library = Edge(bundle, plan, threads=options.threads)
        common = {"bundles": (str(bundle.path),), "threads": options.threads, "runtime": "onnxruntime"}
        edge = stack.enter_context(child_node(EdgeSettings(**common, plan=plan, http_port=0)))
        grpc_client = stack.enter_context(Peer(edge.address()))
        asks: dict[str, Ask] = {
            "bare": lambda image: softmax(bare.run(image)[target]).astype(np.float32),
            "library": lambda image: library.infer(image).probabilities,
            "http": our_http(int(edge.http_address().split(":")[1]), classes),
            "grpc": over_grpc(grpc_client, CLASSIFIER, "probabilities"),
        }
        missing = [name for name in PEERS if not (options.venvs / name / "bin/python").exists()]
        for name in PEERS:
            if name in missing:
                continue
            port = stack.enter_context(peer(name, file, options.threads, options.venvs))
            if name == "mlserver":
                asks[name] = over_grpc(stack.enter_context(Peer(f"127.0.0.1:{port + 1}")), CLASSIFIER, "logits")
            else:
                path = "/predict" if name == "litserve" else "/"
                asks[name] = raw_http(port, path, classes, as_json=name == "litserve")
        everything = np.random.default_rng(0).random((32, *architecture.shape), np.float32)
        expected = asks["bare"](everything)
        for name, ask in asks.items():
            found = until_answered(name, ask, everything)
            if not np.allclose(found, expected, atol=1e-5):
                raise SystemExit(f"{name} gives other answers than the bare runtime: a comparison would mean nothing.")
        figures: dict[str, Any] = {"missing": missing}
        pool = stack.enter_context(ThreadPoolExecutor(16))
        for size, clients, most in ((1, 1, 150), (1, 16, 20), (32, 1, 10), (32, 16, 8)):
            image, calls = everything[:size], max(2, round(most * scale))
            throughput: dict[str, list[float]] = {name: [] for name in asks}
            call_seconds: dict[str, list[float]] = {name: [] for name in asks}
            for position in range(-1, rounds):
                for name, ask in asks.items():
                    # The bare runtime and the library have no clients: with several they are called by several threads.
                    rate, seconds = samples_per_second(ask, image, clients, calls, pool)
                    if position >= 0:
                        throughput[name].append(rate)
                        call_seconds[name].append(seconds)
            key = f"batch_{size}_clients_{clients}"
            figures[key] = {
                "samples_per_second": {name: Spread.of(values) for name, values in throughput.items()},
                "seconds_a_call": {name: Spread.of(values) for name, values in call_seconds.items()},
                "time_over_bare": {name: ratio(values, call_seconds["bare"]) for name, values in call_seconds.items()},
                "throughput_over_bare": {
                    name: ratio(values, throughput["bare"]) for name, values in throughput.items()
                },
            }
            show(
                f"batch {size}, {clients} client{'s' if clients > 1 else ''}",
                ("", "ms a call", "time over bare", "samples/s", "samples/s over bare"),
                [
                    (
                        name,
                        figures[key]["seconds_a_call"][name].show(1000),
                        f"{figures[key]['time_over_bare'][name].median:.3f}",
                        f"{figures[key]['samples_per_second'][name].median:,.0f}",
                        figures[key]["throughput_over_bare"][name].show(),
                    )
                    for name in asks
                ],
                f"Median (least to most) of {rounds} rounds in turn, {calls} calls a client and round.",
            )
    if missing:
        print(f"left out: {', '.join(missing)} (benchmarks/peers/setup.sh installs them)", file=sys.stderr)
    last_line(
        "serving",
        figures,
        Conditions(**here(), batch_size=32, link="loopback, unshaped", runtime=RUNTIME, dtype="fp32"),
        preset=options.preset,
        threads=options.threads,
        rounds=rounds,
    )


if __name__ == "__main__":
    main()
