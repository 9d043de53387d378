"""What a client on the node's own machine gains by a Unix socket or by shared memory over a port of loopback, in turns.

Two edges, alike but for where they listen, and one client that asks one batch after another: over gRPC by tritonclient,
over HTTP by the standard library with binary tensors, as tritonclient has no Unix sockets there. Tensors in shared
memory are tritonclient's in both protocols, at the port, and are held against its own at the port. What leaves at exit
1 computes least for its bytes: there the way weighs most. On a machine that others use too the time on the wall says
little; the processor's time of client and node for a call is printed beside it.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from secrets import token_hex
from statistics import median
from typing import Any

import numpy as np
import tritonclient.grpc as over_grpc
import tritonclient.http as over_http
import tritonclient.utils.shared_memory as shm

from alternate import Spread, alternate, last_line, ratio, show
from offramp.artifacts.measurement import Conditions
from offramp.artifacts.plan import Plan
from offramp.artifacts.pretrained import pretrained
from offramp.bench.http_call import HttpCall
from offramp.machine import here
from offramp.nodes.contract import CLASSIFIER
from offramp.nodes.edge_settings import EdgeSettings
from offramp.nodes.process import child_node
from offramp.nodes.settings import CloudSettings
from offramp.runtime.onnx_span import RUNTIME
from tls import on_processor

LAST, SHAPE = 9, (3, 32, 32)
WARM_UP = 2  # rounds
WAIT = 60.0
WAYS: dict[str, dict[str, Any]] = {
    "leaves at exit 1": {"exit": 1, "threshold": 1.0}, "whole network": {"exit": LAST, "threshold": 0.0},
}  # fmt: skip
Call = Callable[[], object]


def by_triton(held: ExitStack, address: str, batch: np.ndarray, plan: dict[str, Any], module: Any = over_grpc) -> Call:
    """An unmodified tritonclient, which serializes the batch each time."""
    client = module.InferenceServerClient(address)
    held.callback(client.close)

    def ask() -> object:
        tensor = module.InferInput("image", list(batch.shape), "FP32")
        tensor.set_data_from_numpy(batch)
        return client.infer(CLASSIFIER, [tensor], parameters=plan).as_numpy("label")

    return ask


def by_http(held: ExitStack, address: str, batch: np.ndarray, plan: dict[str, Any]) -> Call:
    """One connection of the standard library."""
    call = held.enter_context(HttpCall(address, CLASSIFIER, "image", batch, plan, WAIT))
    return call.ask


def by_memory(held: ExitStack, address: str, batch: np.ndarray, plan: dict[str, Any], module: Any) -> Call:
    """An unmodified tritonclient, whose batches lie in shared memory; answers come in messages."""
    name = f"offramp-{token_hex(8)}"
    region = shm.create_shared_memory_region(name, name, batch.nbytes, create_only=True)
    held.callback(shm.destroy_shared_memory_region, region)
    client = module.InferenceServerClient(address)
    held.callback(client.close)
    client.register_system_shared_memory(name, name, batch.nbytes)

    def ask() -> object:
        shm.set_shared_memory_region(region, [batch])
        tensor = module.InferInput("image", list(batch.shape), "FP32")
        tensor.set_shared_memory(name, batch.nbytes)
        return client.infer(CLASSIFIER, [tensor], parameters=plan).as_numpy("label")

    return ask


def contenders(held: ExitStack, folder: Path, threads: int) -> dict[str, tuple[str, str, int]]:
    """Where the edges listen, for gRPC and for HTTP, by how they do, and their processes."""
    common: dict[str, Any] = {
        "bundles": (str(pretrained() / "bundle"),), "threads": threads, "runtime": "onnxruntime", "precision": "fp32",
        "http_port": 0, "shared_memory": True,
    }  # fmt: skip
    cloud = held.enter_context(child_node(CloudSettings(**common)))  # that nothing goes to
    common |= {"plan": Plan.of(LAST, 0.0), "cloud": cloud.address()}
    hosts = {"port": "127.0.0.1", "socket": f"unix:{folder}/edge.sock"}
    started = {name: held.enter_context(child_node(EdgeSettings(**common, host=host))) for name, host in hosts.items()}
    return {name: (edge.address(), edge.http_address(), edge.process.pid) for name, edge in started.items()}


class Worked:
    """A call, and for how long client and node have worked at it."""

    def __init__(self, call: Call, process: int) -> None:
        self.call, self.process, self.seconds = call, process, list[float]()

    def __call__(self) -> None:
        """Call."""
        before = self._worked()
        self.call()
        self.seconds.append(self._worked() - before)

    def _worked(self) -> float:
        return on_processor(self.process) + time.process_time()


def measured(threads: int, sizes: list[int], rounds: int, repeats: int) -> dict[str, dict[str, list[float]]]:
    """Seconds a call of each round, by what is asked and who; and of the processor, of the median call."""
    found = {}
    with ExitStack() as held:
        places = contenders(held, Path(held.enter_context(tempfile.TemporaryDirectory(prefix="offramp-"))), threads)
        for protocol, front in (("gRPC", by_triton), ("HTTP", by_http)):
            for size in sizes:
                batch = np.random.default_rng(0).random((size, *SHAPE), np.float32)
                for way, plan in WAYS.items():
                    calls = {
                        name: Worked(front(held, at[protocol == "HTTP"], batch, plan), at[2])
                        for name, at in places.items()
                    }
                    port, module = places["port"], over_http if protocol == "HTTP" else over_grpc
                    for name, make in (("message", by_triton), ("memory", by_memory)):
                        asked = make(held, port[protocol == "HTTP"], batch, plan, module)
                        calls[name] = Worked(asked, port[2])
                    times = alternate(calls, rounds=rounds, repeats=repeats, warm_up=WARM_UP)
                    worked = {f"{name}, worked": [median(call.seconds)] for name, call in calls.items()}
                    found[f"{protocol}, batch {size}, {way}"] = times | worked
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--repeats", type=int, default=30, help="calls of a round, whose median counts")
    parser.add_argument("--threads", type=int, default=1, help="of the runtime")
    parser.add_argument("--quick", action="store_true", help="only show that it runs")
    options = parser.parse_args()
    rounds, repeats = (2, 3) if options.quick else (options.rounds, options.repeats)
    found = measured(options.threads, [1, 32], rounds, repeats)
    rows, figures = [], {}
    for asked, times in found.items():
        figures[asked] = {name: Spread.of(seconds) for name, seconds in times.items()}
        over = {
            "socket over port": ratio(times["socket"], times["port"]),
            "memory over message": ratio(times["memory"], times["message"]),
        }
        figures[asked] |= over
        worked = [figures[asked][f"{name}, worked"].median * 1e3 for name in ("port", "socket", "message", "memory")]
        shown = " ".join(f"{one:.2f}" for one in worked)
        rows.append([asked, figures[asked]["port"].show(1e3), *(one.show() for one in over.values()), shown])
    columns = ["asked", "port, ms", *over, "worked, ms: port, socket, message, memory"]
    show("a call from the same machine", columns, rows)
    conditions = Conditions(**here(), batch_size=1, link="one machine", runtime=RUNTIME, dtype="fp32")
    last_line("same_machine", figures, conditions, threads=options.threads, repeats=repeats)


if __name__ == "__main__":
    main()
