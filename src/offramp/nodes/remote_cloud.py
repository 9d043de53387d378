"""The next tier as a node elsewhere: a cloud that runs the network to its end, or a tier between that answers too."""

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import numpy as np

from offramp.artifacts.bundle import LOGITS, Bundle, logits_name
from offramp.artifacts.codec import Codec
from offramp.artifacts.engine import PRECISIONS, Place
from offramp.artifacts.outcome import LAST_TIER
from offramp.errors import (
    BundleMismatchError,
    DeadlineError,
    InputError,
    LinkError,
    OfframpError,
    RefusedError,
    UnknownModelError,
    UnreachableError,
)
from offramp.exits.answers import Answers
from offramp.nodes.breaker import Breaker
from offramp.nodes.chain import TIER, check_next, follows, model_asked, plan_id, told_if_unknown
from offramp.nodes.contract import (
    CLASSIFIER,
    DIRECT,
    FOLLOWS,
    REPLY_AS,
    REPLY_TO,
    ROW,
    Reply,
    hops,
    place_of,
    read_answers,
)
from offramp.nodes.flight import Flight, Rows
from offramp.nodes.replied import check_answers, check_logits
from offramp.nodes.route import Course
from offramp.nodes.sameness import Probes, difference
from offramp.nodes.upstream import Finished, Health, failed, then
from offramp.protocol.credentials import Credentials
from offramp.protocol.gone import Gone, GoneError
from offramp.protocol.messages import ModelInferRequest
from offramp.protocol.peer import Peer
from offramp.protocol.served import Result
from offramp.protocol.tensors import write_request

PATIENCE = 0.9  # of its time, after which a caller that goes has waited long enough to hold it against the cloud


@contextmanager
def _let_in(address: str) -> Iterator[None]:
    """That a cloud does not let its edge in is no fault of who asks the edge."""
    try:
        yield
    except RefusedError as error:
        raise RefusedError(
            f"cloud {address} does not let this edge in ({error}). Give it a token with the rights infer and read "
            "there (--cloud-token-file FILE)."
        ) from error


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
        self.probes = Probes(bundle)
        self.shown: set[tuple[int, Codec]] = set()  # the tails that have shown what they compute, since it is there
        self.knows: set[str] = set()  # the plans, by their ids, that a tier between has answered by since it is there
        self.called = f"{LAST_TIER} {self.client.address}"

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
        with _let_in(self.client.address):
            return self._checked(course, timeout)

    def _checked(self, course: Course, timeout: float) -> Place | None:
        self.wait_ready(timeout)
        name, peer = model_asked(course), self.called
        try:
            versions = self.client.metadata(name, timeout).versions
        except UnknownModelError as error:
            check_next(course, self._tier(timeout), peer)
            raise BundleMismatchError(
                f"{peer} does not serve {name} ({error}). Serve the edge's bundle there: {self.bundle.path}"
            ) from error
        if self.version and not versions:  # not every server lists them
            try:
                self.client.metadata(name, timeout, self.version)
            except UnknownModelError as error:
                raise BundleMismatchError(
                    f"{peer} does not serve {name} in version {self.version} ({error}). A server of another "
                    "maker has versions of its own: name its with --cloud-version."
                ) from error
        elif self.version and self.version not in versions:
            if self.version != self.bundle.id:
                raise BundleMismatchError(
                    f"{peer} serves {name} in version {', '.join(versions)}, and this edge asks for version "
                    f"{self.version}. Name the right one with --cloud-version."
                )
            raise BundleMismatchError(
                f"{peer} serves bundle {', '.join(versions)}, and this edge holds "
                f"{self.version} ({self.bundle.path}). Give both nodes the same bundle."
            )
        self.client.prepare(name, timeout, self.version)
        config = self._config(name, timeout)
        place = place_of(config)
        if course.onward:
            check_next(course, config.get(TIER), peer)
        else:
            self._check_logits(course, place, timeout)
        return place

    def _config(self, name: str, timeout: float) -> dict[str, str]:
        try:
            return self.client.config(name, timeout, self.version)
        except RefusedError:
            raise
        except OfframpError:  # a server of another maker need not have one
            return {}

    def _tier(self, timeout: float) -> str | None:
        """Which tier the node is, by a model that it has, and not the one that is asked for; None: it does not say."""
        with suppress(OfframpError):  # of a server of another maker, that need not tell
            for name, version in self.client.statistics(timeout=timeout):
                if name.startswith(CLASSIFIER):
                    return self.client.config(name, timeout, version).get(TIER)
        return None

    def _check_logits(self, course: Course, place: Place | None, timeout: float) -> None:
        """Raise BundleMismatchError where it makes something else of a few images than the bundle does."""
        part, manifest = course.part, self.bundle.manifest
        if (part.cut, part.codec) in self.shown:
            return
        precision = place.precision if place is not None and place.precision in PRECISIONS else None
        probe, target = self.probes.get(part.cut, part.codec, precision), logits_name(manifest.last)
        request = write_request(model_asked(course), self.version, probe.features)
        result = self._result(self.client.begin(request, timeout), None, False)
        peer = self.called
        logits = check_logits(peer, target, result.outputs.get(target), *probe.logits.shape)
        noun = manifest.preprocessing.noun
        if wrong := difference(logits, probe.logits, manifest.classes, precision, target, noun=noun):
            raise BundleMismatchError(
                f"{peer} computes another network: {wrong}. Serve the edge's bundle there: {self.bundle.path}"
            )
        self.shown.add((part.cut, part.codec))

    def finish(
        self, flight: Flight, timeout: float, to: Reply | None = None, version: str | None = None
    ) -> Future[Finished]:
        """Send the features in one message; logits or answers will come, or word that the client has them."""
        if (refusal := self.health.refusal()) is not None:
            # One of its own for each: an error that is raised again holds the frames of every time before.
            return failed(type(refusal)(*refusal.args))
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
        if (refusal := self.health.refusal()) is not None:
            raise type(refusal)(*refusal.args)
        request = self._request(flight, plan_id(flight.course.plan) in self.knows)
        try:
            try:
                yield from self._parts(flight, request, timeout, gone)
            except UnknownModelError:  # the plan, or the bundle: it has done nothing yet
                request = self._request(flight, known=False)
                with self._meant(None, direct=False):
                    yield from self._parts(flight, request, timeout, gone)
        except LinkError as error:
            self._failed(error)
            raise
        self.health.answered()

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
                self.knows.add(plan_id(flight.course.plan))
                answers = self._answers(flight, result, len(rows))
                yield rows, Finished(answers, sent, result.size, hops=hops(result.parameters))
                sent = 0
        finally:
            gone.told = None
            stream.cancel()
        if gone.is_set():
            raise GoneError

    def _answers(self, flight: Flight, result: Result, rows: int) -> Answers:
        """What a tier between has answered to so many rows."""
        manifest, course = self.bundle.manifest, flight.course
        exits = [exit_ for exit_ in manifest.exits if exit_ > course.part.cut]
        answers = read_answers(result.outputs)
        return check_answers(self.called, answers, rows, len(manifest.classes), exits, course.behind)

    def _left(self, end: float, answer: "Future[Finished]") -> None:
        """Where the caller has gone, and at its deadline: it went because the cloud is late."""
        if answer.cancelled() and time.monotonic() > end:
            self.health.failed(DeadlineError(f"{self.called} did not answer before its caller went."))

    def _heard(self, *of: Any) -> Finished:
        try:
            finished = self._finished(*of)
        except LinkError as error:
            self._failed(error)
            raise
        self.health.answered()
        return finished

    def _failed(self, error: LinkError) -> None:
        if isinstance(error, (UnreachableError, BundleMismatchError)):
            self._gone()
        self.health.failed(error)

    def _finished(
        self, flight: Flight, version: str | None, sent: int, direct: bool, answer: "Future[Result]"
    ) -> Finished:
        peer, result = self.called, self._result(answer, version, direct)
        course, behind = flight.course, hops(result.parameters)
        if course.onward:
            self.knows.add(plan_id(course.plan))
        if direct:
            if result.parameters.get(DIRECT) is not True:
                raise LinkError(f"{peer} sends no direct replies. Leave 'reply_to' out.")
            return Finished(None, sent, result.size, result.took, behind)
        if course.onward:
            answers = self._answers(flight, result, len(flight.rows))
            return Finished(answers, sent, result.size, result.took, behind)
        exit_ = self.bundle.manifest.last if version is None else self._last_exit(result.outputs)
        name, classes = logits_name(exit_), len(self.bundle.manifest.classes)
        logits = check_logits(peer, name, result.outputs.get(name), len(flight.rows), classes)
        return Finished.by_cloud(flight, logits, exit_, sent, result.size, result.took)

    def _result(self, answer: "Future[Result]", version: str | None, direct: bool) -> Result:
        """What the cloud has answered, or why not, as whose fault that is."""
        with self._meant(version, direct):
            return answer.result()

    @contextmanager
    def _meant(self, version: str | None, direct: bool) -> Iterator[None]:
        peer = self.called
        try:
            with _let_in(self.client.address):
                yield
        except UnknownModelError as error:
            if version is not None:
                raise InputError(f"cloud_version {version!r}: the cloud does not serve it ({error}).") from error
            raise BundleMismatchError(f"{peer} changed its bundle: {error}") from error
        except InputError as error:
            # What the caller sent has been checked; of what goes along for it, only these two are the caller's own.
            if type(error) is not InputError or version is not None or direct:
                raise
            raise LinkError(f"{peer} does not take what this edge sends it: {error}") from error

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
