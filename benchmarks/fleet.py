"""What `offramp fleet` predicts of a cloud, held against a running one that 4, 16 and 64 connections ask, in turns.

A replica of one core: the cloud runs on the first core that this process may use, and who asks on the others. In each
round its service times are measured as `offramp profile` measures them (the network's by batch size in a process
beside, a call alone, and the cloud's processor time in it); then come

open    so many connections whose samples come at random (scenario server): at 25, 35 and 45 % of what a replica
         answers at most, in full batches
closed  so many clients that each send their next when they have their answer: as busy as it gets

and the simulation, told the median service times of all rounds, says what both should have been. Where somebody else
uses the machine, run it with a higher priority (`nice -n -15`), and read the spreads.
"""

import argparse
import os
import sys
import tempfile
import time
from concurrent.futures import Future
from contextlib import ExitStack
from itertools import repeat
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from alternate import Spread, last_line, show
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.codec import tail_name
from offramp.artifacts.engine import Engine
from offramp.artifacts.measurement import Conditions
from offramp.artifacts.pretrained import pretrained
from offramp.bench.load import Calls, Completed, load
from offramp.bench.scenario import Query, Rows, queries, scenario
from offramp.bench.timed import MANY, PAUSE, PAUSES, calling, work_blocks
from offramp.export.write import export
from offramp.machine import here, work_of
from offramp.nodes.process import child_node
from offramp.nodes.settings import CloudSettings
from offramp.plan.fleet import Fleet, Loops, Simulated, Way, simulate
from offramp.plan.replica import Replica
from offramp.plan.service import QUARTILES, Service, Worked
from offramp.protocol.peer import Peer
from offramp.protocol.served import Result
from offramp.protocol.tensors import write_request
from offramp.runtime.onnx_span import RUNTIME
from offramp.runtime.open import open_span
from offramp.runtime.tier_spans import tail_span
from untrained import architecture_of, noise, untrained

CONNECTIONS = (4, 16, 64)
BUSY = {4: 0.25, 16: 0.35, 64: 0.45}  # of what a replica is predicted to answer at most, by connections
SIZES = (1, 8, 32)
TIMEOUT, WITHIN = 60.0, 0.15
CALLS = 40  # of a round, one after another


def keep_to(cores: set[int]) -> None:
    """Have every thread of this process, and the children that it starts, run on these cores."""
    for thread in os.listdir("/proc/self/task"):
        os.sched_setaffinity(int(thread), cores)


def spread(seconds: list[float]) -> float:
    """Standard deviation of the logarithm, by the quartiles: as of a profile's times."""
    first, third = np.percentile(seconds, (25, 75))
    return float(np.log(third / first)) / QUARTILES


class Measured:
    """The cloud that runs, and what was measured of it, a value a round."""

    def __init__(self, bundle: Bundle, cut: int, codec: str, stack: ExitStack) -> None:
        first, *rest = sorted(os.sched_getaffinity(0))
        keep_to({first})
        common = {"threads": 1, "runtime": "onnxruntime", "precision": "fp32", "http_port": None}
        cloud = stack.enter_context(child_node(CloudSettings(bundles=(str(bundle.path),), **common)))
        keep_to(set(rest))
        spec = tail_span(bundle.manifest.last, cut, codec)
        self.batches = {size: spec.noise(bundle, size) for size in SIZES}
        self.span = open_span(bundle, spec, Engine(threads=1))
        features = dict(zip(bundle.manifest.tensors(cut), self.batches[1], strict=True))
        self.request = write_request(tail_name(cut, codec), bundle.id, features)
        light = bundle.manifest.cuts[-1].boundary  # the shortest tail tells what the node does itself
        shortest = tail_span(bundle.manifest.last, light, codec)
        self.light, self.light_batch = open_span(bundle, shortest, Engine(threads=1)), shortest.noise(bundle, 1)
        address = cloud.address()
        self.peers = [stack.enter_context(Peer(address, alone=True)) for _ in range(max(CONNECTIONS))]
        # On connections that were not just used, as an edge's is not.
        self.calls = [calling(bundle, peer, cut, codec) for peer in self.peers[:MANY]]
        worked = work_of(cloud.process.pid)
        assert worked is not None
        self.work = {at: work_blocks(bundle, self.peers[:MANY], worked, at, codec) for at in (cut, light)}
        self.network: dict[int, list[float]] = {size: [] for size in SIZES}
        self.alone, self.light_network, self.own = list[float](), list[float](), list[float]()
        self.worked: dict[Any, list[float]] = {key: [] for blocks in self.work.values() for key in blocks}
        self.found: dict[str, list[tuple[float, float]]] = {}

    def serve_times(self) -> None:
        """Measure what the network takes by batch size, a call alone, the cloud's work in calls, and the driver's."""
        for size, batch in self.batches.items():
            for _ in range(max(3, CALLS // size)):
                start = time.thread_time()  # of a processor: what others take of this one is not the network's
                self.span.run(*batch)
                self.network[size].append(time.thread_time() - start)
        for number in range(CALLS):
            start = time.thread_time()
            self.light.run(*self.light_batch)
            self.light_network.append(time.thread_time() - start)
            time.sleep(PAUSE)
            start = time.perf_counter()
            self.calls[number % MANY]()
            self.alone.append(time.perf_counter() - start)
        for key, run in [pair for blocks in self.work.values() for pair in blocks.items()]:
            own = time.process_time()
            self.worked[key].append(run() / 1000)
            if key.many > 1:
                self.own.append((time.process_time() - own) / (PAUSES // 2 + 1) / key.many)

    @property
    def service(self) -> Service:
        """Service times, of all rounds until now, by the arithmetic of `Service.of`."""
        network = {size: median(some) for size, some in self.network.items()}
        longest, shortest = (
            Worked(batches, *(median(self.worked[key]) for key in blocks), MANY)
            for batches, blocks in zip((network, {1: median(self.light_network)}), self.work.values(), strict=True)
        )
        spreads = (spread(self.network[1]), spread(self.alone))
        return Service.told(network, median(self.alone), shortest, longest, spreads)

    def run(self, name: str, schedule: Any, connections: int, **until: Any) -> None:
        """Have so many connections ask, and keep the percentiles of what they waited."""
        drawn = np.random.default_rng(len(self.found.get(name, ())))

        def begin(client: int, _query: int, _rows: Rows) -> "Future[Result]":
            to = client if until["clients"] else int(drawn.integers(connections))
            return self.peers[to].begin(self.request, TIMEOUT)

        answered: list[Completed[Result]] = load(schedule, Calls(begin), **until)
        seconds = np.array([one.end - one.start for one in answered])
        kept = seconds[len(seconds) // 10 :]
        self.found.setdefault(name, []).append(
            (Simulated.percentile(kept, 50), Simulated.percentile(kept, 95)),
        )


def measure(bundle: Bundle, options: argparse.Namespace) -> dict[str, Any]:
    """Rounds of all of it, and what the simulation says of each."""
    with ExitStack() as stack:
        measured = Measured(bundle, options.cut, options.codec, stack)
        for _ in range(3):
            measured.serve_times()
        most = Replica(measured.service).most
        rates = {number: share * most for number, share in BUSY.items()}
        for number in range(options.rounds + 1):
            measured.serve_times()
            for connections in CONNECTIONS:
                by = scenario("server", 1, rate=rates[connections], count=options.count, schedule_seed=number)
                measured.run(f"open_{connections}", queries(by, 1), connections, clients=0, count=by.count)
                endless = repeat(Query(np.arange(0), None))
                count = max(options.count, 8 * connections)
                measured.run(f"closed_{connections}", endless, connections, clients=connections, count=count)
            if not number:
                measured.found.clear()  # the first round warms up
            print(f"round {number} of {options.rounds}", file=sys.stderr, flush=True)
    service, own, replica = measured.service, median(measured.own), Replica(measured.service)
    figures: dict[str, Any] = {
        "service": {
            "spread": service.spread, "around": service.around,
            "host": 1000 * service.host, "wake": 1000 * service.wake,
            "beside": 1000 * service.beside, "driver": 1000 * own,
            **{f"batch_{size}": 1000 * seconds for size, seconds in service.batches.items()},
        }
    }  # fmt: skip
    for name, found in measured.found.items():
        kind, connections = name.split("_")
        way = (Way(1.0, 0.0, onward=True),)
        who = Loops(int(connections), own)
        if kind == "open":
            who = Fleet(int(connections), rates[int(connections)] / int(connections), way)
        said = simulate(who, replica, 1, requests=options.simulated)
        figures[name] = compared(found, said)
    return figures


def compared(found: list[tuple[float, float]], said: Simulated) -> dict[str, Any]:
    """Predicted and measured percentiles, and how far the one is from the other's median."""
    row: dict[str, Any] = {"utilisation_predicted": round(said.utilisation, 3)}
    for place, percent in enumerate((50, 95)):
        spread = Spread.of([one[place] for one in found])
        predicted = Simulated.percentile(said.whole, percent)
        row[f"p{percent}_seconds"] = spread
        row[f"p{percent}_predicted"] = predicted
        row[f"p{percent}_error"] = round(predicted / spread.median - 1, 4)
    return row


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="slim", help="of an untrained network; packaged: the one that comes along")
    parser.add_argument("--cut", type=int, default=0)
    parser.add_argument("--codec", default="uint8")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--count", type=int, default=400, help="requests of each kind and round")
    parser.add_argument("--simulated", type=int, default=20_000, help="requests")
    parser.add_argument("--quick", action="store_true", help="few rounds: to see that it runs")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.count, options.simulated = 3, 100, 2_000
    with tempfile.TemporaryDirectory() as folder:
        if options.preset == "packaged":
            bundle = Bundle.open(pretrained() / "bundle")
        else:
            architecture = architecture_of(options.preset, "mem")
            net = untrained(architecture, Path(folder), 0)
            bundle = export(net, Path(folder) / "bundle", noise(architecture, 64))
        figures = measure(bundle, options)
    rows = {name: row for name, row in figures.items() if name != "service"}
    show(
        f"{options.preset}, tail behind cut {options.cut} in {options.codec}: a replica of one core",
        ("", "p50 ms, predicted", "measured", "error", "p95 ms, predicted", "measured", "error"),
        [
            (
                name.replace("_", ", "),
                *(
                    cell
                    for percent in (50, 95)
                    for cell in (
                        f"{1000 * row[f'p{percent}_predicted']:.3g}",
                        row[f"p{percent}_seconds"].show(1000),
                        f"{row[f'p{percent}_error']:+.0%}",
                    )
                ),
            )
            for name, row in rows.items()
        ],
        f"Measured: median (least to most) of {options.rounds} rounds of {options.count} requests.",
    )
    errors = [abs(row[f"p{percent}_error"]) for row in rows.values() for percent in (50, 95)]
    figures["within_15_percent"] = sum(error <= WITHIN for error in errors)
    figures["of"] = len(errors)
    figures["worst"] = max(errors)
    conditions = Conditions(**here(), batch_size=1, link="loopback, unshaped", runtime=RUNTIME, dtype="fp32")
    last_line(
        "fleet", figures, conditions,
        preset=options.preset, cut=options.cut, codec=options.codec, rounds=options.rounds, count=options.count,
        busy=list(BUSY.values()), nice=os.nice(0),
    )  # fmt: skip


if __name__ == "__main__":
    main()
