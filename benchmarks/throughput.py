"""Requests a second that this build answers, beside other builds and other servers, asked by one client in C.

    git worktree add ../before COMMIT && python benchmarks/throughput.py --before ../before

this      the edge of this checkout, the packaged network whole, onnxruntime fp32
before    the edge of another checkout, each that is named; the bars are held against the first
bare      an ASGI function on uvicorn that reads the same request and calls the same session inline
workers   the edge of this checkout in so many processes, where --workers says how many; no bar is held against them
mlserver  MLServer, asked in the leanest form that it has; left out and named where it is not installed

Each is a process of its own with one thread a session. The client is `wrk`, and over gRPC `h2load` (both Debian's), so
that what is counted is the server's work and not a Python client's. Every contender's answers are compared with the
bare runtime's before its time is taken. Contenders take turns; a ratio is that of two turns of the same round, one
after another.
"""

import argparse
import base64
import http.client
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from alternate import Spread, last_line, ratio, show
from before import process
from h2load import h2load, over_grpc
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.measurement import Conditions
from offramp.artifacts.pretrained import pretrained
from offramp.artifacts.stages import IMAGE
from offramp.exits.score import softmax
from offramp.machine import here
from offramp.nodes.contract import CLASSIFIER
from offramp.runtime.cut import cut_out
from offramp.runtime.onnx_span import RUNTIME, OnnxSpan
from offramp.runtime.span import SpanSpec
from serving import peer, until_answered

Floats = npt.NDArray[np.float32]
CLASSES = 10
HERE = Path(__file__).parent
ROOT = HERE.parent
PATH = f"/v2/models/{CLASSIFIER}/infer"
WHOLE = ("--threshold", "0", "--threads", "1", "--runtime", "onnxruntime", "--precision", "fp32", "--port", "0")


@dataclass(frozen=True)
class Point:
    """A load: so many connections that each send one batch after another."""

    way: str
    batch: int
    connections: int

    def __str__(self) -> str:
        return f"{self.way}, batch {self.batch}, {self.connections} connection{'s' if self.connections > 1 else ''}"


class Way(Protocol):
    """One way into a contender."""

    def ask(self, batch: Floats) -> Floats:
        """The probabilities that it gives."""

    def load(self, batch: Floats, connections: int, seconds: int, folder: Path) -> dict[str, float]:
        """Send a batch over and over: samples a second (`rate`), and seconds a request (`p50`, `p99`)."""


@dataclass(frozen=True)
class Grpc:
    """The protocol's own messages, with raw tensors."""

    address: str

    def ask(self, batch: Floats) -> Floats:
        return over_grpc(self.address, batch)

    def load(self, batch: Floats, connections: int, seconds: int, folder: Path) -> dict[str, float]:
        return h2load(self.address, batch, connections, seconds, folder)


@dataclass(frozen=True)
class Http:
    """What is sent there for a batch, and what an answer says."""

    address: str
    request: Callable[[Floats], tuple[bytes, dict[str, str]]]  # a body and its headers
    probabilities: Callable[[bytes, int], Floats]  # of a body with the answers of so many

    def ask(self, batch: Floats) -> Floats:
        body, headers = self.request(batch)
        connection = http.client.HTTPConnection(self.address, timeout=30)
        connection.request("POST", PATH, body, headers)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        if response.status != 200:
            raise SystemExit(f"{self.address}: status {response.status}: {content[:300]!r}")
        return self.probabilities(content, len(batch))

    def load(self, batch: Floats, connections: int, seconds: int, folder: Path) -> dict[str, float]:
        """By `wrk`."""
        body, headers = self.request(batch)
        (folder / "body").write_bytes(body)
        (folder / "post.lua").write_text(SCRIPT)
        said = "\n".join(f"{name}: {value}" for name, value in headers.items())
        asked = ("-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(folder / "post.lua"))
        command = ["wrk", *asked, f"http://{self.address}{PATH}"]
        told = os.environ | {"BODY": str(folder / "body"), "HEADERS": said}
        done = subprocess.run(command, env=told, capture_output=True, text=True, check=True, timeout=120)
        found = json.loads(done.stdout.splitlines()[-1])
        if found["failed"] or not found["requests"]:
            raise SystemExit(
                f"{self.address}: {found['failed']} of {found['requests']} requests failed.\n{done.stdout}"
            )
        rate = len(batch) * found["requests"] / (found["microseconds"] / 1e6)
        return {"rate": rate, "p50": found["p50"] / 1e6, "p99": found["p99"] / 1e6}


Contender = dict[str, Way]  # by the names of the ways


@dataclass(frozen=True)
class Bar:
    """What the median ratio of a point must be at least, this build over a contender."""

    point: Point
    over: str
    least: float


POINTS = tuple(Point(way, *load) for way in ("http", "grpc") for load in ((1, 1), (1, 16), (32, 16)))
BARS = (
    Bar(POINTS[0], "before", 1.4),
    Bar(POINTS[1], "before", 1.8),
    Bar(POINTS[2], "before", 1.1),
    Bar(POINTS[2], "bare", 0.95),
    Bar(POINTS[1], "mlserver", 3.0),
    Bar(POINTS[3], "before", 1.3),
    Bar(POINTS[4], "before", 1.6),
    Bar(POINTS[5], "before", 1.1),
)
# What wrk sends, and the one line that it ends with.
SCRIPT = """
wrk.method = "POST"
wrk.body = io.open(os.getenv("BODY"), "rb"):read("*a")
for name, value in string.gmatch(os.getenv("HEADERS"), "([^:\\n]+): ([^\\n]+)") do wrk.headers[name] = value end
done = function(summary, latency, _)
  local failed = summary.errors
  io.write(string.format('{"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, "failed": %d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    failed.connect + failed.read + failed.write + failed.status + failed.timeout))
end
"""


def binary(output: str) -> Callable[[Floats], tuple[bytes, dict[str, str]]]:
    """A request with a binary tensor, that asks for one output in the same form."""

    def request(batch: Floats) -> tuple[bytes, dict[str, str]]:
        sized = {"binary_data_size": batch.nbytes}
        tensor = {"name": IMAGE, "shape": batch.shape, "datatype": "FP32", "parameters": sized}
        outputs = [{"name": output, "parameters": {"binary_data": True}}]
        head = json.dumps({"inputs": [tensor], "outputs": outputs}).encode()
        kind = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}
        return head + batch.tobytes(), kind

    return request


def last_floats(content: bytes, count: int) -> Floats:
    """The one binary tensor that an answer ends with."""
    return np.frombuffer(content[-4 * CLASSES * count :], np.float32).reshape(count, CLASSES)


def base64_request(batch: Floats) -> tuple[bytes, dict[str, str]]:
    """MLServer's REST form has no binary tensors: bytes as one base64 string are less work for it than numbers."""
    content = base64.b64encode(np.array(batch.shape, np.int64).tobytes() + batch.tobytes()).decode()
    tensor = {"name": IMAGE, "shape": [1], "datatype": "BYTES", "data": [content]}
    return json.dumps({"inputs": [tensor]}).encode(), {"Content-Type": "application/json"}


def base64_answer(content: bytes, count: int) -> Floats:
    """Logits in the same form."""
    (text,) = json.loads(content)["outputs"][0]["data"]
    return softmax(np.frombuffer(base64.b64decode(text), np.float32).reshape(count, CLASSES)).astype(np.float32)


def node(held: ExitStack, tree: Path, bundle: Bundle, *more: str) -> Contender:
    """An edge from a checkout's sources."""
    arguments = ("serve", "edge", str(bundle.path), "--exit", str(bundle.manifest.last), *WHOLE, *more)
    started = held.enter_context(process(tree, "-m", "offramp", *arguments))
    assert started.stdout is not None
    words = started.stdout.readline().split()
    address = words[words.index("http") + 1]
    return {"http": Http(address, binary("probabilities"), last_floats), "grpc": Grpc(words[1])}


@contextmanager
def bare(graph: Path) -> Iterator[Contender]:
    """The ASGI function."""
    port = 9431
    variables = {"PEER_GRAPH": str(graph), "PEER_THREADS": "1", "PEER_PORT": str(port)}
    with subprocess.Popen([sys.executable, str(HERE / "peers/serve_bare.py")], env=os.environ | variables) as started:
        try:
            yield {"http": Http(f"127.0.0.1:{port}", binary("probabilities"), last_floats)}
        finally:
            started.terminate()


def contenders(held: ExitStack, options: argparse.Namespace, bundle: Bundle, graph: Path) -> dict[str, Contender]:
    """All that can be started here, by name: the first other checkout is `before`, more have their folders' names."""
    found = {"this": node(held, ROOT, bundle)}
    for position, tree in enumerate(options.before):
        found[tree.resolve().name if position else "before"] = node(held, tree, bundle)
    if options.workers:
        found["workers"] = node(held, ROOT, bundle, "--workers", str(options.workers))
    found["bare"] = held.enter_context(bare(graph))
    if (options.venvs / "mlserver/bin/python").exists():
        port = held.enter_context(peer("mlserver", graph, 1, options.venvs))
        found["mlserver"] = {"http": Http(f"127.0.0.1:{port}", base64_request, base64_answer)}
    return found


def measured(
    point: Point, found: dict[str, Contender], batch: Floats, rounds: int, seconds: int, folder: Path
) -> dict[str, dict[str, list[float]]]:
    """What each contender gave in each round: one warm-up turn more than are counted."""
    taken: dict[str, dict[str, list[float]]] = {name: {} for name, ways in found.items() if point.way in ways}
    for position in range(-1, rounds):
        for name, figures in taken.items():
            turn = found[name][point.way].load(batch, point.connections, seconds, folder)
            for key, value in turn.items() if position >= 0 else ():
                figures.setdefault(key, []).append(value)
    return taken


def told(point: Point, taken: dict[str, dict[str, list[float]]]) -> dict[str, Any]:
    """A point's figures, printed too."""
    rates = {name: figures["rate"] for name, figures in taken.items()}
    over = {name: ratio(rates["this"], rate) for name, rate in rates.items()}
    spreads = {key: {name: Spread.of(one[key]) for name, one in taken.items()} for key in ("rate", "p50", "p99")}
    rows = [
        (
            name,
            spreads["rate"][name].show(),
            over[name].show(),
            *(spreads[key][name].show(1000) for key in ("p50", "p99")),
        )
        for name in taken
    ]
    show(str(point), ("", "samples/s", "this over it", "p50, ms", "p99, ms"), rows)
    return {
        "samples_per_second": spreads["rate"],
        "this_over": over,
        "seconds_p50": spreads["p50"],
        "seconds_p99": spreads["p99"],
    }


def main() -> None:
    """Measure, print, and say whether the bars are met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, action="append", default=[], help="a checkout of another build")
    parser.add_argument("--workers", type=int, help="processes of one more contender, an edge of this build")
    parser.add_argument("--venvs", type=Path, default=HERE / "peers/venvs", help="what peers/setup.sh made")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=int, default=2, help="of a turn")
    parser.add_argument("--point", type=int, action="append", help="only this one, counted from 0")
    parser.add_argument("--only", nargs="+", help="only these contenders, beside this build")
    parser.add_argument("--quick", action="store_true", help="two rounds of a second: only to see that it runs")
    options = parser.parse_args()
    rounds, seconds = (2, 1) if options.quick else (options.rounds, options.seconds)
    points = POINTS if options.point is None else tuple(POINTS[number] for number in options.point)

    bundle = Bundle.open(pretrained() / "bundle")
    last = bundle.manifest.last
    graph, source, outputs = cut_out(bundle, SpanSpec(0, last, (last,)))
    session, target = OnnxSpan(graph, source, outputs, 1), next(iter(outputs))
    batches = np.random.default_rng(0).random((32, *bundle.manifest.preprocessing.shape), np.float32)
    expected = softmax(session.run(batches)[target]).astype(np.float32)
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as made, ExitStack() as held:
        folder = Path(made)
        (folder / "whole.onnx").write_bytes(graph)
        found = contenders(held, options, bundle, folder / "whole.onnx")
        found = {name: ways for name, ways in found.items() if not options.only or name in ("this", *options.only)}
        for contender, ways in found.items():
            for way, asked in ways.items():
                answer = until_answered(contender, asked.ask, batches)
                if not np.allclose(answer, expected, atol=1e-5):
                    raise SystemExit(f"{contender} over {way} gives other answers than the bare runtime.")
        for point in points:
            taken = measured(point, found, batches[: point.batch], rounds, seconds, folder)
            figures[str(point)] = told(point, taken)
    bars = [
        {"point": str(bar.point), "over": bar.over, "least": bar.least, "median": one.median}
        for bar in BARS
        if (one := figures.get(str(bar.point), {}).get("this_over", {}).get(bar.over)) is not None
    ]
    passed = all(bar["median"] >= bar["least"] for bar in bars)
    missing = [name for name in ("before", "mlserver") if name not in found]
    conditions = Conditions(batch_size=0, link="loopback", runtime=RUNTIME, dtype="fp32", **here())
    last_line(
        "throughput",
        figures | {"bars": bars, "missing": missing},
        conditions,
        rounds=rounds,
        seconds=seconds,
        workers=options.workers,
        passed=passed,
    )
    sys.exit(not passed)


if __name__ == "__main__":
    main()
