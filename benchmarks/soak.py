"""An edge under load whose cloud fails at random, for as many requests as are asked for: is any lost, doubled or late?

    python benchmarks/soak.py "$(offramp pretrained)/bundle" --requests 1000000

Clients in a closed loop, in processes of their own, each in one of three ways: whole answers, parts, and direct replies
of the cloud. They send real images, at a threshold at which half of them leave at the edge. Meanwhile, drawn by
`--seed`: the cloud is killed and started again, frozen, stopped in good order and started again, or the link to it
drops everything. A heartbeat in each process of clients marks the machine's own stalls over 10 ms, and requests that
overlap one are counted apart. The edge's memory, descriptors and threads are taken after a first round of faults and at
the end.
"""

import argparse
import json
import random
import signal
import threading
import time
from collections import Counter
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

import offramp
from alternate import last_line, memory_kib
from faults import cloud_at
from heart import Heart
from inputs import DIGITS, halving, pixels_of
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.measurement import Conditions
from offramp.artifacts.plan import Plan
from offramp.children import Child
from offramp.errors import DeadlineError, OfframpError
from offramp.exits.answers import Answers, Tier
from offramp.link.shaper_process import COMMAND
from offramp.machine import here
from offramp.nodes.edge_settings import EdgeSettings
from offramp.nodes.process import child_node
from offramp.sockets import hold_port

FLAT, STALLED = 0.05, 0.02  # shares, at most
WARM, SHARE = 3_000, 0.05  # requests, and the share of them, before the edge is looked at first
WAYS = ("whole", "parts", "direct")
PROCESSES = 2  # of clients: one reads no faster than its interpreter
TURN = 500  # requests that a process sends between two words of how many it has


@dataclass(frozen=True)
class Order:
    """What a process of clients is to do."""

    edge: str
    cloud: str
    clients: int
    requests: int
    first: int  # of its clients' numbers
    pixels: np.ndarray
    batch_size: int
    deadline: float


class Count:
    """What became of the requests of a process."""

    def __init__(self, most: int, tell: Any) -> None:
        self.most, self.tell, self.heart, self.changing = most, tell, Heart(), threading.Lock()
        self.sent = 0
        self.seen, self.errors = Counter[str](), Counter[str]()

    def another(self) -> int | None:
        """The number of one more request to send; None where there were enough."""
        with self.changing:
            if self.sent == self.most:
                return None
            self.sent += 1
            if self.sent % TURN == 0:
                with self.tell.get_lock():
                    self.tell.value += TURN
            return self.sent

    def ask(self, order: Order, number: int) -> None:
        """Ask until there were enough."""
        way, rng, size = WAYS[number % len(WAYS)], np.random.default_rng(number), order.batch_size
        with offramp.Client(order.edge, order.cloud if way == "direct" else None) as client:
            while self.another() is not None:
                batch = order.pixels[rng.integers(0, len(order.pixels), size)]
                began, parts, outcome = time.monotonic(), [], "answered"
                try:
                    parts = _parts(client, way, batch, order.deadline)
                except DeadlineError:
                    outcome = "late"
                except OfframpError as error:
                    outcome = "lost"
                    self.errors[str(error)[:160]] += 1
                self._add(outcome, way, parts, size, began, order.deadline)
            with self.changing:
                self.seen["second"] += client.second_answers

    def _add(
        self, outcome: str, way: str, parts: list[tuple[list[int], Answers]], size: int, began: float, deadline: float
    ) -> None:
        ended = time.monotonic()
        rows = [row for rows, _ in parts for row in rows]
        if outcome == "answered" and set(rows) != set(range(size)):
            outcome = "lost"
        late = outcome == "late" or ended - began > deadline
        stalled = self.heart.stalled(began, ended)
        with self.changing:
            self.seen[outcome] += 1
            self.seen["doubled"] += len(rows) - len(set(rows))
            self.seen["degraded"] += any(answers.degraded.any() for _, answers in parts)
            self.seen["rows by the cloud"] += sum(int((answers.tier == Tier.CLOUD).sum()) for _, answers in parts)
            self.seen["rows degraded"] += sum(int(answers.degraded.sum()) for _, answers in parts)
            self.seen["rows"] += len(rows)
            self.seen["stalled"] += stalled
            self.seen["late, no stall"] += late and not stalled
            if late and not stalled:
                came = sorted(len(rows) for rows, _ in parts)
                self.errors[f"{way}: {outcome} after {ended - began:.3f} s, parts of {came} of {size}"] += 1


def _parts(client: offramp.Client, way: str, batch: np.ndarray, deadline: float) -> list[tuple[list[int], Answers]]:
    """Ask in one of the ways; rows and answers of each part."""
    if way == "whole":
        answers = client.infer(batch, timeout=deadline)
        return [(list(range(len(answers))), answers)]
    return [(part.rows.tolist(), part.answers) for part in client.stream(batch, timeout=deadline)]


def _shared(value: Any) -> None:
    """What a process of clients is started with: where it says how many it has sent."""
    global sent_by_all  # noqa: PLW0603  # a shared value reaches a process only as it starts
    sent_by_all = value


def _clients(order: Order) -> tuple[Counter[str], Counter[str], int, float]:
    """Be a process of clients; what was counted, the errors, the machine's stalls, and the cores that it used."""
    count, used, began = Count(order.requests, sent_by_all), time.process_time(), time.monotonic()
    numbers = range(order.first, order.first + order.clients)
    with ThreadPoolExecutor(order.clients) as threads:
        asking = [threads.submit(count.ask, order, number) for number in numbers]
    count.heart.stop()
    for one in asking:
        one.result()  # a defect of the client's ends the soak
    cores = (time.process_time() - used) / (time.monotonic() - began)
    return count.seen, count.errors, len(count.heart.stalls), cores


def weight(pid: int) -> dict[str, int]:
    """A process's memory in KiB, its descriptors and threads."""
    return {
        "memory_kib": memory_kib(pid),
        "descriptors": len(list(Path(f"/proc/{pid}/fd").iterdir())),
        "threads": len(list(Path(f"/proc/{pid}/task").iterdir())),
    }


def trouble(chance: random.Random, cloud: Child, link: Child, bundle: Path, port: int) -> tuple[str, Child]:
    """Let something happen, and mend it; give what, and the cloud that is there now."""
    what, lasts = chance.choice(("kill", "freeze", "partition", "restart")), chance.uniform(0.05, 2.0)
    if what in ("kill", "restart"):
        if what == "kill":
            cloud.process.kill()
        cloud.stop()
        time.sleep(lasts)
        return what, cloud_at(bundle, port)
    stopped = cloud if what == "freeze" else link
    stopped.process.send_signal(signal.SIGSTOP)
    time.sleep(lasts)
    stopped.process.send_signal(signal.SIGCONT)
    return what, cloud


@dataclass
class Soaked:
    """What a soak came to."""

    start: dict[str, int]
    end: dict[str, int]
    faults: Counter[str]
    seconds: float
    threshold: float
    seen: Counter[str]
    errors: Counter[str]
    stalls: int
    cores: list[float]  # that each process of clients used


def soak(options: argparse.Namespace) -> Soaked:
    """Send all of them."""
    chance, faults, start = random.Random(options.seed), Counter[str](), dict[str, int]()
    bundle = Bundle.open(options.bundle)
    pixels, exit_ = pixels_of(bundle, options.data), bundle.manifest.exits[len(bundle.manifest.exits) // 3]
    threshold = halving(bundle, exit_, pixels) if options.threshold is None else options.threshold
    with hold_port("127.0.0.1", 0) as free:
        port = free
    context = get_context("spawn")
    sent = context.Value("q", 0)
    with ExitStack() as stack:
        cloud = cloud_at(options.bundle, port)
        link = stack.enter_context(Child("link", COMMAND, json.dumps(["10gbit", f"127.0.0.1:{port}"]), kept=True))
        told = EdgeSettings(
            bundles=(str(options.bundle),), plan=Plan.of(exit_, threshold), cloud=link.address(),
            runtime="onnxruntime", precision="fp32", threads=1,
        )  # fmt: skip
        edge = stack.enter_context(child_node(told))
        pool = stack.enter_context(ProcessPoolExecutor(PROCESSES, context, _shared, (sent,)))
        began, each = time.monotonic(), options.clients // PROCESSES
        running: list[Future[Any]] = [
            pool.submit(
                _clients,
                Order(
                    edge.address(), f"127.0.0.1:{port}", each, options.requests // PROCESSES, k * each, pixels,
                    options.batch_size, options.deadline,
                ),
            )
            for k in range(PROCESSES)
        ]  # fmt: skip
        shown = 0
        while not all(one.done() for one in running):
            what, cloud = trouble(chance, cloud, link, options.bundle, port)
            faults[what] += 1
            if not start and sent.value > max(WARM, SHARE * options.requests) and len(faults) == 4:
                start = weight(edge.process.pid)
            if sent.value // 10_000 > shown:
                shown = sent.value // 10_000
                print(f"{sent.value:,} sent, {dict(faults)}, {weight(edge.process.pid)}", flush=True)
            time.sleep(chance.uniform(0.2, options.pause))
        seconds, end = time.monotonic() - began, weight(edge.process.pid)
        cloud.stop()
        seen, errors, stalls, cores = zip(*(one.result() for one in running), strict=True)
        counts = sum(seen, Counter[str]()), sum(errors, Counter[str]())
        return Soaked(start, end, faults, seconds, threshold, *counts, sum(stalls), [round(one, 2) for one in cores])


def main() -> None:
    """Soak, print what came of it and whether the bars are met."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--data", default=DIGITS, help="whose test images are sent")
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=6, help="in two processes")
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--threshold", type=float, help="default: half of the images leave at the edge")
    parser.add_argument("--deadline", type=float, default=1.0, help="seconds of each request")
    parser.add_argument("--pause", type=float, default=5.0, help="seconds between two faults, at most")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    came = soak(options)
    seen, sent = came.seen, sum(came.seen[outcome] for outcome in ("answered", "late", "lost"))
    for name in ("answered", "degraded", "lost", "doubled", "late", "late, no stall", "stalled", "second"):
        print(f"{name:15} {seen[name]:>10,}")
    rows = max(1, seen["rows"])
    forwarded = {
        "by the cloud": round(seen["rows by the cloud"] / rows, 3),
        "in its place": round(seen["rows degraded"] / rows, 3),
    }
    grown = {name: round(came.end[name] / came.start[name] - 1, 4) for name in came.start}
    print(f"of the images answered: {forwarded}, the rest at the edge's exit (T = {came.threshold:g})")
    print(f"edge: {came.start} -> {came.end}; faults: {dict(came.faults)}; {sent / came.seconds:.0f} requests/s")
    print(f"cores that the clients' processes used: {came.cores}")
    for words, number in came.errors.most_common(5):
        print(f"  {number} x {words}")
    passes = (
        not (seen["lost"] or seen["doubled"] or seen["late, no stall"])
        and bool(grown) and max(grown.values()) <= FLAT and seen["stalled"] <= STALLED * sent
    )  # fmt: skip
    last_line(
        "soak",
        dict(seen) | {"sent": sent, "seconds": round(came.seconds, 1), "forwarded": forwarded, "start": came.start,
                      "end": came.end, "grown": grown, "faults": dict(came.faults), "stalls": came.stalls,
                      "passes": passes},
        Conditions(**here(), batch_size=options.batch_size, link="loopback", runtime="onnxruntime", dtype="fp32"),
        clients=options.clients, deadline=options.deadline, pause=options.pause, seed=options.seed,
        threshold=came.threshold,
    )  # fmt: skip


if __name__ == "__main__":
    main()
