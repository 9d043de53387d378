"""Drive an edge: send a set by a scenario, collect the answers, take the time of each sample and each query."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Self, TypeVar

import numpy as np
import numpy.typing as npt

from offramp.artifacts.measurement import Conditions, Latencies, Latency, Measurement
from offramp.artifacts.outcome import LAST_TIER, OVERALL, Over
from offramp.artifacts.plan import Plan
from offramp.artifacts.scenario import Load, Scenario
from offramp.artifacts.stages import IMAGE
from offramp.bench.load import Ask, Calls, Completed, load
from offramp.bench.scenario import Query, Rows, percentile_ms, queries, scenario
from offramp.client.client import Batch
from offramp.client.conversation import BATCH_TIMEOUT, Arrival, Conversation
from offramp.data.image_set import ImageSet
from offramp.errors import InputError
from offramp.exits.answers import Answers, merge, tier_names, tier_number
from offramp.exits.evaluation import evaluate
from offramp.nodes.contract import CLASSIFIER, ROW, hops, read_answers
from offramp.nodes.images import as_batch
from offramp.progress import Watch, unwatched
from offramp.protocol.peer import Peer
from offramp.protocol.served import Parameters, Result
from offramp.protocol.tensors import write_request

T = TypeVar("T")


@dataclass(frozen=True)
class Drive:
    """What came back, a row a sample in the order of sending."""

    rows: Rows  # which sample of the set each is
    answers: Answers
    latency_ms: npt.NDArray[np.float64]  # of each sample: from its query's start to its answer
    batch_ms: npt.NDArray[np.float64]  # of each query: until its last answer
    bytes_to_cloud: int
    seconds: float  # from the first query's start to the last answer
    hops: Mapping[str, int] = field(default_factory=dict)  # bytes sent on each hop, by the tier that they were sent to

    @classmethod
    def of(cls, turns: list[tuple[Rows, float, list[Arrival]]]) -> Self:
        """Put together what came: of each query its rows, its start, and its parts."""
        rows = np.concatenate([rows for rows, _, _ in turns])
        latency, batch_ms, offset = np.full(len(rows), np.nan), np.zeros(len(turns)), 0
        parts: list[tuple[Rows, Answers]] = []
        for number, (some, start, came) in enumerate(turns):
            for part in filter(len, came):
                at = part.rows + offset
                parts.append((at, part.answers))
                latency[at] = batch_ms[number] = (part.time - start) * 1000
            offset += len(some)
        every = [part for _, _, came in turns for part in came]
        # Of several clients, the first to be given a query need not be the first to send its.
        seconds = max(part.time for part in every) - min(start for _, start, _ in turns)
        hopped = sum((Counter(part.hops) for part in every), Counter[str]())
        return cls(rows, merge(parts, len(rows)), latency, batch_ms, hopped[LAST_TIER], seconds, dict(hopped))

    def latencies(self) -> Latencies:
        """Latency over the samples that each tier answered, and over all."""
        found: dict[Over, Latency | None] = {
            name: Latency.of(self.latency_ms[self.answers.tier == tier_number(name)]) for name in tier_names()
        }
        found[OVERALL] = Latency.of(self.latency_ms)
        return {over: latency for over, latency in found.items() if latency is not None}


def drive(
    client: Peer,
    images: Batch,
    *,
    batch_size: int = 32,
    by: Scenario | None = None,
    options: Parameters | None = None,
    version: str = "",
    name: str = IMAGE,
    warm_up: int = 2,
    direct: Sequence[Peer] = (),
    watch: Watch = unwatched,
) -> Drive:
    """Send samples to an edge by a scenario and wait for every answer.

    Without one, as the paper's test node: one client, the set once, a batch of `batch_size` after another. Images are
    float32 `(N, C, H, W)` in [0, 1], uint8 `(N, H, W, C)`, or encoded (bytes). `options` are parameters of every
    request: another plan than the edge's own. `version` (a bundle's id) names one of several networks of it. Of another
    `name` than an image's, the samples are an array as the edge takes them: see `nodes.inputs.as_samples`.

    The first `warm_up` queries of each client go twice; their first answers are thrown away. Clients that wait have a
    stream each, all but the first on a connection of its own; else each query is a call. With `direct`, a client of the
    cloud, or in a longer chain of each tier behind the first, answers come straight from there, the paper's way; else
    they come through the edge. `watch` is told how many queries are answered, the first ones apart.
    """
    by = by or scenario("clients", len(images), batch_size=batch_size)
    if not len(images):
        raise InputError("images: there is nothing to send.")
    batch = as_batch(images) if name == IMAGE else np.asarray(images)

    def send(ask: Ask[T]) -> list[Completed[T]]:
        early = (Query(query.rows, None) for query in queries(by, len(batch)))
        clients = by.clients or 1
        if warm_up:
            load(early, ask, clients=clients, count=warm_up * clients, first=-warm_up * clients)
        schedule = queries(by, len(batch))
        return load(schedule, ask, clients=by.clients, duration=by.duration, count=by.count, watch=watch)

    def begin(_client: int, _query: int, rows: Rows) -> Future[Result]:
        return client.begin(write_request(CLASSIFIER, version, {name: batch[rows]}, options), BATCH_TIMEOUT)

    if not by.clients:
        return Drive.of([(one.rows, one.start, [_part(one.answer, one.end)]) for one in send(Calls(begin))])
    with ExitStack() as stack:
        edges = [client, *(stack.enter_context(client.again()) for _ in range(by.clients - 1))]
        talks = [stack.enter_context(Conversation(edge, direct, version, strict=True)) for edge in edges]
        pool = stack.enter_context(ThreadPoolExecutor(by.clients))

        def talk(number: int, _query: int, rows: Rows) -> tuple[float, list[Arrival]]:
            some = batch[rows]
            start = time.perf_counter()
            return start, list(talks[number].ask(some, options or {}, name=name))

        return Drive.of([(one.rows, *one.answer) for one in send(Calls(lambda *query: pool.submit(talk, *query)))])


def _part(result: Result, at: float) -> Arrival:
    return Arrival(at, result.outputs[ROW], read_answers(result.outputs), hops(result.parameters))


def measurement(
    model: str, plan: Plan, images: ImageSet, drive: Drive, conditions: Conditions, by: Scenario | None = None
) -> Measurement:
    """Hold what came back against the labels, and the scenario's percentile against its bound."""
    return Measurement(
        model=model,
        plan=plan,
        outcome=evaluate(drive.answers, images.labels[drive.rows]),
        latency_ms=drive.latencies(),
        batch_ms=Latency.of(drive.batch_ms),
        bytes_to_cloud=drive.bytes_to_cloud,
        conditions=conditions,
        load=by and _load_of(by, drive),
    )


def _load_of(by: Scenario, drive: Drive) -> Load:
    percentile = None if by.percentile is None else percentile_ms(drive.batch_ms, by.percentile)
    return Load(
        scenario=by,
        queries=len(drive.batch_ms),
        seconds=round(drive.seconds, 4),
        samples_per_second=round(len(drive.rows) / drive.seconds, 2),
        percentile_ms=percentile,
        passed=None if percentile is None or by.bound_ms is None else percentile <= by.bound_ms,
    )
