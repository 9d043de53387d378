"""A node that is asked for more than it can do: what it answers, how soon it refuses the rest, what it takes.

    python benchmarks/overload.py "$(offramp pretrained)/bundle"

Three targets, each over gRPC and HTTP: a cloud, an edge that answers everything itself, an edge in front of a cloud at
a threshold at which half of the images go on. Each is asked in closed loops first: the most that it answers a second is
its best. Then requests arrive at random (a Poisson process) at 1, 2 and 5 times that rate, each with a deadline, and
count from when they were due. Meanwhile a process that does nothing else asks ten times a second whether the node is
live and ready. Nodes have the first half of the cores, drivers the other. Requests that overlap a stall of the machine
(more than 10 ms, by a heartbeat in the drivers) are counted apart.

Bars, at 5 times: answered a second within 10 % of the best; none late; 99 % of the refusals within 50 ms; every
question for the node's health answered; the node's memory no more than 256 MiB above what it was.
"""

import argparse
import http.client
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from alternate import last_line, show
from asks import ANSWERED, DEGRADED, FAILED, LATE, MARK, REFUSED, Question
from driver import Drivers, Order, Seen
from inputs import DIGITS, halving, pixels_of
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.codec import encode_image, tail_name
from offramp.artifacts.measurement import Conditions
from offramp.artifacts.plan import Plan
from offramp.artifacts.stages import IMAGE, logits_name
from offramp.children import Child
from offramp.machine import here
from offramp.nodes.edge_settings import EdgeSettings
from offramp.nodes.features import boundary_specs
from offramp.nodes.process import child_node
from offramp.nodes.settings import CloudSettings

TARGETS = ("cloud", "edge", "edge and cloud")
CLIENTS = (2, 4, 32)  # of the closed loops that look for the best
TIMES = (1, 2, 5)
NEAR, SOON_MS, GROWTH_KIB = 0.9, 50.0, 256 * 1024
EVERY = 0.1  # seconds between questions for health
PATIENCE = 10.0
QUESTIONS = 64


class Health:
    """Asks a node how it is, ten times a second in each way, while a context lasts."""

    def __init__(self, address: str, http_address: str) -> None:
        self.ms: list[float] = []
        self.failed, self.over = Counter[str](), threading.Event()
        host, _, port = http_address.rpartition(":")
        self.http = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
        self.channel = grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)])
        stub, health = service_pb2_grpc.GRPCInferenceServiceStub(self.channel), health_pb2_grpc.HealthStub(self.channel)
        ways: dict[str, tuple[Callable[[], object], ...]] = {
            "HTTP": (lambda: self._get("live"), lambda: self._get("ready")),
            "gRPC": (
                lambda: stub.ServerLive(pb.ServerLiveRequest(), timeout=PATIENCE),
                lambda: stub.ServerReady(pb.ServerReadyRequest(), timeout=PATIENCE),
                lambda: health.Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE),
            ),
        }
        self.threads = [threading.Thread(target=self._ask, args=way) for way in ways.items()]

    def _get(self, what: str) -> None:
        self.http.request("GET", f"/v2/health/{what}")
        answer = self.http.getresponse()
        if answer.read() and answer.status != http.client.OK:
            raise OSError(f"{what}: {answer.status}")

    def _ask(self, way: str, calls: tuple[Callable[[], object], ...]) -> None:
        while not self.over.wait(EVERY):
            for call in calls:
                began = time.perf_counter()
                try:
                    call()
                except (OSError, http.client.HTTPException, grpc.RpcError) as error:
                    self.failed[f"{way}: {error!r}"[:160]] += 1
                    self.http.close()
                else:
                    self.ms.append(1000 * (time.perf_counter() - began))

    def __enter__(self) -> "Health":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()
        self.channel.close()
        self.http.close()


@contextmanager
def on_cores(cores: set[int]) -> Iterator[None]:
    """Start what is started meanwhile on these."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def nodes_of(target: str, options: argparse.Namespace, threshold: float, stack: ExitStack) -> Child:
    """Start a target's nodes, and give the one that is asked."""
    told: dict[str, Any] = {
        "bundles": (str(options.bundle),), "runtime": "onnxruntime", "precision": "fp32", "threads": options.threads,
    }  # fmt: skip
    exits = Bundle.open(options.bundle).manifest.exits
    asked = {"http_port": 0}
    cloud, plan = None, Plan.of(exits[-1], 0.0)
    if target != "edge":
        node = stack.enter_context(child_node(CloudSettings(**told, **asked)))
        if target == "cloud":
            return node
        cloud, plan = node.address(), Plan.of(exits[len(exits) // 3], threshold)
    return stack.enter_context(child_node(EdgeSettings(**told, **asked, plan=plan, cloud=cloud)))


def questions_of(target: str, bundle: Bundle, pixels: np.ndarray, size: int) -> tuple[Question, ...]:
    """Batches of images, as the node that is asked takes them: an edge in 8 bits, a cloud at its first cut."""
    manifest, model, name, outputs = bundle.manifest, "classifier", IMAGE, ("label", MARK)
    if target == "cloud":
        model, (spec,) = tail_name(0, "uint8"), boundary_specs(bundle.manifest, 0, "uint8")
        name, outputs = spec.name, (logits_name(manifest.last),)
        pixels = encode_image(manifest.preprocessing.from_uint8(pixels), "uint8")
    rng = np.random.default_rng(0)
    return tuple(Question(model, name, pixels[rng.integers(0, len(pixels), size)], outputs) for _ in range(QUESTIONS))


def peak_kib(pid: int) -> int:
    """The most memory that a process has held since the last time it was asked."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def used_s(pid: int) -> float:
    """Seconds of a core that a process has used, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def figures(seen: Seen, deadline: float) -> dict[str, Any]:
    """What a load came to."""
    took, counts = seen.end - seen.start, Counter(seen.word.tolist())
    good = np.isin(seen.word, (ANSWERED, DEGRADED)) & (took <= deadline)
    late = (seen.word == LATE) | (np.isin(seen.word, (ANSWERED, DEGRADED)) & (took > deadline))
    refusals, answers = 1000 * took[seen.word == REFUSED], 1000 * took[good]

    def ms(values: np.ndarray) -> list[float] | None:
        return np.percentile(values, (50, 99)).round(1).tolist() if len(values) else None

    return {
        "sent": len(took), "seconds": round(seen.seconds, 1), "rate": round(len(took) / float(np.ptp(seen.start)), 1),
        "answered_s": round(int(good.sum()) / seen.seconds, 1), "degraded": counts[DEGRADED],
        "refused": counts[REFUSED], "failed": counts[FAILED], "late": int((late & ~seen.stalled).sum()),
        "late_stalled": int((late & seen.stalled).sum()), "stalled": int(seen.stalled.sum()),
        "answer_ms": ms(answers), "refusal_ms": ms(refusals),
        "refusal_ms_unstalled": ms(1000 * took[(seen.word == REFUSED) & ~seen.stalled]),
        "driver_cores": round(seen.cores, 2),
        "driver_late_ms": round(1000 * float(np.percentile(seen.sent - seen.start, 99)), 1),
    }  # fmt: skip


def measured(
    target: str, http_: bool, options: argparse.Namespace, bundle: Bundle, pixels: np.ndarray
) -> dict[str, Any]:
    """Find a target's best, and go past it."""
    cores = sorted(os.sched_getaffinity(0))
    half = max(1, len(cores) // 2)
    others = set(cores[half:] or cores)
    with ExitStack() as stack:
        stack.enter_context(on_cores(others))  # who asks for health as well
        with on_cores(set(cores[:half])):
            node = nodes_of(target, options, options.threshold, stack)
            address = node.http_address() if http_ else node.address()
        drivers = stack.enter_context(Drivers(options.drivers, others))
        questions = questions_of(target, bundle, pixels, options.batch_size)
        order = Order(address, http_, questions, options.deadline, options.seconds)
        found: dict[str, Any] = {}
        pid = node.process.pid

        def sent(order: Order) -> dict[str, Any]:
            before = used_s(pid)
            seen = drivers.send(order)
            return figures(seen, order.deadline) | {"node_cores": round((used_s(pid) - before) / seen.seconds, 2)}

        for clients in CLIENTS:
            closed = replace(order, deadline=PATIENCE, seconds=options.seconds / 2, clients=clients)
            found[f"{clients} clients"] = sent(closed)
        best = max(one["answered_s"] for one in found.values())
        before = max(peak_kib(pid), peak_kib(pid))
        for times in TIMES:
            with Health(node.address(), node.http_address()) as health:
                one = sent(replace(order, rate=times * best, seed=times))
            found[f"{times} x"] = one | {
                "memory_kib": [before, peak_kib(pid)],
                "health": len(health.ms), "health_failed": dict(health.failed),
                "health_p99_ms": round(float(np.percentile(health.ms, 99)), 1) if health.ms else None,
            }  # fmt: skip
    return {"best": best, **found, "missed": missed(found["5 x"], best)}


def missed(most: dict[str, Any], best: float) -> list[str]:
    """The bars that are not met at five times the best."""
    before, peak = most["memory_kib"]
    refusal = most["refusal_ms_unstalled"] or most["refusal_ms"]
    bars = {
        "answered": most["answered_s"] >= NEAR * best,
        "late": not most["late"] and not most["failed"],
        "refused": bool(refusal) and refusal[1] <= SOON_MS,
        "health": most["health"] > 0 and not most["health_failed"],
        "memory": peak <= before + GROWTH_KIB,
    }
    return [name for name, met in bars.items() if not met]


def table(name: str, found: dict[str, Any]) -> None:
    """Show what a target did."""
    keys = (
        "rate", "answered_s", "degraded", "refused", "failed", "late", "late_stalled", "answer_ms", "refusal_ms",
        "refusal_ms_unstalled", "node_cores", "driver_cores", "driver_late_ms", "memory_kib", "health", "health_p99_ms",
    )  # fmt: skip
    loads = [load for load in found if isinstance(found[load], dict)]
    rows = [[key, *(str(found[load].get(key, "")) for load in loads)] for key in keys]
    show(name, ["", *loads], rows, f"best {found['best']:g} answered/s; missed: {', '.join(found['missed']) or 'none'}")


def main() -> None:
    """Measure every target in each way, print what came of it and whether the bars are met."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--data", default=DIGITS, help="whose test images are sent")
    parser.add_argument("--targets", default=",".join(TARGETS))
    parser.add_argument("--ways", default="grpc,http")
    parser.add_argument("--batch-size", type=int, default=64, help="images of a request")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each load")
    parser.add_argument("--deadline", type=float, default=1.0, help="seconds of each request")
    parser.add_argument("--drivers", type=int, default=1, help="processes that send")
    parser.add_argument("--threads", type=int, default=1, help="of each node's runtime")
    options = parser.parse_args()
    bundle = Bundle.open(options.bundle)
    pixels, exits = pixels_of(bundle, options.data), bundle.manifest.exits
    options.threshold = halving(bundle, exits[len(exits) // 3], pixels)
    found = {}
    for target in options.targets.split(","):
        for way in options.ways.split(","):
            name = f"{target}, {way}"
            found[name] = measured(target, way == "http", options, bundle, pixels)
            table(name, found[name])
    passes = not any(one["missed"] for one in found.values())
    last_line(
        "overload",
        found | {"passes": passes},
        Conditions(
            **here(), batch_size=options.batch_size, link="loopback", runtime="onnxruntime", dtype="fp32",
        ),
        seconds=options.seconds, deadline=options.deadline, drivers=options.drivers, threads=options.threads,
        threshold=options.threshold,
    )  # fmt: skip


if __name__ == "__main__":
    main()
