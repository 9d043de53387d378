"""Profile a device: time a bundle's spans, and whole requests to an edge and a cloud that are started here for it.

Gives a `Profile`. All of it is timed in turn, one block of each a round; what varies too much is not given.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.plan import Plan
from offramp.artifacts.profile import AnswerTime, CrossingTime, NodeWork, Profile, SpanTime, Spread
from offramp.bench.cores import LEAST, limited
from offramp.bench.http_call import HttpCall
from offramp.bench.timed import (
    MANY,
    TIMEOUT,
    Answer,
    Crossing,
    Length,
    SpanRun,
    Stacked,
    Timed,
    Work,
    request_blocks,
    work_blocks,
)
from offramp.errors import InputError
from offramp.machine import cores_to_use, here, work_of
from offramp.measure.rounds import BOUND, Block, block, settle
from offramp.measure.spans import Runner, neighbours, runner, spans_of
from offramp.nodes.contract import CLASSIFIER
from offramp.nodes.edge import Edge
from offramp.nodes.edge_settings import EdgeSettings
from offramp.nodes.process import child_node
from offramp.nodes.settings import CloudSettings
from offramp.progress import Watch, unwatched
from offramp.protocol.peer import Peer
from offramp.runtime.choice import AUTO, Choice, choose
from offramp.runtime.span import SpanSpec

ROUNDS = 20
BATCHES = (1, 8, 32)
# Blocks of an edge that is held to a share of a core are of several of its periods, and begin when what was left over
# of the last one is used.
FREE = Length(0.004, 0.0, 8)
HELD = Length(0.06, 0.02, 8)


@dataclass(frozen=True)
class Wanted:
    """What a device is profiled with."""

    runtime: str = AUTO
    precision: str = AUTO
    threads: int = 0
    share: float | None = None  # of one core that the edge is held to
    rounds: int = ROUNDS
    batches: tuple[int, ...] = BATCHES
    bound: float = BOUND
    requests: int | None = None  # of a block of whole requests

    def __post_init__(self) -> None:
        if self.share is not None and not LEAST <= self.share <= 1:
            raise InputError(f"cores {self.share:g}: expected a share of one core, {LEAST:g} to 1.")
        if min(self.batches) < 1:
            raise InputError(f"batch {min(self.batches)}: expected at least 1 sample.")
        if not self.bound > 0:
            raise InputError(f"bound {self.bound:g}: expected a share of the median above 0.")

    @property
    def length(self) -> Length:
        """Of a block."""
        length = FREE if self.share in (None, 1) else HELD
        return length if self.requests is None else length._replace(requests=self.requests)


def profile_device(bundle: Bundle, wanted: Wanted, watch: Watch = unwatched) -> Profile:
    """Measure what a bundle's parts take here, on this device, and what nodes add around them.

    Raises UnsteadyError, naming the worst, where something varies too much; InputError and MissingExtraError for an
    engine that is not there.
    """
    asked = 1 if wanted.share is not None else wanted.threads
    choice = choose(bundle, wanted.runtime, wanted.precision, asked, max(wanted.batches))
    threads = cores_to_use(asked)
    with started(bundle, choice, threads, wanted) as (blocks, held):
        found = settle(blocks, wanted.rounds, bound=wanted.bound, watch=watch)
    return document(bundle, choice, threads, wanted, found, held)


def document(
    bundle: Bundle, choice: Choice, threads: int, wanted: Wanted, found: Mapping[Timed, Spread], held: str
) -> Profile:
    """The profile that the times of all blocks make."""
    return Profile(
        bundle=bundle.id,
        model=bundle.manifest.model,
        runtime=choice.engine.release,
        precision=choice.engine.precision,
        threads=threads,
        share=wanted.share,
        held_by=held,
        bound=wanted.bound,
        spans=tuple(_span_time(key, spread) for key, spread in found.items() if isinstance(key, SpanRun)),
        **_requests(found, bundle.manifest.exits[0]),
        another_exit_ms=_another_exit(found, threads),
        **here(),
    )


@contextmanager
def started(bundle: Bundle, choice: Choice, threads: int, wanted: Wanted) -> Iterator[tuple[dict[Timed, Block], str]]:
    """Start all that is timed, and give its blocks, and how the edge is held to its share."""
    engine, manifest, length = choice.engine, bundle.manifest, wanted.length
    runs: dict[str, Any] = {"runtime": engine.runtime, "precision": engine.precision, "threads": threads}
    with ExitStack() as stack:
        common: dict[str, Any] = {"bundles": (str(bundle.path),), **runs}
        cloud = stack.enter_context(child_node(CloudSettings(**common)))
        plan, at = _alone(manifest.exits[0], manifest.last, at_end=False), cloud.address()
        edge = stack.enter_context(child_node(EdgeSettings(**common, plan=plan, cloud=at, http_port=0)))
        (noise,) = SpanSpec(0, manifest.last, (manifest.last,)).noise(bundle, 1)
        web = HttpCall(edge.http_address(), CLASSIFIER, manifest.preprocessing.name, noise, {}, TIMEOUT)
        stack.enter_context(web)
        front, behind = (stack.enter_context(Peer(address)) for address in (edge.address(), at))
        spans = stack.enter_context(runner(bundle.path, engine))
        blocks = _span_blocks(bundle, spans, threads, wanted)
        blocks |= _library_blocks(bundle, spans, choice, length)
        blocks |= request_blocks(bundle, front, behind, web, length)
        if (worked := work_of(cloud.process.pid)) is not None:
            many = [stack.enter_context(behind.again()) for _ in range(MANY)]
            for cut in {cut.boundary: cut for cut in (manifest.cuts[0], manifest.cuts[-1])}.values():
                blocks |= work_blocks(bundle, many, worked, cut.boundary, next(iter(cut.codecs)))
        held = "nothing"
        if wanted.share is not None:
            held = str(stack.enter_context(limited(edge.process.pid, wanted.share)))
            stack.enter_context(limited(spans.pid, wanted.share))
        yield blocks, held


def _span_blocks(bundle: Bundle, spans: Runner, threads: int, wanted: Wanted) -> dict[Timed, Block]:
    """Every span at batch 1 on the node's threads; those between neighbours at every batch size, and on one thread."""
    manifest, length = bundle.manifest, wanted.length
    runs = dict.fromkeys(SpanRun(spec, 1, threads) for spec in spans_of(manifest))
    for number in dict.fromkeys((threads, 1)):
        runs |= dict.fromkeys(SpanRun(spec, size, number) for size in wanted.batches for spec in neighbours(manifest))
    return {run: spans.block(run.spec, run.batch, run.threads, length.seconds, length.lead) for run in runs}


def _library_blocks(bundle: Bundle, spans: Runner, choice: Choice, length: Length) -> dict[Timed, Block]:
    """Answers of an edge as a library: at the first exit, and at the last local one, alone and behind all others."""
    *local, last = bundle.manifest.exits
    plans: dict[Timed, Plan] = {Answer([*local, last][0], "library"): _alone([*local, last][0], last, at_end=True)}
    if len(local) > 1:
        passed = [{"exit": exit_, "threshold": 0.0} for exit_ in local[:-1]]
        end = {"exit": local[-1], "threshold": 1.0}
        plans[Stacked(tuple(local))] = Plan.checked(active=[*passed, end], cut=last)
        plans[Stacked((local[-1],))] = Plan.checked(active=[end], cut=last)
    path = str(bundle.path)

    def timed(plan: Plan) -> Block:
        return lambda: spans.pool.submit(_library, path, plan, choice, length).result()

    return {key: timed(plan) for key, plan in plans.items()}


def _alone(exit_: int, last: int, *, at_end: bool) -> Plan:
    """The plan by which every sample is answered at an exit, cut there, or at the end: without a cloud."""
    if exit_ == last:
        return Plan.checked(active=(), cut=last)
    return Plan.of(exit_, 1.0, cut=last if at_end else exit_)


def _span_time(run: SpanRun, ms: Spread) -> SpanTime:
    spec = run.spec
    return SpanTime(
        start=spec.start,
        end=spec.end,
        head=bool(spec.exits),
        gives=spec.gives,
        takes=spec.takes,
        batch=run.batch,
        threads=run.threads,
        ms=ms,
    )


def _requests(found: Mapping[Timed, Spread], first: int) -> dict[str, Any]:
    """What requests took, without what it takes to name a plan in one: a node's own plan is not named."""
    named = found[Answer(first, "grpc", named=True)].median - found[Answer(first, "grpc")].median
    answers, crossings = [], []
    for key, ms in found.items():
        match key:
            case Answer(exit_, way, named=False):
                answers.append(AnswerTime(exit=exit_, way=way, ms=ms))
            case Answer(exit_, way) if exit_ != first:
                answers.append(AnswerTime(exit=exit_, way=way, ms=ms.less(named)))
            case Crossing(cut, codec, alone=False):
                alone = found[Crossing(cut, codec, alone=True)]
                crossings.append(CrossingTime(cut=cut, codec=codec, ms=ms.less(named), call_ms=alone))
    return {"answers": tuple(answers), "crossings": tuple(crossings), "work": _work(found)}


def _work(found: Mapping[Timed, Spread]) -> tuple[NodeWork, ...]:
    """What the cloud did for a call, where that was measured."""
    return tuple(
        NodeWork(cut=cut, codec=codec, alone_ms=alone, many_ms=found[Work(cut, codec, MANY)], many=MANY)
        for key, alone in found.items()
        if isinstance(key, Work) and key.many == 1
        for cut, codec in [(key.cut, key.codec)]
    )


def _another_exit(found: Mapping[Timed, Spread], threads: int) -> float:
    """What one active exit more takes beside its span: an answer behind all others, against one at that exit alone."""
    stacks = sorted((key for key in found if isinstance(key, Stacked)), key=lambda key: len(key.exits))
    if not stacks:
        return 0.0

    def span(start: int, end: int) -> float:
        return found[SpanRun(SpanSpec(start, end, (end,), "fp32"), 1, threads)].median

    alone, behind = stacks
    passed = sum(span(*pair) for pair in pairwise((0, *behind.exits))) - span(0, behind.exits[-1])
    return max(0.0, (found[behind].median - found[alone].median - passed) / (len(behind.exits) - 1))


_edges: dict[Plan, Edge] = {}  # of the process that runs spans: the library's edges


def _library(path: str, plan: Plan, choice: Choice, length: Length) -> float:
    if plan not in _edges:
        _edges[plan] = Edge(path, plan, choice=choice)
    edge = _edges[plan]
    (image,) = SpanSpec(0, edge.last, (edge.last,)).noise(edge.bundle, 1)
    return block(partial(edge.infer, image), runs=length.requests, seconds=length.seconds, lead=length.lead)
