"""What a tier more costs, and whether a chain of three keeps every request in its place.

    python benchmarks/chain.py "$(offramp pretrained)/bundle" --requests 100000

1 node  a device that runs the network to its end
2 nodes device and cloud; the device hands on every sample where it is cut
3 nodes an edge between them, that hands on what it takes
4 nodes and a region behind that
call    a call of the last tier's tail by a client that waits for it, less the tail's own span

All over gRPC on loopback, one sample a call, one client, in turn. One hop is what the second node costs the first; a
tier more may add 1.15 of it. A bare call stands beside it: a node that waits for another keeps no thread, and pays for
that. Then clients ask a chain of three whose tiers each answer a third or so, batches
of 1 to 8 samples drawn anew for each request: every row is held against what the tiers' own spans give in this process.
"""

import argparse
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np

import offramp
from alternate import Spread, alternate, last_line, show
from inputs import DIGITS, pixels_of
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.codec import tail_name
from offramp.artifacts.engine import Engine
from offramp.artifacts.measurement import Conditions
from offramp.artifacts.plan import Plan
from offramp.errors import OfframpError
from offramp.exits.answers import Answers, merge
from offramp.machine import here
from offramp.nodes.edge import Edge
from offramp.nodes.edge_settings import EdgeSettings
from offramp.nodes.flight import Answered, Flight, Rows
from offramp.nodes.local_cloud import LocalCloud
from offramp.nodes.process import child_node
from offramp.nodes.settings import CloudSettings
from offramp.protocol.peer import Peer
from offramp.runtime.open import open_span
from offramp.runtime.tier_spans import tail_span

MOST = 1.15  # hops that a tier may add
TIERS = ("device", "edge", "region")
ENGINE = Engine(threads=1)
CLIENTS, LARGEST, SAMPLES = 16, 8, 512
WAIT = 60.0


def relaying(tiers: int, cut: int) -> Plan:
    """A plan by which each tier hands on every sample, at the same cut."""
    return Plan.model_validate({"tiers": {name: {"active": [], "cut": cut} for name in TIERS[:tiers]}})


def halving(bundle: Bundle, pixels: np.ndarray) -> Plan:
    """A plan of a device and an edge by which each answers a third, at exits a third and two thirds through."""
    last, tiers, rest = bundle.manifest.last, dict[str, object](), pixels
    local = [exit_ for exit_ in bundle.manifest.exits if exit_ < last]
    for name, share, exit_ in (("device", 1 / 3, local[len(local) // 3]), ("edge", 1 / 2, local[2 * len(local) // 3])):
        score = Edge(bundle, Plan.of(exit_, 1.0), LocalCloud(bundle, ENGINE), threads=1).infer(rest).score
        at = float(np.quantile(score, share))
        tiers[name] = {"active": [{"exit": exit_, "threshold": at}], "cut": exit_}
        rest = rest[score >= at]
    return Plan.model_validate({"tiers": tiers})


@contextmanager
def served(bundle: Bundle, plan: Plan, threads: int = 1) -> Iterator[tuple[str, str]]:
    """The nodes of a plan; the addresses of the first and of the last."""
    common = {"bundles": (str(bundle.path),), "threads": threads, "runtime": ENGINE.runtime, "precision": "fp32"}
    with ExitStack() as held:
        onto = last = held.enter_context(child_node(CloudSettings(**common))).address()
        for tier in reversed(plan.tiers):
            settings = EdgeSettings(**common, plan=plan, tier=tier, cloud=onto)
            onto = held.enter_context(child_node(settings)).address()
        yield onto, last


def expected(bundle: Bundle, plan: Plan, pixels: np.ndarray) -> Answers:
    """What each tier's own spans make of what the tier before hands on, in this process."""
    cloud, came, rows = LocalCloud(bundle, ENGINE), pixels, np.arange(len(pixels))
    found = list[tuple[Rows, Answers]]()
    for tier in plan.tiers:
        node = Edge(bundle, plan, cloud, threads=1, tier=tier)
        for part in node.parts(came):
            if isinstance(part, Flight):
                onward = part
            else:
                assert isinstance(part, Answered)
                assert part.answers is not None
                found.append((rows[part.rows], part.answers))
        rows, came = rows[onward.rows], onward.features
    rest = node.send(onward)().answers
    assert rest is not None
    return merge([*found, (rows, rest)], len(pixels))


def hops(bundle: Bundle, pixels: np.ndarray, cut: int, rounds: int, repeats: int) -> dict[str, list[float]]:
    """Seconds of a call by each contender, in turn."""
    one = pixels[:1]
    with ExitStack() as held:
        ways = {f"{n + 1} nodes": held.enter_context(served(bundle, relaying(n, cut))) for n in (1, 2, 3)}
        ways = {"1 node": held.enter_context(served(bundle, relaying(1, bundle.manifest.last)))} | ways
        clients = {name: held.enter_context(offramp.Client(first)) for name, (first, _) in ways.items()}
        tail = held.enter_context(Peer(ways["2 nodes"][1]))
        device = Edge(bundle, relaying(1, cut), LocalCloud(bundle, ENGINE), threads=1, tier="device")
        flight = next(iter(device.parts(one)))
        assert isinstance(flight, Flight)
        span = open_span(bundle, tail_span(bundle.manifest.last, cut, "fp32"), ENGINE)
        features = flight.features

        def asked() -> object:
            return tail.infer(tail_name(cut, "fp32"), features, timeout=WAIT, version=bundle.id)

        calls = {name: (lambda client=client: client.infer(one)) for name, client in clients.items()}
        calls |= {"tail": asked, "span": lambda: span.run(*features.values())}
        return alternate(calls, rounds=rounds, repeats=repeats, warm_up=2)


class Tally:
    """What became of the requests of all clients."""

    def __init__(self, most: int) -> None:
        self.most, self.sent, self.changing = most, 0, threading.Lock()
        self.seen = Counter[str]()
        self.errors = Counter[str]()

    def ask(self, number: int, address: str, pixels: np.ndarray, right: Answers) -> None:
        """Ask until there were enough, every other client in parts."""
        rng = np.random.default_rng(number)
        with offramp.Client(address) as client:
            while self._another():
                rows = rng.integers(0, len(pixels), rng.integers(1, LARGEST + 1))
                parts, outcome = list[tuple[Rows, Answers]](), "answered"
                try:
                    if number % 2:
                        parts = [(part.rows, part.answers) for part in client.stream(pixels[rows], timeout=WAIT)]
                    else:
                        parts = [(np.arange(len(rows)), client.infer(pixels[rows], timeout=WAIT))]
                except OfframpError as error:
                    outcome = "lost"
                    self.errors[str(error)[:160]] += 1
                self._add(outcome, rows, parts, right)

    def _another(self) -> bool:
        with self.changing:
            self.sent += 1
            return self.sent <= self.most

    def _add(self, outcome: str, rows: Rows, parts: list[tuple[Rows, Answers]], right: Answers) -> None:
        seen = Counter[str]({outcome: 1})
        came = np.concatenate([place for place, _ in parts]) if parts else np.empty(0, np.intp)
        seen["doubled"] += len(came) - len(set(came.tolist()))
        if outcome == "answered" and set(came.tolist()) != set(range(len(rows))):
            seen["incomplete"] += 1
        for place, answers in parts:
            wanted = right.rows(rows[place])
            same = np.ones(len(place), np.bool_)
            for name, array in vars(answers).items():
                other = getattr(wanted, name)
                same &= (array == other).reshape(len(place), -1).all(axis=1)
            seen["rows"] += len(place)
            seen["differ"] += int((~same).sum())
            seen["degraded"] += int(answers.degraded.sum())
        with self.changing:
            self.seen += seen


def kept(bundle: Bundle, pixels: np.ndarray, requests: int) -> dict[str, object]:
    """Ask a chain of three by sixteen clients, and count."""
    plan = halving(bundle, pixels)
    right, tally, began = expected(bundle, plan, pixels), Tally(requests), time.monotonic()
    with served(bundle, plan) as (first, _), ThreadPoolExecutor(CLIENTS) as pool:
        for done in [pool.submit(tally.ask, number, first, pixels, right) for number in range(CLIENTS)]:
            done.result()
    seconds, seen = time.monotonic() - began, tally.seen
    tiers = {name: float((right.tier == number).mean()) for number, name in enumerate(("device", "edge", "cloud"))}
    counts = {name: seen[name] for name in ("answered", "lost", "incomplete", "doubled", "differ", "degraded", "rows")}
    return counts | {"requests": requests, "per second": round(requests / seconds, 1), "share by tier": tiers,
                     "errors": dict(tally.errors)}  # fmt: skip


def main() -> None:
    """Measure, and print; the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, help="of `offramp export`")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--repeats", type=int, default=60)
    parser.add_argument("--requests", type=int, default=2_000)
    parser.add_argument("--data", default=DIGITS)
    told = parser.parse_args()
    bundle = Bundle.open(told.bundle)
    pixels = pixels_of(bundle, told.data)[:SAMPLES]
    cut = [cut.boundary for cut in bundle.manifest.cuts if cut.boundary < bundle.manifest.last][-1]
    times = hops(bundle, pixels, cut, told.rounds, told.repeats)
    hop = [two - one for one, two in zip(times["1 node"], times["2 nodes"], strict=True)]
    call = [tail - span for tail, span in zip(times["tail"], times["span"], strict=True)]
    shares = {
        f"{more} over {less}, in hops": Spread.of(
            [(b - a) / h for a, b, h in zip(times[less], times[more], hop, strict=True)]
        )
        for less, more in pairwise(("2 nodes", "3 nodes", "4 nodes"))
    }
    rows = [[name, Spread.of(values).show(1000)] for name, values in (times | {"hop": hop, "call": call}).items()]
    show("A call of one sample, handed on whole", ("", "ms"), rows)
    show("What a tier more adds", ("", "hops"), [[name, share.show()] for name, share in shares.items()])
    counted = kept(bundle, pixels, told.requests)
    show("A chain of three under load", ("", ""), [[name, str(value)] for name, value in counted.items()])
    bad = [counted[name] for name in ("lost", "incomplete", "doubled", "differ", "degraded")]
    figures = {
        "ms": {name: 1000 * Spread.of(values).median for name, values in (times | {"hop": hop, "call": call}).items()},
        "added": {name: share.median for name, share in shares.items()},
        "kept": counted,
        "passes": not any(bad) and all(share.median <= MOST for share in shares.values()),
    }
    conditions = Conditions(**here(), batch_size=1, link="loopback", runtime="onnxruntime", dtype="fp32")
    last_line("chain", figures, conditions, rounds=told.rounds, repeats=told.repeats, clients=CLIENTS, cut=cut)


if __name__ == "__main__":
    main()
