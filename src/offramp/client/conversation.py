"""A client's side of a conversation with an edge: batches out, answers in as they arrive, by either way.

Through the edge, all answers come on one stream. With direct reply the cloud's come on a second one, straight from the
cloud; both streams' results meet in one queue, each with the time at which it came.
"""

import queue
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from offramp.artifacts.bundle import IMAGE, LOGITS
from offramp.client.describe import describe_edge, read_answers
from offramp.errors import DeadlineError, LinkError, OfframpError
from offramp.exits.answers import Answers, Judged, Tier
from offramp.nodes.contract import BYTES_TO_CLOUD, CLASSIFIER, DIRECT, REPLIES, REPLY_AS, REPLY_TO, ROW, TOKEN
from offramp.nodes.logits import check_logits
from offramp.protocol.peer import Peer, ResultStream
from offramp.protocol.served import Parameters, Result

TIMEOUT = 3_600.0  # seconds a conversation may last
BATCH_TIMEOUT = 60.0  # seconds without any answer after which it is given up

NOBODY = Answers(np.empty((0, 0), np.float32), *(np.empty(0, kind) for kind in "qqfb??"))
Requests = queue.SimpleQueue[tuple[dict[str, npt.NDArray[Any]], Parameters] | None]


@dataclass(frozen=True)
class Arrival:
    """Answers to some rows of a batch; to none where the edge only says that the cloud has answered directly."""

    time: float  # at which it came, by time.perf_counter()
    rows: npt.NDArray[np.int64]  # of the batch, each with its answer
    answers: Answers
    bytes_to_cloud: int

    def __len__(self) -> int:
        return len(self.rows)


class Conversation:
    """Asks an edge about one batch after another. A context manager; its streams end with it.

    `version` (a bundle's id) names one of several networks of the edge; without it, the first answers.
    """

    def __init__(self, edge: Peer, cloud: Peer | None = None, version: str = "") -> None:
        self.edge, self.cloud, self.version = edge, cloud, version
        self.requests: Requests = queue.SimpleQueue()
        self.results: queue.SimpleQueue[tuple[float, bool, Result | OfframpError]] = queue.SimpleQueue()
        self.streams: list[ResultStream] = []
        self.token, self.score, self.end = uuid.uuid4().hex, "entropy", time.monotonic() + TIMEOUT

    def __enter__(self) -> Self:
        requests = iter(self.requests.get, None)
        self._listen(self.edge.stream(CLASSIFIER, requests, timeout=TIMEOUT, version=self.version), from_edge=True)
        if self.cloud is not None:
            try:
                self.score = describe_edge(self.edge, version=self.version).plan.score
                opening: Iterator[tuple[dict[str, Any], Parameters]] = iter([({}, {TOKEN: self.token})])
                self._listen(self.cloud.stream(REPLIES, opening, timeout=TIMEOUT), from_edge=False)
                self._next(BATCH_TIMEOUT)  # the cloud says that the stream is open
            except OfframpError:
                self.close()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the streams; who waits for an answer gets an error."""
        self.requests.put(None)
        for stream in self.streams:
            stream.cancel()

    def lasts(self, seconds: float) -> bool:
        """Whether a batch that takes so long may still be asked about: the streams have not ended, and will not."""
        return self.results.empty() and time.monotonic() + seconds < self.end

    def ask(
        self, batch: npt.NDArray[Any], options: Parameters, name: int = 0, timeout: float = BATCH_TIMEOUT
    ) -> Iterator[Arrival]:
        """Send a batch, in a form that the classifier takes, and give what comes back, until every row is answered.

        Raises DeadlineError where nothing comes for `timeout` seconds.
        """
        reply = {} if self.cloud is None else {REPLY_TO: self.token, REPLY_AS: str(name)}
        self.requests.put(({IMAGE: batch}, {**options, **reply}))
        answered, edge_is_done = 0, False
        while not (edge_is_done and answered >= len(batch)):
            arrived, from_edge, result = self._next(timeout)
            rows = result.outputs[ROW]
            if not from_edge:
                if result.parameters.get(REPLY_AS) != str(name):
                    continue  # of a batch that was given up
                answers = self._judge(result)
            else:
                elsewhere, edge_is_done = DIRECT in result.parameters, result.last
                rows, answers = (rows[:0], NOBODY) if elsewhere else (rows, read_answers(result.outputs))
            answered += len(rows)
            if edge_is_done and self.cloud is None and answered != len(batch):
                raise LinkError(f"{self.edge.address}: answered {answered} of the {len(batch)} samples of a batch.")
            yield Arrival(arrived, rows, answers, int(result.parameters.get(BYTES_TO_CLOUD, 0)))

    def _judge(self, result: Result) -> Answers:
        """The cloud gives logits to whom it answers directly, as it gives them to the edge."""
        assert self.cloud is not None  # whose answer this is
        name = next((name for name in result.outputs if name.removeprefix(LOGITS).isdecimal()), LOGITS)
        logits = check_logits(self.cloud.address, name, result.outputs.get(name), len(result.outputs[ROW]))
        return Judged.of(logits, self.score).answers(int(name.removeprefix(LOGITS)), Tier.CLOUD)

    def _next(self, timeout: float) -> tuple[float, bool, Result]:
        try:
            arrived, from_edge, result = self.results.get(timeout=timeout)
        except queue.Empty:
            raise DeadlineError(f"{self.edge.address}: no answer for {timeout:g} s.") from None
        if isinstance(result, OfframpError):
            raise result
        return arrived, from_edge, result

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
