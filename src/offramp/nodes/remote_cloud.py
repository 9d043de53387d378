"""The next tier as a node elsewhere: a cloud that runs the network to its end, or a tier between that answers too."""

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.codec import Codec
from offramp.artifacts.engine import Place
from offramp.artifacts.outcome import LAST_TIER
from offramp.artifacts.stages import LOGITS, logits_name
from offramp.errors import (
    BehindError,
    BundleMismatchError,
    DeadlineError,
    InputError,
    LinkError,
    UnknownModelError,
    UnreachableError,
)
from offramp.nodes.breaker import Breaker
from offramp.nodes.chain import follows, model_asked, plan_id, told_if_unknown
from offramp.nodes.contract import (
    ALONG,
    BACK,
    DIRECT,
    FOLLOWS,
    REPLY_AS,
    REPLY_TO,
    ROW,
    Reply,
    hops,
    read_answers,
)
from offramp.nodes.flight import Flight, Rows
from offramp.nodes.limit import Limit
from offramp.nodes.meeting import Meeting, blamed, let_in
from offramp.nodes.replied import check_answers, check_logits
from offramp.nodes.route import Course
from offramp.nodes.sameness import Probes
from offramp.nodes.upstream import Finished, Health, again, failed, then
from offramp.protocol.credentials import Credentials
from offramp.protocol.gone import Gone, GoneError
from offramp.protocol.messages import ModelInferRequest
from offramp.protocol.peer import Peer
from offramp.protocol.served import Result
from offramp.protocol.tensors import write_request

PATIENCE = 0.9  # of its time, after which a caller that goes has waited long enough to hold it against the cloud


def _says(flight: Flight) -> bool:
    """Whether a caller's own words go along with a flight, which may be wrong."""
    return not ALONG.isdisjoint(flight.along)


class RemoteCloud:
    """The next tier at `HOST:PORT`, by `credentials` where it asks for some, or on a connection that others share.

    That is a cloud, which finishes the network, or in a longer chain a node that answers by the same plan.

    Each request names the bundle, so another one is refused whenever it appears.

    A server of another maker, that must number its models' versions as it likes, is told apart by `version` instead;
    an empty one names none. `health` is told of each request, and while it refuses nothing is sent. Who goes after
    `patience` of its time has found the cloud late.

    Whatever a cloud calls itself, it shows what it computes before it is used: on a few images, again when it was gone.
    """

    patience = PATIENCE

    def __init__(
        self,
        bundle: Bundle,
        cloud: Peer | str,
        version: str | None = None,
        health: Health | None = None,
        *,
        credentials: Credentials | None = None,
    ) -> None:
        self.bundle, self.health = bundle, health or Breaker()
        self.client = cloud if isinstance(cloud, Peer) else Peer(cloud, credentials=credentials)
        self.version = bundle.id if version is None else version
        self.meeting = Meeting(bundle, self.client, self.version, Probes(bundle))
        self.shown: set[tuple[int, Codec]] = set()  # the tails that have shown what they compute, since it is there
        self.knows: set[str] = set()  # the plans, by their ids, that a tier between has answered by since it is there
        self.called = f"{LAST_TIER} {self.client.address}"
        self.limit = Limit()

    def wait_ready(self, timeout: float) -> None:
        """Wait until the cloud is there; UnreachableError after `timeout` seconds."""
        try:
            self.client.wait_ready(timeout)
        except LinkError:
            self._gone()
            raise

    def _gone(self) -> None:
        """Whatever is there next has to show itself anew."""
        self.shown.clear()
        self.knows.clear()

    def check(self, course: Course, timeout: float) -> Place | None:
        """Wait for it, and hold what it serves against the bundle, and what it computes, or by which plan."""
        self.called = f"{course.next} {self.client.address}"
        with let_in(self.called):
            self.wait_ready(timeout)
            place, self.limit.most = self.meeting.check(course, timeout, self.shown)
            return place

    def finish(
        self, flight: Flight, timeout: float, to: Reply | None = None, version: str | None = None
    ) -> Future[Finished]:
        """Send the features in one message, or in pieces; logits or answers will come, or that the client has them."""
        return self.limit.sent(flight, partial(self._finish, to, version), partial(self._config, version), timeout)

    def requests(self, rows: int) -> int:
        """How many requests a flight of so many rows takes, each sent when the one before is answered."""
        return self.limit.requests(rows)

    def _config(self, version: str | None, flight: Flight, timeout: float) -> Future[dict[str, str]]:
        return self.client.ask_config(model_asked(flight.course), timeout, self.version if version is None else version)

    def _finish(self, to: Reply | None, version: str | None, flight: Flight, timeout: float) -> Future[Finished]:
        if (refusal := self.health.refusal()) is not None:
            return failed(again(refusal))
        known = flight.course.onward and plan_id(flight.course.plan) in self.knows
        request = self._request(flight, known, to, version)
        finished = partial(self._heard, flight, version, request.ByteSize(), to is not None)
        end = time.monotonic() + self.patience * timeout
        begun = self.client.begin(request, timeout, flight.trace)
        if known:
            whole = partial(self._request, flight, False, to, version)
            begun = told_if_unknown(begun, lambda left: self.client.begin(whole(), left, flight.trace), timeout)
        answer = then(begun, finished)
        answer.add_done_callback(partial(self._left, end))
        return answer

    def _request(
        self, flight: Flight, known: bool, to: Reply | None = None, version: str | None = None
    ) -> ModelInferRequest:
        inputs, parameters = flight.features, dict(flight.along)
        if to is not None:
            inputs = inputs | {ROW: flight.rows.astype(np.int64)}
            parameters |= {REPLY_TO: to.token, REPLY_AS: to.request}
        if flight.course.onward:
            parameters[FOLLOWS] = follows(flight.course.plan, known)
        return write_request(
            model_asked(flight.course), self.version if version is None else version, inputs, parameters
        )

    def parts(self, flight: Flight, timeout: float, gone: Gone) -> Iterator[tuple[Rows, Finished]]:
        """Send the features to a tier between, and give each tier's answers as they come."""
        end = time.monotonic() + timeout
        yield from self.limit.parts(
            flight,
            lambda piece: self._piece(piece, end, gone),
            lambda piece: self._config(None, piece, max(end - time.monotonic(), 0.0)),
        )

    def _piece(self, flight: Flight, end: float, gone: Gone) -> Iterator[tuple[Rows, Finished]]:
        if (refusal := self.health.refusal()) is not None:
            raise again(refusal)
        known = plan_id(flight.course.plan) in self.knows
        with self._told(), blamed(self.called, own=_says(flight)):
            try:
                yield from self._parts(flight, self._request(flight, known), end - time.monotonic(), gone)
            except UnknownModelError:  # the plan, or the bundle: it has done nothing yet
                if not known:
                    raise
                yield from self._parts(flight, self._request(flight, known=False), end - time.monotonic(), gone)

    def _parts(
        self, flight: Flight, request: ModelInferRequest, timeout: float, gone: Gone
    ) -> Iterator[tuple[Rows, Finished]]:
        stream, sent = self.client.answered_in_parts(iter([request]), timeout, flight.trace), request.ByteSize()
        gone.told = stream.cancel
        try:
            for result in stream:
                rows = result.outputs.get(ROW)
                if rows is None or rows.dtype != np.int64 or not ((rows >= 0) & (rows < len(flight.rows))).all():
                    raise LinkError(f"{self.called}: expected the rows that a part answers, as {ROW}.")
                yield rows, self._answered(flight, result, len(rows), sent)
                sent = 0
        finally:
            gone.told = None
            stream.cancel()
        if gone.is_set():
            raise GoneError

    def _answered(self, flight: Flight, result: Result, rows: int, sent: int) -> Finished:
        """What a tier between has answered to so many rows, whole or in a part; it knows the plan by now.

        Who takes parts may be content with them, and leave the stream's end to itself: its health is told here.
        """
        manifest, course = self.bundle.manifest, flight.course
        self.knows.add(plan_id(course.plan))
        exits = [exit_ for exit_ in manifest.exits if exit_ > course.part.cut]
        answers = check_answers(
            self.called, read_answers(result.outputs), rows, len(manifest.classes), exits, course.behind
        )
        self.health.answered()
        said = {name: result.parameters[name] for name in BACK & result.parameters.keys()}
        return Finished(answers, sent, result.size, result.took, hops(result.parameters), said)

    def _left(self, end: float, answer: "Future[Finished]") -> None:
        """Where the caller has gone, and at its deadline: it went because the cloud is late."""
        if answer.cancelled() and time.monotonic() > end:
            self.health.failed(DeadlineError(f"{self.called} did not answer before its caller went."))

    def _heard(self, *of: Any) -> Finished:
        with self._told():
            return self._finished(*of)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What comes of a request is told to who keeps an eye on the next tier; what is behind it is not its fault."""
        try:
            yield
        except (BehindError, InputError) as error:
            self.health.answered()
            if isinstance(error, BehindError):
                raise UnreachableError(str(error)) from error
            raise
        except LinkError as error:
            self._failed(error)
            raise
        self.health.answered()

    def _failed(self, error: LinkError) -> None:
        if isinstance(error, (UnreachableError, BundleMismatchError)):
            self._gone()
        self.health.failed(error)

    def _finished(
        self, flight: Flight, version: str | None, sent: int, direct: bool, answer: "Future[Result]"
    ) -> Finished:
        peer, result = self.called, self._result(answer, version, direct or _says(flight))
        if direct:
            if result.parameters.get(DIRECT) is not True:
                raise LinkError(f"{peer} sends no direct replies. Leave 'reply_to' out.")
            if flight.course.onward:
                self.knows.add(plan_id(flight.course.plan))
            return Finished(None, sent, result.size, result.took, hops(result.parameters))
        if flight.course.onward:
            return self._answered(flight, result, len(flight.rows), sent)
        exit_ = self.bundle.manifest.last if version is None else self._last_exit(result.outputs)
        name, classes = logits_name(exit_), len(self.bundle.manifest.classes)
        logits = check_logits(peer, name, result.outputs.get(name), len(flight.rows), classes)
        return Finished.by_cloud(flight, logits, exit_, sent, result.size, result.took)

    def _result(self, answer: "Future[Result]", version: str | None, own: bool) -> Result:
        """What the cloud has answered, or why not, as whose fault that is."""
        with blamed(self.called, version, own=own):
            return answer.result()

    def _last_exit(self, outputs: Iterable[str]) -> int:
        """Which exit another network's answer is of: that of its one output."""
        numbers = [name.removeprefix(LOGITS) for name in outputs if name.startswith(LOGITS)]
        if len(numbers) != 1 or not numbers[0].isdecimal():
            raise LinkError(f"{self.called}: expected the logits of one exit, got {', '.join(outputs) or 'nothing'}.")
        return int(numbers[0])

    def look(self, timeout: float) -> "Future[None]":
        """Ask whether the cloud is there, in next to no bytes; where it is gone, its health is told."""
        answer = self.client.look(timeout)
        answer.add_done_callback(self._looked)
        return answer

    def _looked(self, answer: "Future[None]") -> None:
        if not answer.cancelled() and isinstance(error := answer.exception(), UnreachableError):
            self.health.failed(error)

    def close(self) -> None:
        """Close the connection."""
        self.client.close()
