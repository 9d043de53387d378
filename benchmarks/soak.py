"""An edge under load whose cloud fails at random, for as many requests as are asked for: is any lost, doubled or late?

    python benchmarks/soak.py runs/mem/bundle --requests 1000000

Clients in a closed loop, each in one of three ways: whole answers, parts, and direct replies of the cloud. Meanwhile,
drawn by `--seed`: the cloud is killed and started again, frozen, stopped in good order and started again, or the link
to it drops everything. A heartbeat in this process marks the machine's own stalls over 10 ms, and requests that overlap
one are counted apart. The edge's memory, descriptors and threads are taken after a first round of faults and at the
end.
"""

import argparse
import json
import random
import signal
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import numpy as np

import offramp
from alternate import last_line, memory_kib
from faults import cloud_at
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.measurement import Conditions
from offramp.artifacts.plan import Plan
from offramp.children import Child
from offramp.errors import DeadlineError, OfframpError
from offramp.link.shaper_process import COMMAND
from offramp.machine import here
from offramp.nodes.process import child_node
from offramp.nodes.settings import EdgeSettings
from offramp.sockets import hold_port

BEAT, STALL = 0.002, 0.010  # seconds
FLAT, STALLED = 0.05, 0.02  # shares, at most
WARM = 3_000  # requests before the edge is looked at first
WAYS = ("whole", "parts", "direct")


class Heart:
    """Beats every few milliseconds; a beat that comes late marks a stall, from the one before to it."""

    def __init__(self) -> None:
        self.stalls: list[tuple[float, float]] = []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._beat, daemon=True)
        self.thread.start()

    def _beat(self) -> None:
        last = time.monotonic()
        while not self.over.wait(BEAT):
            now = time.monotonic()
            if now - last > STALL + BEAT:
                self.stalls.append((last, now))
            last = now

    def stalled(self, began: float, ended: float) -> bool:
        """Whether one overlaps that time."""
        return any(at < ended and until > began for at, until in self.stalls[-200:])


class Count:
    """What became of the requests."""

    def __init__(self, most: int) -> None:
        self.most, self.heart, self.changing = most, Heart(), threading.Lock()
        self.sent = 0
        self.seen, self.errors = Counter[str](), Counter[str]()

    def another(self) -> bool:
        """Whether to send one more."""
        with self.changing:
            if self.sent == self.most:
                return False
            self.sent += 1
            return True

    def ask(self, edge: str, cloud: str, way: str, images: np.ndarray, deadline: float) -> None:
        """Ask until there were enough."""
        with offramp.Client(edge, cloud if way == "direct" else None) as client:
            while self.another():
                began, rows, degraded, outcome = time.monotonic(), np.empty(0, np.int64), 0, "answered"
                try:
                    if way == "whole":
                        answers = client.infer(images, timeout=deadline)
                        rows, degraded = np.arange(len(answers)), int(answers.degraded.sum())
                    else:
                        parts = list(client.stream(images, timeout=deadline))
                        rows = np.concatenate([part.rows for part in parts])
                        degraded = sum(int(part.answers.degraded.sum()) for part in parts)
                except DeadlineError:
                    outcome = "late"
                except OfframpError as error:
                    outcome = "lost"
                    self.errors[str(error)[:160]] += 1
                ended = time.monotonic()
                if outcome == "answered" and len(np.unique(rows)) < len(images):
                    outcome = "lost"
                late = outcome == "late" or ended - began > deadline
                with self.changing:
                    self.seen[outcome] += 1
                    self.seen["doubled"] += len(rows) - len(np.unique(rows))
                    self.seen["degraded"] += degraded > 0
                    stalled = self.heart.stalled(began, ended)
                    self.seen["stalled"] += stalled
                    self.seen["late, no stall"] += late and not stalled
            with self.changing:
                self.seen["second"] += client.second_answers


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


def soak(options: argparse.Namespace) -> tuple[Count, dict[str, int], dict[str, int], Counter[str], float]:
    """Send all of them; give what was counted, the edge at the start and at the end, the faults, and seconds."""
    chance, faults, start = random.Random(options.seed), Counter[str](), dict[str, int]()
    manifest = Bundle.open(options.bundle).manifest
    images = np.random.default_rng(0).random((options.batch_size, *manifest.preprocessing.shape), np.float32)
    plan = Plan.of(manifest.exits[len(manifest.exits) // 3], options.threshold)
    with hold_port("127.0.0.1", 0) as free:
        port = free
    with ExitStack() as stack:
        cloud = cloud_at(options.bundle, port)
        link = stack.enter_context(Child("link", COMMAND, json.dumps(["10gbit", f"127.0.0.1:{port}"]), kept=True))
        told = EdgeSettings(
            bundles=(str(options.bundle),), plan=plan, cloud=link.address(), runtime="onnxruntime", precision="fp32",
            threads=1,
        )  # fmt: skip
        edge, count, began = stack.enter_context(child_node(told)), Count(options.requests), time.monotonic()
        threads = [
            threading.Thread(
                target=count.ask, args=(edge.address(), f"127.0.0.1:{port}", WAYS[k % 3], images, options.deadline)
            )
            for k in range(options.clients)
        ]
        for thread in threads:
            thread.start()
        shown = 0
        while any(thread.is_alive() for thread in threads):
            what, cloud = trouble(chance, cloud, link, options.bundle, port)
            faults[what] += 1
            if not start and count.sent > WARM and len(faults) == 4:
                start = weight(edge.process.pid)
            if count.sent // 10_000 > shown:
                shown = count.sent // 10_000
                edge_now = weight(edge.process.pid)
                print(f"{count.sent:,} sent, {dict(count.seen)}, {dict(faults)}, {edge_now}", flush=True)
            time.sleep(chance.uniform(0.2, 2.0))
        end = weight(edge.process.pid)
        cloud.stop()
        return count, start, end, faults, time.monotonic() - began


def main() -> None:
    """Soak, print what came of it and whether the bars are met."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--threshold", type=float, default=0.0)
    parser.add_argument("--deadline", type=float, default=1.0, help="seconds of each request")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    count, start, end, faults, seconds = soak(options)
    seen, sent = count.seen, sum(count.seen[outcome] for outcome in ("answered", "late", "lost"))
    for name in ("answered", "degraded", "lost", "doubled", "late", "late, no stall", "stalled", "second"):
        print(f"{name:15} {seen[name]:>10,}")
    grown = {name: round(end[name] / start[name] - 1, 4) for name in start}
    print(f"edge: {start} -> {end}; faults: {dict(faults)}; {sent / seconds:.0f} requests/s")
    for words, number in count.errors.most_common(5):
        print(f"  {number} x {words}")
    passes = (
        not (seen["lost"] or seen["doubled"] or seen["late, no stall"])
        and bool(grown) and max(grown.values()) <= FLAT and seen["stalled"] <= STALLED * sent
    )  # fmt: skip
    last_line(
        "soak",
        dict(seen) | {"sent": sent, "seconds": round(seconds, 1), "start": start, "end": end, "grown": grown,
                      "faults": dict(faults), "stalls": len(count.heart.stalls), "passes": passes},
        Conditions(**here(), batch_size=options.batch_size, link="loopback", runtime="onnxruntime", dtype="fp32"),
        clients=options.clients, deadline=options.deadline, seed=options.seed,
    )  # fmt: skip


if __name__ == "__main__":
    main()
