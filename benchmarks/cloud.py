"""A cloud under 1, 4 and 16 clients, with and without batching across them; real processes on loopback.

direct   no batcher: each call runs on its own thread, as many at a time as come
alone    a batcher whose batches hold one request (`--batch-size 1`): bounded, and nothing is run together
batched  the default: what waits while the runtime is busy is run together
wait     the same, and a request waits up to 2 ms for company (`--max-wait-ms 2`)

Each client has a connection of its own, sends its next request when it has the last one's answer, and holds each answer
against the network run in this process. All clients share one process, and that the machine with the cloud.
"""

import argparse
import tempfile
import threading
from concurrent.futures import Future
from contextlib import ExitStack
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from alternate import Spread, alternate, last_line, ratio, show
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.codec import tail_name
from offramp.artifacts.engine import Engine
from offramp.artifacts.measurement import Conditions
from offramp.artifacts.stages import features_name, logits_name
from offramp.bench.load import Calls, load
from offramp.bench.scenario import Query, Rows
from offramp.children import Child, at_stop, be_child, ready_line
from offramp.export.write import export
from offramp.machine import here
from offramp.nodes.batching import Limits
from offramp.nodes.cloud import tails
from offramp.nodes.process import child_node
from offramp.nodes.settings import CloudSettings
from offramp.protocol.peer import Peer
from offramp.protocol.served import Result
from offramp.protocol.server import Server
from offramp.protocol.tensors import write_request
from offramp.runtime.choice import Choice
from offramp.runtime.onnx_span import RUNTIME
from offramp.runtime.open import open_span
from offramp.runtime.span import SpanSpec
from untrained import architecture_of, noise, untrained

CONTENDERS = {"alone": Limits(batch=1), "batched": Limits(), "wait": Limits(wait=0.002)}
TIMEOUT = 60.0


class Callers:
    """Clients on connections of their own, each with one request that it repeats."""

    def __init__(self, address: str, bundle: Bundle, boundary: int, batches: list[npt.NDArray[Any]]) -> None:
        last, name = bundle.manifest.last, tail_name(boundary, "fp32")
        self.peers = [Peer(address, alone=True) for _ in batches]
        self.requests = [write_request(name, bundle.id, {features_name(boundary): batch}) for batch in batches]
        self.seconds: list[list[float]] = []  # a list a round
        span = open_span(bundle, SpanSpec(boundary, last, (last,)), Engine(threads=1))
        self.name, self.expected = logits_name(last), [span.run(batch)[logits_name(last)] for batch in batches]

    def rush(self, requests: int) -> None:
        """Send so many requests, each client its next when it has the last one's answer; keep the seconds of each."""
        asked: list[int] = []

        def begin(client: int, _query: int, _rows: Rows) -> "Future[Result]":
            asked.append(client)
            return self.peers[client].begin(self.requests[client], TIMEOUT)

        schedule = repeat(Query(np.arange(0), None))
        answered = load(schedule, Calls(begin), clients=len(self.peers), count=requests)
        for client, one in zip(asked, answered, strict=True):
            found, expected = one.answer.outputs[self.name], self.expected[client]
            if found.shape != expected.shape or not np.allclose(found, expected, rtol=1e-3, atol=1e-4):
                raise SystemExit("a client got rows that are not its own")
        self.seconds.append([one.end - one.start for one in answered])

    def close(self) -> None:
        """Close the connections."""
        for peer in self.peers:
            peer.close()


def measure(bundle: Bundle, options: argparse.Namespace, requests: int) -> dict[str, Any]:
    """Throughput and latency of each contender by number of clients; `requests` a round, over all clients."""
    (shape,) = bundle.manifest.tensors(options.boundary).values()
    rng = np.random.default_rng(options.seed)
    figures: dict[str, Any] = {}
    # The runtime is direct's, and that of the answers compared with.
    common = {"threads": options.threads, "runtime": "onnxruntime", "precision": "fp32"}
    with ExitStack() as stack:
        direct = Child("the cloud without a batcher", (__file__, "--serve-direct"), f"{options.threads} {bundle.path}")
        addresses = {"direct": stack.enter_context(direct).address()}
        for name, limits in CONTENDERS.items():
            settings = CloudSettings(bundles=(str(bundle.path),), limits=limits, **common)
            addresses[name] = stack.enter_context(child_node(settings)).address()
        for clients in options.clients:
            batches = [rng.random((options.batch_size, *shape), np.float32) for _ in range(clients)]
            callers = {name: Callers(address, bundle, options.boundary, batches) for name, address in addresses.items()}
            calls = {name: partial(each.rush, requests // clients * clients) for name, each in callers.items()}
            found = alternate(calls, rounds=options.rounds)
            p50, p95 = (
                {name: [float(np.percentile(some, p)) for some in each.seconds] for name, each in callers.items()}
                for p in (50, 95)
            )
            samples = requests // clients * clients * options.batch_size
            figures[f"clients_{clients}"] = {
                "samples_per_second": {n: Spread.of([samples / value for value in s]) for n, s in found.items()},
                "throughput_over_direct": {n: ratio(found["direct"], s) for n, s in found.items()},
                "p50_seconds": {n: Spread.of(values[1:]) for n, values in p50.items()},  # the first round warms up
                "p95_seconds": {n: Spread.of(values[1:]) for n, values in p95.items()},
                "p50_over_direct": {n: ratio(values[1:], p50["direct"][1:]) for n, values in p50.items()},
            }
            for each in callers.values():
                each.close()
    return figures


def _serve_direct(settings: str) -> None:
    """Be a cloud without a batcher."""
    threads, path = settings.strip().split(" ", 1)
    choice = Choice(Engine(threads=int(threads)))
    server = Server(tails(Bundle.open(path), choice=choice), "127.0.0.1", 0, max_batch=256)
    server.start()
    stop = threading.Event()
    at_stop(stop.set)
    print(ready_line(server.address, "direct"), flush=True)
    stop.wait()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rounds of few calls: to see that it runs")
    parser.add_argument("--preset", default="small")
    parser.add_argument("--model", default="mem")
    parser.add_argument("--boundary", type=int, default=3, help="where the features come from")
    parser.add_argument("--batch-size", type=int, default=1, help="samples a request")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--threads", type=int, default=0, help="of each session; 0 for every core")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, help="default 9")
    parser.add_argument("--serve-direct", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve_direct:
        be_child(_serve_direct)
        return
    options.rounds = options.rounds or (3 if options.quick else 9)
    requests = 160 if options.quick else 800

    architecture = architecture_of(options.preset, options.model)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        bundle = export(untrained(architecture, path, options.seed), path / "bundle", noise(architecture, 64))
        figures = measure(bundle, options, requests)

    for clients in options.clients:
        found = figures[f"clients_{clients}"]
        show(
            f"Cloud: {options.preset} {options.model} from boundary {options.boundary}, {clients} client(s), "
            f"{options.batch_size} sample(s) a request, {options.threads or 'all'} thread(s)",
            ("", "samples/s", "over direct", "p50 ms", "p50 over direct", "p95 ms"),
            [
                (
                    name,
                    f"{speed.median:,.0f} ({speed.min:,.0f} to {speed.max:,.0f})",
                    found["throughput_over_direct"][name].show(),
                    found["p50_seconds"][name].show(1000),
                    found["p50_over_direct"][name].show(),
                    f"{1000 * found['p95_seconds'][name].median:.3g}",
                )
                for name, speed in found["samples_per_second"].items()
            ],
            f"Median (least to most) of {options.rounds} alternating rounds of {requests} requests; ratios are of "
            "neighbours.",
        )
    last_line(
        "cloud",
        figures,
        Conditions(**here(), batch_size=options.batch_size, link="loopback, unshaped", runtime=RUNTIME, dtype="fp32"),
        preset=options.preset,
        model=options.model,
        boundary=options.boundary,
        batch_size=options.batch_size,
        clients=options.clients,
        threads=options.threads,
        seed=options.seed,
        rounds=options.rounds,
        requests=requests,
    )


if __name__ == "__main__":
    main()
