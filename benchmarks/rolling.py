"""Two edges and a cloud under load whose plans and bundles are changed: does any request fail, or get a mixture?

    python benchmarks/rolling.py "$(offramp pretrained)/bundle"

Clients of each edge ask in a closed loop. For a while both edges are given another plan every second: in turn one at
whose exit half of the images leave, and one that sends every image on. Then the whole fleet moves to a second bundle
(the same network with other weights) and back, as docs/reliability.md tells it: the cloud, one edge, the other, the
cloud again, each step once the log has said that the one before is done. Every answer is held against the library's for
the bundle that it names and each of the two plans: rows of one of them, all of the batch, or it is a mixture.
"""

import argparse
import signal
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from alternate import last_line
from faults import WAIT, until
from heart import Heart
from inputs import DIGITS, halving, pixels_of
from offramp.artifacts.bundle import Bundle, digest
from offramp.artifacts.manifest import GRAPH
from offramp.artifacts.measurement import Conditions
from offramp.artifacts.plan import Plan
from offramp.artifacts.stages import IMAGE
from offramp.children import Child
from offramp.errors import OfframpError
from offramp.exits.answers import Answers
from offramp.machine import here
from offramp.nodes.contract import CLASSIFIER, read_answers
from offramp.nodes.edge import Edge
from offramp.nodes.edge_settings import EdgeSettings
from offramp.nodes.local_cloud import LocalCloud
from offramp.nodes.process import child_node
from offramp.nodes.settings import CloudSettings
from offramp.protocol.peer import Peer
from offramp.protocol.tensors import read_outputs, write_request

ENGINE: dict[str, Any] = {"runtime": "onnxruntime", "precision": "fp32", "threads": 1}
CLOSE = 1e-4  # of probabilities: a batch of another size may differ in the last bits
BATCHES = 16


def second(bundle: Bundle, path: Path) -> Bundle:
    """The same architecture with other weights."""
    model = onnx.load_from_string(bundle.graph)
    for tensor in model.graph.initializer:
        weights = onnx.numpy_helper.to_array(tensor)
        if weights.ndim > 1 and weights.dtype == np.float32:
            tensor.CopyFrom(onnx.numpy_helper.from_array(weights * np.float32(0.9), tensor.name))
    graph = model.SerializeToString()
    manifest = bundle.manifest.model_copy(update={"files": {GRAPH: digest(graph)}})
    return Bundle.write(path, manifest, graph)


class Fleet:
    """What clients of several edges were answered by, and when. Batches are numbered; a client keeps asking."""

    def __init__(
        self, batches: list[np.ndarray], expected: Mapping[tuple[str, str], list[Answers]], clients: int
    ) -> None:
        self.batches, self.expected, self.clients = batches, expected, clients
        self.over, self.changing = threading.Event(), threading.Lock()
        self.sent, self.made, self.errors = 0, Counter[str](), Counter[str]()
        self.gap = 0.0  # seconds between two answers of any one client, at most
        self.recent: dict[str, deque[tuple[float, str]]] = {}  # by edge: when a request began, and what answered it
        self.heart = Heart()

    @contextmanager
    def asking(self, edges: list[str]) -> Iterator[None]:
        """Have every edge asked meanwhile."""
        self.recent = {edge: deque(maxlen=64) for edge in edges}
        threads = [threading.Thread(target=self._ask, args=(edge, k)) for edge in edges for k in range(self.clients)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.over.set()
            for thread in threads:
                thread.join(WAIT)
            self.heart.stop()

    def _ask(self, edge: str, number: int) -> None:
        with Peer(edge, alone=True) as client:
            last: float | None = None  # answer
            while not self.over.is_set():
                number = (number + 1) % len(self.batches)
                began, made = time.monotonic(), "failed"
                try:
                    made = self._by(number, client)
                except OfframpError as error:
                    with self.changing:
                        self.errors[str(error)[:160]] += 1
                now = time.monotonic()
                with self.changing:
                    self.sent += 1
                    self.made[made] += 1
                    if last is not None and not self.heart.stalled(last, now):
                        self.gap = max(self.gap, now - last)
                    self.recent[edge].append((began, made))
                last = now

    def _by(self, number: int, client: Peer) -> str:
        """Ask, and say by which bundle and plan the whole answer was made."""
        response = client.stub.ModelInfer(write_request(CLASSIFIER, "", {IMAGE: self.batches[number]}), timeout=WAIT)
        answers = read_answers(read_outputs(response))
        for (bundle, plan), expected in self.expected.items():
            if bundle == response.model_version and _same(answers, expected[number]):
                return f"{bundle[:8]} {plan}"
        return f"a mixture: {response.model_version[:8]}"

    def settled(self, edge: str) -> set[str]:
        """By what requests to an edge that begin from now on are answered."""
        start = time.monotonic()

        def later() -> list[str]:
            with self.changing:
                return [made for began, made in self.recent[edge] if began > start]

        until(lambda: len(later()) >= 2 * self.clients, "answers")
        return set(later())


def _same(answers: Answers, expected: Answers) -> bool:
    """Whether every row was made as expected, and is what it was expected to be."""
    return (
        np.array_equal(answers.exit, expected.exit)
        and np.array_equal(answers.tier, expected.tier)
        and not answers.degraded.any()
        and np.abs(answers.probabilities - expected.probabilities).max() < CLOSE
    )


def point(link: Path, to: Path) -> None:
    """Make a folder another in one step, as `ln -s` and `mv -T` do."""
    beside = link.with_name("beside")
    beside.symlink_to(to.resolve())
    beside.rename(link)


def reload(node: Child, words: str) -> None:
    """Send SIGHUP, and wait for a line with these words that the node says then."""
    before = _said(node, words)
    node.process.send_signal(signal.SIGHUP)
    until(lambda: _said(node, words) > before, f"line {words!r}: {''.join(list(node.output)[-3:])}")


def _said(node: Child, words: str) -> int:
    return sum(words in line for line in list(node.output))


def moved(folders: list[Path], nodes: list[Child], to: Bundle, of: Bundle, fleet: Fleet) -> None:
    """Move a cloud and its edges from one bundle to another."""
    opened = f"opened bundle {to.id}; until the next reload bundle {of.id}"
    for folder, node in zip(folders, nodes, strict=True):
        point(folder, to.path)
        reload(node, opened)
        if node is not nodes[0]:
            made = fleet.settled(node.address())
            assert all(name.startswith(to.id[:8]) for name in made), f"{made}: not of the bundle that was opened"
    for node in nodes:
        reload(node, f"let go bundle {of.id}")


def apart(
    bundles: tuple[Bundle, ...], plans: dict[str, Plan], pixels: np.ndarray, size: int
) -> tuple[list[np.ndarray], dict[tuple[str, str], list[Answers]]]:
    """Batches that each bundle answers otherwise by each plan, and those answers."""
    edges = {(one.id, name): Edge(one, plan, LocalCloud(one)) for one in bundles for name, plan in plans.items()}
    batches: list[np.ndarray] = []
    expected: dict[tuple[str, str], list[Answers]] = {key: [] for key in edges}
    for start in range(0, len(pixels) - size + 1, size):
        answers = {key: edge.infer(pixels[start : start + size]) for key, edge in edges.items()}
        if len(batches) < BATCHES and not any(_same(*pair) for pair in combinations(answers.values(), 2)):
            batches.append(pixels[start : start + size])
            for key, found in answers.items():
                expected[key].append(found)
    assert batches, "every batch is answered alike by two of these. Send larger ones."
    return batches, expected


def rolled(options: argparse.Namespace, made_at: Path) -> tuple[Fleet, dict[str, Any]]:
    """Change plans for a while, then bundles there and back."""
    bundle = Bundle.open(options.bundle)
    other, exits = second(bundle, made_at / "other"), bundle.manifest.exits
    exit_ = exits[len(exits) // 3]
    pixels = pixels_of(bundle, options.data)
    threshold = halving(bundle, exit_, pixels)
    plans = {"half": Plan.of(exit_, threshold), "all": Plan.checked(active=(), cut=0, codec="uint8")}
    batches, expected = apart((bundle, other), plans, pixels, options.batch_size)
    folders, file = [made_at / name for name in ("cloud", "first", "second")], made_at / "plan.json"
    for folder in folders:
        point(folder, bundle.path)
    plans["half"].write(file)
    fleet = Fleet(batches, expected, options.clients)
    with ExitStack() as stack:
        nodes = [stack.enter_context(child_node(CloudSettings(bundles=(str(folders[0]),), **ENGINE)))]
        at = nodes[0].address()
        for folder in folders[1:]:
            told = EdgeSettings(bundles=(str(folder),), plan=plans["half"], plan_file=str(file), cloud=at, **ENGINE)
            nodes.append(stack.enter_context(child_node(told)))
        with fleet.asking([node.address() for node in nodes[1:]]):
            taken: dict[str, Any] = {"reloads": 0}
            end = time.monotonic() + options.seconds
            while time.monotonic() < end:
                name = ("all", "half")[taken["reloads"] % 2]
                next_ = time.monotonic() + 1
                plans[name].write(file)
                for node in nodes[1:]:
                    reload(node, "follows the plan")
                    made = fleet.settled(node.address())
                    assert made == {f"{bundle.id[:8]} {name}"}, f"{made}: not by the plan {name}"
                taken["reloads"] += 1
                time.sleep(max(0, next_ - time.monotonic()))
            for to, of in ((other, bundle), (bundle, other)):
                began = time.monotonic()
                moved(folders, nodes, to, of, fleet)
                taken[f"to {to.id[:8]}"] = round(time.monotonic() - began, 2)
    return fleet, taken


def main() -> None:
    """Roll, print what came of it and whether the bars are met."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--data", default=DIGITS, help="whose test images are sent")
    parser.add_argument("--seconds", type=float, default=30.0, help="of changing plans")
    parser.add_argument("--clients", type=int, default=3, help="of each edge")
    parser.add_argument("--batch-size", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made_at:
        fleet, taken = rolled(options, Path(made_at))
    failed, by = fleet.made["failed"], [name.split() for name in fleet.made]
    mixed = sum(count for name, count in fleet.made.items() if name.startswith("a mixture"))
    print(f"sent {fleet.sent}, failed {failed}, mixed {mixed}; {dict(fleet.made)}")
    print(f"{taken}; longest without an answer, of any client: {1000 * fleet.gap:.0f} ms, the machine's stalls apart")
    for words, count in fleet.errors.most_common(5):
        print(f"  {count} x {words}")
    last_line(
        "rolling",
        {
            "sent": fleet.sent, "failed": failed, "mixed": mixed, "made": dict(fleet.made), **taken,
            "gap_ms": round(1000 * fleet.gap, 1), "stalls": len(fleet.heart.stalls),
            "passes": not failed and not mixed and all(len(set(kind)) == 2 for kind in zip(*by, strict=True)),
        },
        Conditions(**here(), batch_size=options.batch_size, link="loopback", runtime="onnxruntime", dtype="fp32"),
        seconds=options.seconds, clients=options.clients,
    )  # fmt: skip


if __name__ == "__main__":
    main()
