"""A user's client of a running edge: samples in, answers out; whole, in parts, or straight from the cloud.

with offramp.Client("10.0.0.7:8001") as client:
    answers = client.infer(images, threshold=0.3)
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property, partial
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from offramp.artifacts.stages import IMAGE
from offramp.client.asking import asking
from offramp.client.conversation import BATCH_TIMEOUT, OPENING, TELLING, Arrival, Conversation
from offramp.client.describe import ServedEdge, describe_edge, find_edge
from offramp.errors import ForbiddenError, InputError
from offramp.exits.answers import Answers, merge
from offramp.nodes.contract import ALONG, CLASSIFIER, CLOUD_VERSION, DEGRADED, PLAN, read_answers
from offramp.nodes.images import ENCODED, as_batch
from offramp.nodes.inputs import as_samples, by_form
from offramp.protocol.credentials import Credentials
from offramp.protocol.data_plane import TIMEOUT
from offramp.protocol.peer import Peer
from offramp.protocol.served import Parameters
from offramp.protocol.trace_context import TRACEPARENT
from offramp.sockets import check_addresses

Batch = npt.NDArray[Any] | Sequence[bytes] | Sequence[str]
OPTIONS = PLAN | ALONG | {CLOUD_VERSION, DEGRADED, TRACEPARENT}


class Client:
    """Asks the edge at HOST:PORT. Safe to use from several threads at once; a context manager.

    `cloud`, HOST:PORT, makes replies direct: what the edge is not sure of is answered straight from there; of a longer
    chain name every tier behind the first, with commas between them, as they follow. `model`, a
    name or a bundle's id, is one of several networks of the edge; without it, its first answers. `credentials` make
    the connections TLS, and show a token and a certificate to nodes that ask for them: the same to both.

    Images are float32 `(N, C, H, W)` in [0, 1], uint8 `(N, H, W, C)`, or encoded (bytes); of a network of text, a batch
    is a list of strings, or float32 token ids `(N, L)`; of values, float32 `(N, …)`. `timeout`, in seconds, bounds
    a call until its last row is answered (10 s for what the edge serves). A call's `plan` are parts of another plan
    than the edge's own: exit, threshold, cut, codec, drop_threshold, and cloud_version; `degraded=False` asks for an
    error where the cloud fails, in place of an answer of the edge; `traceparent` is the context of a trace that the
    call is part of, which a program that uses OpenTelemetry need not say. Every error is an OfframpError: InputError
    for what the edge does not take, LinkError for what goes wrong on the way, DeadlineError among them.
    """

    def __init__(
        self,
        edge: str,
        cloud: str | None = None,
        model: str | None = None,
        timeout: float = BATCH_TIMEOUT,
        credentials: Credentials | None = None,
    ) -> None:
        self.edge = Peer(edge, credentials=credentials)
        named = () if cloud is None else check_addresses(cloud)
        self.clouds = tuple(Peer(one, credentials=credentials) for one in named)
        self.model, self.timeout, self.closed = model, timeout, False
        # To rows that had one, and dropped: the cloud's, after the edge has stood in for it.
        self.second_answers = 0
        self.may_read = True  # what the edge serves, as far as is known
        self.idle: list[Conversation] = []  # each holds a thread of the edge, and with a cloud one of the cloud's

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. Streams end: who waits for a part gets a LinkError."""
        self.closed = True
        for peer in (self.edge, *self.clouds):
            peer.close()

    @cached_property
    def served(self) -> ServedEdge:
        """What the edge serves: network, bundle, plan, what it takes, runtime. Asked for once, when needed."""
        find = describe_edge if self.model is None else partial(find_edge, name=self.model)
        return find(self.edge)

    @property
    def version(self) -> str:
        """By which the edge knows the network that is meant: its bundle's id; empty for the first."""
        return "" if self.model is None else self.served.bundle

    def infer(self, images: Batch, timeout: float | None = None, **plan: float | str) -> Answers:
        """Answer a batch whole: a row an image, in its order."""
        with asking(plan) as said:
            return self._infer(images, timeout, said)

    def _infer(self, images: Batch, timeout: float | None, plan: Parameters) -> Answers:
        if self.clouds:
            parts = list(self._stream(images, timeout, plan))
            return merge([(part.rows, part.answers) for part in parts], len(images))
        seconds, options = self._asked(timeout, plan)
        inputs = dict([self._batch(images)])
        result = self.edge.infer(CLASSIFIER, inputs, timeout=seconds, version=self.version, parameters=options)
        return read_answers(result.outputs)

    def stream(self, images: Batch, timeout: float | None = None, **plan: float | str) -> Iterator[Arrival]:
        """Answer a batch in parts, each as soon as it is known: who leaves at the edge does not wait for the cloud.

        The answers of all parts together are one a row. Nothing is sent before the first part is asked for.
        """
        with asking(plan) as said:
            yield from self._stream(images, timeout, said)

    def _stream(self, images: Batch, timeout: float | None, plan: Parameters) -> Iterator[Arrival]:
        seconds, options = self._asked(timeout, plan)
        end = time.monotonic() + seconds
        name, batch = self._batch(images)
        conversation, done = self._conversation(seconds), False
        try:
            parts = conversation.ask(batch, options, timeout=end - time.monotonic(), name=name)
            yield from filter(len, parts)
            done = True
        finally:
            self.second_answers += conversation.second
            conversation.second = 0
            if done and not self.closed:
                self.idle.append(conversation)
            else:  # given up on the way, by an error or by who asked: the rest may still come
                conversation.close()

    def _batch(self, images: Batch) -> tuple[str, npt.NDArray[Any]]:
        """The name of the edge's input, and what to send to it: of all but files and pixels, the edge says its kind.

        A token that may ask models may not ask what they are: then the batch itself says it.
        """
        some = images[0] if isinstance(images, list | tuple) and images else None
        if isinstance(some, ENCODED) or (isinstance(images, np.ndarray) and images.dtype == np.uint8):
            return IMAGE, as_batch(images)
        if self.may_read:
            try:
                takes = self.served.takes
                return takes.name, as_samples(takes, images)
            except ForbiddenError:
                self.may_read = False
        return by_form(images)

    def _asked(self, timeout: float | None, plan: Parameters) -> tuple[float, Parameters]:
        """Seconds to wait, and the request's parameters."""
        if self.closed:
            raise InputError(f"client of {self.edge.address}: closed. Make another one.")
        if unknown := sorted(set(plan) - OPTIONS):
            raise InputError(f"{unknown[0]!r}: not a part of a plan. Expected {', '.join(sorted(OPTIONS))}.")
        seconds = self.timeout if timeout is None else timeout
        return seconds, {**plan, TIMEOUT: int(seconds * 1e6)}

    def _conversation(self, seconds: float) -> Conversation:
        with suppress(IndexError):  # nobody is idle
            while True:
                kept = self.idle.pop()
                if kept.lasts(seconds):
                    return kept
                kept.close()
        telling, opening = min(TELLING, seconds / 2), min(OPENING, seconds / 4)
        return Conversation(self.edge, self.clouds, self.version, telling=telling, opening=opening).__enter__()
