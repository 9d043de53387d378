"""What it costs to see what a node does, and whether what it counts is what was sent.

cost      16 clients ask an edge for one sample each over gRPC, in turns: with nothing noted (off), with metrics and the
          log in JSON (on), and with a line for each request besides (lines); throughput and the edge's processor time
viewers   the edge's processor time with pages open on it and without, both under load
exact     a cloud of two workers, one of them killed half-way: the sum of its metrics against the requests sent

The edge's clients share this machine's cores with it, so its own processor time says more than their throughput.
"""

import argparse
import os
import signal
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from alternate import Spread, last_line, ratio, show
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.codec import tail_name
from offramp.artifacts.measurement import Conditions
from offramp.artifacts.plan import Plan
from offramp.artifacts.stages import IMAGE
from offramp.children import Child, be_child
from offramp.machine import here
from offramp.nodes.contract import CLASSIFIER
from offramp.nodes.edge_settings import EdgeSettings
from offramp.nodes.process import child_node, serve
from offramp.nodes.serving import COMMAND
from offramp.nodes.settings import CloudSettings
from offramp.nodes.told import from_json, to_json
from offramp.protocol.data_plane import DataPlane
from offramp.protocol.peer import Peer
from offramp.protocol.record import Record
from offramp.runtime.onnx_span import RUNTIME

CLIENTS, WAIT = 16, 60.0
PRETRAINED = Path(__file__).parents[1] / "src/offramp/pretrained"
BARS = {"cpu": 1.03, "viewer": 0.01}


class Quiet(Record):
    """A record that nothing is noted in."""

    __slots__ = ()

    def __exit__(self, *_: object) -> None: ...

    def stage(self, stage: Any, start: float, end: float | None = None) -> float:
        return start

    def count(self, by: Any) -> None: ...


def processor_seconds(pid: int) -> float:
    """What a process has used."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def connections(address: str, ask: Callable[[Peer], object], stack: ExitStack) -> list[Peer]:
    """One a client, each used once, and kept: to make one takes a node longer than a request."""
    peers = [stack.enter_context(Peer(address, alone=True)) for _ in range(CLIENTS)]
    for peer in peers:
        ask(peer)
    return peers


def under_load(peers: list[Peer], ask: Callable[[Peer], object], requests: int) -> float:
    """Send so many requests from all clients, one after another each; give the seconds."""
    numbers = count()

    def client(peer: Peer) -> None:
        while next(numbers) < requests:
            ask(peer)

    with ThreadPoolExecutor(CLIENTS) as pool:
        began = time.perf_counter()
        for one in [pool.submit(client, peer) for peer in peers]:
            one.result()
        return time.perf_counter() - began


@contextmanager
def viewers(http: str, many: int) -> Any:
    """So many pages that are open: each asks once a second, on a connection that it keeps."""
    over = threading.Event()

    def view(number: int) -> None:
        connection = HTTPConnection(*http.split(":"), timeout=WAIT)
        over.wait(number / max(many, 1))
        while not over.is_set():
            connection.request("GET", "/live")
            connection.getresponse().read()
            over.wait(1.0)
        connection.close()

    with ThreadPoolExecutor(max(many, 1)) as pool:
        for number in range(many):
            pool.submit(view, number)
        yield
        over.set()


def samples(http: str) -> int:
    """What a node says that it has answered."""
    with urllib.request.urlopen(f"http://{http}/metrics", timeout=WAIT) as answer:
        lines = answer.read().decode().splitlines()
    return int(sum(float(line.split()[-1]) for line in lines if line.startswith("offramp_samples_total{")))


def exact(bundle: Bundle, requests: int) -> dict[str, int]:
    """Send to two workers; kill one when half is answered and nothing is under way, and count at the end."""
    last = bundle.manifest.cuts[-1].boundary
    features = {name: np.zeros((1, *spec), np.float32) for name, spec in bundle.manifest.tensors(last).items()}
    settings = CloudSettings(bundles=(str(bundle.path),), http_port=0, workers=2, threads=1, runtime="onnxruntime",
                             precision="fp32")  # fmt: skip

    def ask(peer: Peer) -> None:
        peer.infer(tail_name(last, "fp32"), features, timeout=WAIT)

    with child_node(settings) as cloud:
        address, http = cloud.address(), cloud.http_address()
        pid = cloud.process.pid
        with ExitStack() as stack:
            under_load(connections(address, ask, stack), ask, requests // 2)
        half = samples(http)
        before = children(pid)
        os.kill(min(before), signal.SIGKILL)
        while len(children(pid)) < 2 or children(pid) == before:
            time.sleep(0.1)
        time.sleep(3)  # until it listens
        with ExitStack() as stack:
            under_load(connections(address, ask, stack), ask, requests // 2)
        found = samples(http)
    sent = 2 * (requests // 2 + CLIENTS)  # each client asks once before the clock starts
    return {"sent": sent, "counted_at_half": half, "counted": found, "off": found - sent}


def children(pid: int) -> set[int]:
    return {
        int(word) for task in Path(f"/proc/{pid}/task").iterdir() for word in (task / "children").read_text().split()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few requests: to see that it runs")
    parser.add_argument(
        "--rounds", type=int, help="of off, on and lines; default 150, short ones, for the machine drifts"
    )
    parser.add_argument("--requests", type=int, default=100_000, help="of the count that has to be exact; 0: none")
    parser.add_argument("--viewers", type=int, default=20)
    parser.add_argument("--bundle", type=Path, default=next(PRETRAINED.glob("*/bundle")))
    options = parser.parse_args()
    rounds, each = options.rounds or (5 if options.quick else 150), 100
    bundle, figures = Bundle.open(options.bundle), dict[str, Any]()
    image = np.random.default_rng(0).random((1, *bundle.manifest.preprocessing.shape), np.float32)

    def ask(peer: Peer) -> None:
        peer.infer(CLASSIFIER, {IMAGE: image}, timeout=WAIT)

    with ExitStack() as stack:
        told = EdgeSettings(
            bundles=(str(bundle.path),), threads=1, runtime="onnxruntime", precision="fp32", http_port=0,
            plan=at_first(bundle),
            cloud="127.0.0.1:9", cloud_wait=0.0,
        )  # fmt: skip
        commands = {"off": (__file__, "--node"), "on": COMMAND, "lines": COMMAND}
        nodes = {
            name: stack.enter_context(
                Child(
                    "the edge",
                    command,
                    to_json(replace(told, log_format="json", log_requests=name == "lines")),
                    kept=True,
                )
            )
            for name, command in commands.items()
        }
        clients = {name: connections(node.address(), ask, stack) for name, node in nodes.items()}
        rate: dict[str, list[float]] = {name: [] for name in nodes}
        used: dict[str, list[float]] = {name: [] for name in nodes}
        for position in range(-1, rounds):
            for name, node in nodes.items():
                before = processor_seconds(node.process.pid)
                seconds = under_load(clients[name], ask, each)
                if position >= 0:
                    rate[name].append(each / seconds)
                    used[name].append((processor_seconds(node.process.pid) - before) / each)
        for name in ("on", "lines"):
            figures[name] = {
                "processor_over_off": ratio(used[name], used["off"]),
                "throughput_over_off": ratio(rate[name], rate["off"]),
            }
        figures["requests_per_second"] = {name: Spread.of(values) for name, values in rate.items()}
        figures["processor_seconds_a_request"] = {name: Spread.of(values) for name, values in used.items()}
        show(
            f"batch 1, {CLIENTS} clients",
            ("", "requests/s", "us of the edge's processor a request", "over off"),
            [
                (
                    name,
                    figures["requests_per_second"][name].show(),
                    figures["processor_seconds_a_request"][name].show(1e6),
                    ratio(used[name], used["off"]).show(),
                )
                for name in nodes
            ],
        )
        figures["viewer"] = a_viewer(nodes["on"], ask, options.viewers, 4 if options.quick else 20)
        print(f"a viewer: {100 * figures['viewer']['core_a_viewer'].median:.2f} % of a core")
    if options.requests:
        figures["exact"] = exact(bundle, 2_000 if options.quick else options.requests)
        print(f"sent and counted: {figures['exact']}")
    last_line(
        "sight",
        figures,
        Conditions(**here(), batch_size=1, link="loopback, unshaped", runtime=RUNTIME, dtype="fp32"),
        rounds=rounds,
        requests_a_round=each,
        viewers=options.viewers,
        bars=BARS,
    )


def a_viewer(node: Child, ask: Callable[[Peer], object], many: int, seconds: int) -> dict[str, Any]:
    """The part of a core that one page takes: the processor time of looks under load, by turns with and without."""
    http, pid, found = node.http_address(), node.process.pid, list[float]()
    over = threading.Event()

    def load() -> None:
        while not over.is_set():
            with ExitStack() as stack:
                peer = stack.enter_context(Peer(node.address(), alone=True))
                while not over.is_set():
                    ask(peer)
                    over.wait(0.002)  # steady, below what the node could: each turn has the same to do

    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            pool.submit(load)
        for _ in range(3):
            took = []
            for looking in (0, many):
                with viewers(http, looking):
                    time.sleep(1)
                    done, used = samples(http), processor_seconds(pid)
                    time.sleep(seconds)
                    took.append((processor_seconds(pid) - used, samples(http) - done))
            (alone, asked), (seen, asked_then) = took
            found.append((seen - alone * asked_then / asked) / seconds / many)
        over.set()
    return {"core_a_viewer": Spread.of(found), "pages": many, "requests_per_second": asked / seconds}


def at_first(bundle: Bundle) -> Plan:
    """Everything leaves at the first exit: the least computing, beside which what is noted weighs most."""
    return Plan.of(bundle.manifest.exits[0], 1.0)


def serve_quietly(line: str) -> None:
    """A node that notes nothing of its requests."""
    DataPlane.record = lambda self, front, request_id="", trace="": Quiet(None, front)  # type: ignore[method-assign]
    serve(from_json(line))


if __name__ == "__main__":
    if "--node" in sys.argv:
        be_child(serve_quietly)
    else:
        main()
