"""An edge that follows its link, beside an oracle that knows it: real nodes on links that change as a trace says.

One cloud, two edges of the packaged network as a library, each over a link of its own with the same trace; each image
of a camera is asked of both, in turn. They choose among the same plans at the same costs: the follower on what it has
learnt of its link, the oracle on the trace. This machine's edge is made slower by a stated factor: after each span it
sleeps, so that there is something to leave to a cloud. Costs are measured here first, each plan on the same images.

    python benchmarks/follow.py --data data/cifar10               # four traces of 5 minutes
    python benchmarks/follow.py --data data/cifar10 --seconds 60  # in short

`--cost` measures what following adds to a call of one sample instead.
"""

import argparse
import random
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from alternate import Spread, alternate, last_line, ratio, show
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.choices import Choices, Priced
from offramp.artifacts.measurement import Conditions
from offramp.artifacts.plan import Plan
from offramp.artifacts.pretrained import pretrained
from offramp.data.recorded import load_as_trained
from offramp.exits.evaluation import Evaluated
from offramp.link.shaper_process import child_link
from offramp.link.trace import Trace
from offramp.machine import here
from offramp.measure.predict import of_bundle
from offramp.nodes.controller import most_switches
from offramp.nodes.edge import Edge
from offramp.nodes.flight import Flight
from offramp.nodes.follower import Follower, Ready
from offramp.nodes.process import child_node
from offramp.nodes.remote_cloud import RemoteCloud
from offramp.nodes.route import Course
from offramp.nodes.settings import CloudSettings
from offramp.nodes.upstream import Finished, at_once
from offramp.plan.envelope import envelope
from offramp.protocol.peer import Peer
from offramp.runtime.onnx_span import RUNTIME
from offramp.runtime.span import Span, SpanSpec, Tensors
from traces import SEEDS, made

PERIOD = 0.1  # seconds from one image of the camera to the next
LOST = 0.02  # of accuracy, below the last exit's, at most
READY = 15.0  # seconds until both edges have opened all plans
LEAD = 1.0  # seconds before a trace begins
TIMEOUT = 10.0
Images = np.ndarray[Any, np.dtype[np.float32]]


@dataclass
class Pace:
    """How many times slower a device is; 1 while it makes ready."""

    slower: float = 1.0


class Slowed:
    """A span of a slower device: it sleeps behind its work, by what that takes where nobody else has the machine."""

    def __init__(self, span: Span, pace: Pace) -> None:
        self.span, self.pace = span, pace
        self.least: dict[int, float] = {}  # seconds, by rows

    def run(self, *tensors: Any) -> Tensors:
        """The same outputs, later."""
        start = time.perf_counter()
        outputs = self.span.run(*tensors)
        rows = len(tensors[0])
        took = self.least[rows] = min(time.perf_counter() - start, self.least.get(rows, 1.0))
        time.sleep((self.pace.slower - 1) * took)
        return outputs


class Instant:
    """A cloud that has always just finished."""

    def __init__(self, classes: int) -> None:
        self.classes, self.asked = classes, 0

    def check(self, *_: object) -> None:
        """It is there."""

    def look(self, timeout: float) -> "Future[None]":
        """It is."""
        there: Future[None] = Future()
        there.set_result(None)
        return there

    def finish(self, flight: Flight, *_: object) -> Future[Finished]:
        """Give logits of nothing."""
        self.asked += 1
        logits = np.zeros((len(flight.rows), self.classes), np.float32)
        return at_once(lambda: Finished.by_cloud(flight, logits, 0, 3200, 200))


def slowed(edge: Edge) -> Pace:
    """Have an edge run at a pace from now on."""
    opened, pace = edge.spans.make, Pace()
    edge.spans.make = lambda spec: Slowed(opened(spec), pace)
    for cache in (edge.spans, edge.fallbacks):  # what is open already is not slow
        cache.own.clear()
        cache.others.clear()
    edge.follow(edge.plan)
    return pace


def candidates(bundle: Bundle, data: str, count: int) -> tuple[list[tuple[Plan, float, float]], float]:
    """Plans that lose little, each with its accuracy and the share that goes on, and the least accuracy."""
    manifest = bundle.manifest
    origin, shape = manifest.origin, manifest.preprocessing.shape
    splits, _ = load_as_trained(data, origin.data, origin.record, shape, seed=origin.seed, split="validation")
    rows = np.random.default_rng(0).permutation(len(splits.validation))[:count]
    predictions = of_bundle(bundle).predict(splits.validation.rows(rows), "validation")
    last, least = manifest.last, 0.0
    alone = Evaluated.of(predictions, Plan.checked(active=(), cut=last))
    least = (alone.outcome.overall or 0.0) - LOST
    found: list[tuple[Plan, float, float]] = []
    sets = [exits for size in range(3) for exits in combinations((2, 4, 6, 7), size)]
    for exits in sets:
        for cut in {last, 0, *exits[-1:]}:
            best: tuple[Plan, float, float] | None = None
            for threshold in (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4) if exits else (0.0,):
                active = [{"exit": exit_, "threshold": threshold} for exit_ in exits]
                plan = Plan.checked(active=active, cut=cut, codec="fp32")
                figures = Evaluated.of(predictions, plan)
                accuracy, onward = figures.outcome.overall or 0.0, figures.outcome.answered.get("cloud", 0) / count
                if accuracy >= least and (best is None or threshold > best[0].threshold):
                    coded = plan if cut == last else plan.but(codec="uint8")
                    best = coded, accuracy, onward
            if best is not None:
                found.append(best)
    return found, least


def priced(bundle: Bundle, data: str, images: Images, cloud: str, slower: float, count: int) -> Choices:
    """Measure what each plan costs on this machine, and keep those that are best on some link."""
    plans, least = candidates(bundle, data, count)
    whole = Plan.checked(active=(), cut=bundle.manifest.last)
    edge = Edge(bundle, whole, Instant(len(bundle.manifest.classes)), threads=1, degraded=False)
    pace = slowed(edge)
    found: list[Priced] = []
    with closing(Peer(cloud, alone=True)) as peer:
        remote = RemoteCloud(bundle, peer)
        trips = {(cut, "uint8"): _call(remote, edge, cut) for cut in {plan.cut for plan, _, _ in plans} - {edge.last}}
        empty = _usual(lambda: remote.look(TIMEOUT).result())
        for plan, accuracy, onward in plans:
            pace.slower = 1.0
            edge.follow(plan)
            pace.slower = slower
            seconds = [min(_seconds(lambda image=image: edge.infer(image)) for _ in range(3)) for image in images]
            call = trips.get((plan.cut, "uint8"))
            costs = (
                {}
                if call is None
                else {"bytes_up": call[1], "bytes_down": call[2], "cloud_ms": 1000 * (call[0] - empty)}
            )
            found.append(
                Priced(plan=plan, accuracy=accuracy, edge_ms=1000 * float(np.mean(seconds)), onward=onward, **costs)
            )
    return Choices(bundle=bundle.id, least_accuracy=least, plans=envelope(found))


def costs(options: argparse.Namespace, bundle: Bundle, images: Images, cloud: str) -> tuple[Choices, float]:
    """The plans to choose among, and what a call of no bytes takes beside the link, in milliseconds."""
    if options.choices is not None and options.choices.exists():
        choices = Choices.read(options.choices)
    else:
        choices = priced(bundle, options.data, images[:60, None], cloud, options.slower, options.predicted)
        if options.choices is not None:
            choices.write(options.choices)
    with closing(Peer(cloud, alone=True)) as peer:
        remote = RemoteCloud(bundle, peer)
        return choices, 1000 * _usual(lambda: remote.look(TIMEOUT).result())


def _call(remote: RemoteCloud, edge: Edge, cut: int) -> tuple[float, float, float]:
    """Seconds of the cloud's call for one sample on loopback, and its bytes up and down."""
    course = edge.course_of(Plan.checked(active=(), cut=cut, codec="uint8"))
    remote.check(course, TIMEOUT)
    manifest = edge.bundle.manifest
    noise = SpanSpec(cut, manifest.last, (manifest.last,), takes="uint8").noise(edge.bundle, 1)
    flight = Flight(course, np.arange(1), dict(zip(manifest.tensors(cut), noise, strict=True)), 1)
    finished = remote.finish(flight, TIMEOUT).result()
    return _usual(lambda: remote.finish(flight, TIMEOUT).result()), finished.bytes_sent, finished.bytes_received


def _usual(call: Callable[[], object], times: int = 60) -> float:
    """What a call takes where nobody else has the machine: the first quartile."""
    return float(np.percentile([_seconds(call) for _ in range(times)], 25))


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


@dataclass
class Side:
    """One of the two edges, and what it took."""

    edge: Edge
    courses: tuple[Course, ...]
    seconds: list[float] = field(default_factory=list)
    at: list[int] = field(default_factory=list)
    asked: list[float] = field(default_factory=list)  # of the monotonic clock
    degraded: int = 0

    def ask(self, image: Images) -> None:
        """One image."""
        self.at.append(self.courses.index(self.edge.course))
        self.asked.append(time.monotonic())
        start = time.perf_counter()
        self.degraded += int(self.edge.infer(image).degraded.sum())
        self.seconds.append(time.perf_counter() - start)


@contextmanager
def side(
    bundle: Bundle, plans: tuple[Priced, ...], trace: Trace, cloud: str, slower: float
) -> Iterator[tuple[Side, RemoteCloud]]:
    """An edge on a link of its own, all plans ready."""
    with child_link(trace, cloud) as via, closing(Peer(cloud, via, alone=True)) as peer:
        remote = RemoteCloud(bundle, peer)
        edge = Edge(bundle, plans[0].plan, remote, threads=1)
        pace = slowed(edge)
        ready = Ready.of(edge, plans)
        edge.hold(ready.courses)
        edge.follow(ready.courses[0])
        pace.slower = slower
        yield Side(edge, ready.courses), remote


def back(ours: Side, trace: Trace) -> list[float]:
    """Seconds from the end of each outage to the first image that the cloud was used for again."""
    ends = [trace.began + end for (_, shape), (end, _) in pairwise(trace.shapes) if shape is None]
    used = [when for when, at in zip(ours.asked, ours.at, strict=True) if at > 0]
    return [round(min((when - end for when in used if when >= end), default=-1.0), 2) for end in ends]


def best(plans: tuple[Priced, ...], trace: Trace, now: float, beside: float) -> int:
    """What who knows the trace answers by; a call of no bytes takes `beside` milliseconds more than the link."""
    shape = trace.at(now)
    if shape is None:
        return 0
    times = [plan.mean_ms(shape.up or 1e12, shape.down or 1e12, beside + 2000 * shape.delay) for plan in plans]
    return times.index(min(times))


def followed(
    bundle: Bundle,
    choices: Choices,
    name: str,
    images: Images,
    cloud: str,
    slower: float,
    beside: float,
    seconds: float,
) -> dict[str, Any]:
    """Run one trace."""
    plans, shapes = choices.plans, made(name, SEEDS[name], seconds)
    trace = Trace(time.monotonic() + READY, shapes)  # by then both are ready; its first shape is what there is before
    drawn = random.Random(SEEDS[name])
    with ExitStack() as stack:
        ours, remote = stack.enter_context(side(bundle, plans, trace, cloud, slower))
        oracle, _ = stack.enter_context(side(bundle, plans, trace, cloud, slower))
        follower = Follower(ours.edge, remote, Ready(plans, ours.courses))
        if time.monotonic() > trace.began - LEAD:
            raise SystemExit("this machine is too busy: the edges were not ready when the trace began.")
        time.sleep(trace.began - LEAD - time.monotonic())
        follower.start()
        stack.callback(follower.close)
        start, number = trace.began, 0
        while time.monotonic() < start + seconds:
            due = start + number * PERIOD
            time.sleep(max(0.0, due - time.monotonic()))
            image = images[drawn.randrange(len(images))][None]
            number = max(number + 1, int((time.monotonic() - start) / PERIOD))  # what cannot be taken up is left out
            for one in (ours, oracle) if number % 2 else (oracle, ours):
                if one is oracle:
                    at = best(plans, trace, time.monotonic(), beside)
                    oracle.edge.follow(oracle.courses[at])
                one.ask(image)
        switches = follower.switches
    mean, known = (1000 * float(np.mean(one.seconds)) for one in (ours, oracle))
    alike = float(np.mean(np.array(ours.at) == np.array(oracle.at)))
    return {
        "images": len(ours.seconds),
        "mean_ms": round(mean, 3),
        "oracle_ms": round(known, 3),
        "over_oracle": round(mean / known - 1, 4),
        "p95_ms": [round(1000 * float(np.percentile(one.seconds, 95)), 2) for one in (ours, oracle)],
        "switches": switches,
        "most_switches": most_switches(seconds),
        "oracle_switches": int((np.diff(oracle.at) != 0).sum()),
        "same_plan": round(alike, 4),
        "back_seconds": back(ours, trace),
        "degraded": [ours.degraded, oracle.degraded],
    }


def cost(bundle: Bundle, rounds: int) -> dict[str, Any]:
    """What following adds to a call of one sample: one that leaves at the edge, and one that goes on."""
    image = np.random.default_rng(0).random((1, *bundle.manifest.preprocessing.shape), np.float32)
    figures: dict[str, Any] = {}
    for name, threshold in (("leaves", 1.0), ("goes_on", 0.0)):
        plan = Plan.of(3, threshold, cut=3, codec="uint8")
        local = Priced(plan=Plan.of(3, 1.0, cut=bundle.manifest.last), accuracy=0.9, edge_ms=1e6, onward=0.0)
        other = Priced(plan=plan, accuracy=0.9, edge_ms=0.1, onward=1.0, bytes_up=3200, bytes_down=200, cloud_ms=0.01)
        plain = Edge(bundle, plan, Instant(10), threads=1)
        following = Edge(bundle, plan, Instant(10), threads=1)
        follower = Follower(following, Instant(10), Ready.of(following, (local, other)))
        follower.start()
        end = time.monotonic() + 60
        while following.plan != plan and time.monotonic() < end:
            time.sleep(0.05)
        if following.plan != plan:
            raise SystemExit("the follower did not go up to the plan that is timed.")
        calls: dict[str, Callable[[], object]] = {
            "plain": lambda edge=plain: edge.infer(image),
            "following": lambda edge=following: edge.infer(image),
        }
        if name == "goes_on":  # whose answer comes later, and is timed; one that is there at once is not
            flight = next(part for part in following.parts(image) if isinstance(part, Flight))
            done = Instant(10).finish(flight).result()
            calls |= {
                "answer": lambda done=done: _answered(Future(), done),
                "timed answer": lambda hear=follower, flight=flight, done=done: _heard(hear, flight, done),
            }
        found = alternate(calls, rounds=rounds, repeats=300)
        follower.close()
        figures[name] = {
            "microseconds": {who: Spread.of([1e6 * value for value in values]) for who, values in found.items()},
            "following_over_plain": ratio(found["following"], found["plain"]),
        }
    return figures


def _answered(answer: Future[Finished], done: Finished) -> Finished:
    answer.set_result(done)
    return answer.result()


def _heard(follower: Follower, flight: Flight, done: Finished) -> Finished:
    answer: Future[Finished] = Future()
    outer = follower.sent(flight, time.monotonic(), answer, alone=True)
    answer.set_result(done)
    return outer.result()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="a folder of CIFAR-10")
    parser.add_argument("--seconds", type=float, default=300.0, help="of each trace")
    parser.add_argument("--traces", default=",".join(SEEDS))
    parser.add_argument("--slower", type=float, default=40.0, help="times that this edge is slower than the machine")
    parser.add_argument("--predicted", type=int, default=2000, help="images on which plans are judged")
    parser.add_argument("--choices", type=Path, help="take the plans and their costs from here, or keep them here")
    parser.add_argument("--cost", action="store_true", help="what following adds to a call, and nothing else")
    parser.add_argument("--rounds", type=int, default=21, help="of --cost")
    options = parser.parse_args()
    bundle = Bundle.open(pretrained() / "bundle")
    conditions = Conditions(**here(), batch_size=1, link="as the traces say", runtime=RUNTIME, dtype="fp32")
    if options.cost:
        figures = cost(bundle, options.rounds)
        show(
            "What following adds to a call of one sample",
            ("", "microseconds", "following", "ratio"),
            [
                (
                    name,
                    *(one["microseconds"][who].show() for who in ("plain", "following")),
                    one["following_over_plain"].show(),
                )
                for name, one in figures.items()
            ],
            f"Median (least to most) of {options.rounds} rounds in turn; the cloud answers at once.",
        )
        last_line("follow-cost", figures, conditions, rounds=options.rounds)
        return
    if options.data is None:
        raise SystemExit("follow: the network was trained on CIFAR-10; say where it lies: --data FOLDER")
    origin, shape = bundle.manifest.origin, bundle.manifest.preprocessing.shape
    splits, _ = load_as_trained(options.data, origin.data, origin.record, shape, seed=origin.seed, split="test")
    chosen = np.random.default_rng(1).permutation(len(splits.test))[:200]
    images = bundle.manifest.preprocessing.from_uint8(splits.test.images[chosen])
    settings = CloudSettings(bundles=(str(bundle.path),), threads=1, runtime="onnxruntime", precision="fp32")
    with child_node(settings) as node:
        cloud = node.address()
        choices, beside = costs(options, bundle, images, cloud)
        for plan in choices.plans:
            print(plan.model_dump_json(), file=sys.stderr, flush=True)
        figures = {}
        for name in options.traces.split(","):
            figures[name] = followed(bundle, choices, name, images, cloud, options.slower, beside, options.seconds)
            print(name, figures[name], file=sys.stderr, flush=True)
    show(
        f"Following a link, {options.seconds:g} s a trace, an edge {options.slower:g} times slower than this machine",
        ("", "ms", "oracle", "over it", "switches", "oracle's", "same plan"),
        [
            (
                name, f"{one['mean_ms']:.2f}", f"{one['oracle_ms']:.2f}", f"{one['over_oracle']:+.1%}",
                f"{one['switches']} (bound {one['most_switches']})", str(one["oracle_switches"]),
                f"{one['same_plan']:.0%}",
            )
            for name, one in figures.items()
        ],
        "Mean latency of the same images asked of both in turn; each has a link of its own with the same trace.",
    )  # fmt: skip
    passes = all(one["over_oracle"] <= 0.05 for one in figures.values())
    last_line(
        "follow", figures | {"within_5_percent": passes}, conditions, seconds=options.seconds, slower=options.slower,
        seeds=SEEDS, plans=len(choices.plans), least_accuracy=choices.least_accuracy,
    )  # fmt: skip


if __name__ == "__main__":
    main()
