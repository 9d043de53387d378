"""A client's side of a conversation with an edge: batches out, answers in as they arrive, by either way.

Through the edge, all answers come on one stream. With direct reply the cloud's come on a second one, straight from the
cloud; both streams' results meet in one queue, each with the time at which it came. Where the cloud's stream ends, what
it still had to answer is asked of the edge again: each row has one answer, and a second is dropped and counted.
"""

import logging
import queue
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from offramp.artifacts.outcome import LAST_TIER
from offramp.artifacts.stages import IMAGE, LOGITS
from offramp.client.describe import describe_edge
from offramp.errors import DeadlineError, InputError, LinkError, OfframpError
from offramp.exits.answers import Answers, Judged, Tier
from offramp.nodes.contract import (
    CLASSIFIER,
    DEGRADED,
    DIRECT,
    REPLIES,
    REPLY_AS,
    REPLY_TO,
    ROW,
    TIER,
    TOKEN,
    hops,
    read_answers,
)
from offramp.nodes.replied import check_logits
from offramp.protocol.data_plane import TIMEOUT
from offramp.protocol.peer import Peer, ResultStream
from offramp.protocol.served import Parameters, Result

LASTS = 3_600.0  # seconds a conversation may last
BATCH_TIMEOUT = 60.0  # seconds after which a batch is given up
TELLING = 10.0  # seconds for an edge to say what it serves
OPENING = 5.0  # seconds for a cloud to open a stream
WITHOUT = 10.0  # seconds that a conversation lasts without a cloud that it should have

log = logging.getLogger("offramp")

NOBODY = Answers(np.empty((0, 0), np.float32), *(np.empty(0, kind) for kind in "qqfb??"))
Requests = queue.SimpleQueue[tuple[dict[str, npt.NDArray[Any]], Parameters] | None]


@dataclass(frozen=True)
class Arrival:
    """Answers to some rows of a batch; to none where the edge only says that the cloud has answered directly."""

    time: float  # at which it came, by time.perf_counter()
    rows: npt.NDArray[np.int64]  # of the batch, each with its answer
    answers: Answers
    hops: Mapping[str, int]  # bytes that were sent for them, by the tier that they were sent to
    parameters: Parameters = field(default_factory=dict)  # what else came with them

    @property
    def bytes_to_cloud(self) -> int:
        """Those that were sent to the cloud."""
        return self.hops.get(LAST_TIER, 0)

    def __len__(self) -> int:
        return len(self.rows)


class Conversation:
    """Asks an edge about one batch after another. A context manager; its streams end with it.

    `clouds` are those behind the edge that answer directly: of a longer chain every tier but the first. `version` (a
    bundle's id) names one of several networks of the edge; without it, the first answers. With `strict` it is an error
    where they do not answer directly: who measures that wants nothing else. The edge has `telling` seconds to say what
    it serves, each of the others `opening` to open its stream.
    """

    def __init__(
        self,
        edge: Peer,
        clouds: Sequence[Peer] = (),
        version: str = "",
        *,
        strict: bool = False,
        telling: float = TELLING,
        opening: float = OPENING,
    ) -> None:
        self.edge, self.clouds, self.version, self.strict = edge, tuple(clouds), version, strict
        self.telling, self.opening = telling, opening
        self.requests: Requests = queue.SimpleQueue()
        self.results: queue.SimpleQueue[tuple[float, bool, Result | OfframpError]] = queue.SimpleQueue()
        self.streams: list[ResultStream] = []
        self.token, self.score, self.end = uuid.uuid4().hex, "entropy", time.monotonic() + LASTS
        self.gone: OfframpError | None = None  # why the cloud answers nothing directly any more
        self.asked = self.second = 0  # batches; rows that were answered a second time

    def __enter__(self) -> Self:
        requests = iter(self.requests.get, None)
        self._listen(self.edge.stream(CLASSIFIER, requests, timeout=LASTS, version=self.version), from_edge=True)
        if self.clouds:
            try:
                served = describe_edge(self.edge, self.telling, self.version)
                self.score = served.plan.score
                for cloud in self.clouds:
                    opening: Iterator[tuple[dict[str, Any], Parameters]] = iter([({}, {TOKEN: self.token})])
                    self._listen(cloud.stream(REPLIES, opening, timeout=LASTS), from_edge=False)
                self._opened(served.behind)
            except OfframpError:
                self.close()
                raise
        return self

    def _opened(self, behind: Sequence[str]) -> None:
        """Wait for each to say that its stream is open; without that it goes without.

        So it does where one of the tiers `behind` the edge is none of them: what that one answers would find no stream,
        and be answered before it, degraded. A node of before it said which tier it is may be any.
        """
        end, tiers = time.monotonic() + self.opening, list[object]()
        try:
            for _ in self.clouds:
                _, from_edge, result = self._next(end - time.monotonic())
                if isinstance(result, OfframpError):
                    if from_edge:
                        raise result
                    self._lost(result)
                    return
                tiers.append(result.parameters.get(TIER))
        except DeadlineError as error:
            self._lost(error)
            return
        if None not in tiers and (left_out := [tier for tier in behind if tier not in tiers]):
            self._lost(
                InputError(
                    f"what {self.edge.address} hands on is answered by {' and '.join(behind)}, and "
                    f"{' and '.join(left_out)} is not among those named. Name every tier behind the first, with commas "
                    "between them."
                )
            )

    def _lost(self, error: OfframpError) -> None:
        """Nothing is answered directly any more: not for long, and then another conversation tries again."""
        named = ", ".join(cloud.address for cloud in self.clouds)
        log.warning("cloud %s answers nothing directly, all comes through the edge: %s", named, error)
        self.gone, self.end = error, min(self.end, time.monotonic() + WITHOUT)

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the streams; who waits for an answer gets an error."""
        self.requests.put(None)
        for stream in self.streams:
            stream.cancel()

    def lasts(self, seconds: float) -> bool:
        """Whether a batch that takes so long may still be asked about: the streams have not ended, and will not."""
        with suppress(queue.Empty):
            while not isinstance(result := self.results.get_nowait()[2], OfframpError):
                self.second += len(result.outputs.get(ROW, ()))
            return False
        return time.monotonic() + seconds < self.end

    def ask(
        self, batch: npt.NDArray[Any], options: Parameters, timeout: float = BATCH_TIMEOUT, name: str = IMAGE
    ) -> Iterator[Arrival]:
        """Send a batch, in a form that the classifier takes, and give what comes back, until every row is answered.

        `name` is that of the classifier's input.

        Raises DeadlineError where that is not so after `timeout` seconds, and, where `options` refuse degraded answers,
        what happened to the cloud.
        """
        left, end = np.ones(len(batch), np.bool_), time.monotonic() + timeout
        yield from self._asked({name: batch}, options, end, left)
        if len(rows := np.flatnonzero(left)):  # the cloud has taken them on, and is gone
            for arrival in self._asked({name: batch[rows]}, options, end, np.ones(len(rows), np.bool_)):
                yield replace(arrival, rows=rows[arrival.rows])

    def _asked(
        self, batch: dict[str, npt.NDArray[Any]], options: Parameters, end: float, left: npt.NDArray[np.bool_]
    ) -> Iterator[Arrival]:
        """Ask once; True remains in `left` of the rows that a cloud should have answered directly and did not."""
        strict = self.strict or options.get(DEGRADED) is False
        if self.gone is not None and strict:
            raise self.gone
        self.asked += 1
        name, edge_is_done = str(self.asked), False
        direct = bool(self.clouds) and self.gone is None
        to: Parameters = {REPLY_TO: self.token, REPLY_AS: name} if direct else {}
        self.requests.put((batch, {**_until(end, options), **to}))
        while not (edge_is_done and (not left.any() or self.gone is not None)):
            arrived, from_edge, result = self._next(end - time.monotonic())
            rows, answers = NOBODY.label, NOBODY
            try:
                if isinstance(result, OfframpError):
                    raise result
                if not from_edge:
                    if REPLY_AS not in result.parameters:  # its word that the stream is open, which came late
                        continue
                    rows, answers = result.outputs[ROW], self._judge(result)
            except OfframpError as error:
                if from_edge or strict:
                    raise
                self._lost(error)
                continue
            if from_edge:
                edge_is_done = result.last
                if DIRECT not in result.parameters:
                    rows, answers = result.outputs[ROW], read_answers(result.outputs)
            elif result.parameters.get(REPLY_AS) != name:
                self.second += len(rows)  # of a batch that the edge has answered since
                continue
            if not (new := left[rows]).all():
                self.second += int((~new).sum())
                rows, answers = rows[new], answers.rows(new)
            left[rows] = False
            yield Arrival(arrived, rows, answers, hops(result.parameters), result.parameters)
            if edge_is_done and not direct and left.any():
                raise LinkError(
                    f"{self.edge.address}: answered {int((~left).sum())} of {len(left)} samples of a batch."
                )

    def _judge(self, result: Result) -> Answers:
        """The cloud gives logits to whom it answers directly, as to the edge; a tier between gives its answers."""
        if "tier" in result.outputs:
            return read_answers(result.outputs)
        name = next((name for name in result.outputs if name.removeprefix(LOGITS).isdecimal()), LOGITS)
        logits = check_logits(self.clouds[-1].address, name, result.outputs.get(name), len(result.outputs[ROW]))
        return Judged.of(logits, self.score).answers(int(name.removeprefix(LOGITS)), Tier.CLOUD)

    def _next(self, wait: float) -> tuple[float, bool, Result | OfframpError]:
        """What came next; what is there already does not come too late."""
        try:
            return self.results.get(timeout=max(wait, 0.0))
        except queue.Empty:
            raise DeadlineError(f"{self.edge.address}: no answer in time.") from None

    def _listen(self, stream: ResultStream, *, from_edge: bool) -> None:
        def listen() -> None:
            ended: OfframpError = LinkError(f"{stream.peer}: the stream has ended.")
            try:
                for result in stream:
                    self.results.put((time.perf_counter(), from_edge, result))
            except OfframpError as error:
                ended = error
            self.results.put((time.perf_counter(), from_edge, ended))

        self.streams.append(stream)
        threading.Thread(target=listen, daemon=True).start()


def _until(end: float, options: Parameters) -> Parameters:
    """A request's parameters, with what is left of its time: a connection was made since, or a cloud lost."""
    return {**options, TIMEOUT: max(1, int(1e6 * (end - time.monotonic())))} if TIMEOUT in options else options
