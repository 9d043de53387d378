"""A cloud that is killed, frozen and brought back under load: how long an edge needs, and what its clients get.

    python benchmarks/faults.py runs/mem/bundle --rounds 20

Everything goes on to the cloud (threshold 0), by a client that asks again as soon as it has its answer. Each round: the
cloud is killed (SIGKILL), and the time until the first degraded answer is taken; another is started, and the time
from its ready line to the first answer of its own; it is frozen (SIGSTOP), and requests with a deadline are answered
inside it or not; it goes on (SIGCONT). Bars: p99 of the first under 50 ms, all of the second under 2 s, none late.
"""

import argparse
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import offramp
from alternate import last_line
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.measurement import Conditions
from offramp.artifacts.plan import Plan
from offramp.children import Child
from offramp.errors import DeadlineError
from offramp.exits.answers import Tier
from offramp.machine import here
from offramp.nodes.edge_settings import EdgeSettings
from offramp.nodes.process import child_node
from offramp.nodes.settings import CloudSettings
from offramp.sockets import hold_port

FIRST_MS, BACK_S = 50.0, 2.0
WAIT = 60.0


class Asker:
    """One client in a closed loop; what it got last, and when."""

    def __init__(self, edge: str, image: np.ndarray, deadline: float) -> None:
        self.edge, self.image, self.deadline = edge, image, deadline
        self.kinds = {"cloud": 0.0, "degraded": 0.0}  # when the last of each came, on the monotonic clock
        self.late = self.asked = 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._ask)

    def __enter__(self) -> "Asker":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join(WAIT)

    def _ask(self) -> None:
        with offramp.Client(self.edge) as client:
            while not self.over.is_set():
                self.asked += 1
                try:
                    answers = client.infer(self.image, timeout=self.deadline)
                except DeadlineError:
                    self.late += 1
                    continue
                kind = "degraded" if answers.degraded[0] else "cloud"
                assert (answers.tier[0] == Tier.CLOUD) == (kind == "cloud")
                self.kinds[kind] = time.monotonic()

    def first(self, kind: str, since: float) -> float:
        """Seconds from a time to the first answer of a kind after it."""
        until(lambda: self.kinds[kind] > since, f"an answer of kind {kind}")
        return self.kinds[kind] - since


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for something, closely."""
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end, f"no {what} within {WAIT:g} s"
        time.sleep(0.0002)


def cloud_at(bundle: Path, port: int) -> Child:
    """A cloud there, ready."""
    node = child_node(
        CloudSettings(bundles=(str(bundle),), port=port, runtime="onnxruntime", precision="fp32", threads=1)
    )
    node.address()
    return node


def rounds_of(bundle: Path, rounds: int, deadline: float, frozen: float) -> tuple[dict[str, list[float]], Asker]:
    """Kill, bring back, freeze, let go on, so many times."""
    taken: dict[str, list[float]] = {"first_ms": [], "back_s": [], "thawed_s": []}
    manifest = Bundle.open(bundle).manifest
    image = np.random.default_rng(0).random((1, *manifest.preprocessing.shape), np.float32)
    exit_ = manifest.exits[len(manifest.exits) // 3]
    with hold_port("127.0.0.1", 0) as free:
        port = free
    cloud = cloud_at(bundle, port)
    told = EdgeSettings(
        bundles=(str(bundle),), plan=Plan.of(exit_, 0.0), cloud=f"127.0.0.1:{port}", runtime="onnxruntime",
        precision="fp32", threads=1,
    )  # fmt: skip
    with child_node(told) as edge, Asker(edge.address(), image, deadline) as asker:
        for _ in range(rounds):
            asker.first("cloud", time.monotonic())
            killed = time.monotonic()
            cloud.process.kill()
            taken["first_ms"].append(1000 * asker.first("degraded", killed))
            cloud.stop(0)
            cloud = cloud_at(bundle, port)
            taken["back_s"].append(asker.first("cloud", time.monotonic()))
            cloud.process.send_signal(signal.SIGSTOP)
            asker.first("degraded", time.monotonic())
            time.sleep(frozen)
            cloud.process.send_signal(signal.SIGCONT)
            taken["thawed_s"].append(asker.first("cloud", time.monotonic()))
    cloud.stop()
    return taken, asker


def main() -> None:
    """Run the rounds, print what they took and whether the bars are met."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--deadline", type=float, default=1.0, help="seconds of each request")
    parser.add_argument("--frozen", type=float, default=2.0, help="seconds that a frozen cloud stays so")
    options = parser.parse_args()
    taken, asker = rounds_of(options.bundle, options.rounds, options.deadline, options.frozen)
    figures: dict[str, object] = {}
    for name, values in taken.items():
        median, high, most = np.percentile(values, (50, 99, 100)).round(3).tolist()
        print(f"{name:10} median {median:g}, p99 {high:g}, most {most:g}")
        figures[name] = {"median": median, "p99": high, "most": most}
    print(f"{asker.asked} requests with a deadline of {options.deadline:g} s, {asker.late} late")
    passes = np.percentile(taken["first_ms"], 99) < FIRST_MS and max(taken["back_s"]) < BACK_S and asker.late == 0
    last_line(
        "faults",
        figures | {"asked": asker.asked, "late": asker.late, "passes": bool(passes)},
        Conditions(**here(), batch_size=1, link="loopback, unshaped", runtime="onnxruntime", dtype="fp32"),
        rounds=options.rounds,
        deadline=options.deadline,
    )


if __name__ == "__main__":
    main()
