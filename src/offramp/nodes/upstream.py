"""The next tier as an edge sees it: something that finishes what the edge began."""

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, Self

import numpy as np

from offramp.artifacts.bundle import LOGITS, Bundle, logits_name
from offramp.artifacts.codec import Codec, tail_name
from offramp.artifacts.engine import PRECISIONS, Place
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
from offramp.exits.answers import Answers, Judged, Tier
from offramp.nodes.breaker import Breaker
from offramp.nodes.contract import DIRECT, REPLY_AS, REPLY_TO, ROW, Reply, place_of
from offramp.nodes.flight import Flight
from offramp.nodes.logits import check_logits
from offramp.nodes.route import Course
from offramp.nodes.sameness import Probes, difference
from offramp.protocol.credentials import Credentials
from offramp.protocol.peer import Peer
from offramp.protocol.served import Array, Result
from offramp.protocol.tensors import write_request

PATIENCE = 0.9  # of its time, after which a caller that goes has waited long enough to hold it against the cloud


@dataclass(frozen=True)
class Finished:
    """What the next tier gave back for a flight."""

    answers: Answers | None  # a row each, whoever gave them; None where the caller got them directly
    bytes_sent: int = 0  # size of the message that carried the features; 0 where nothing was sent
    bytes_received: int = 0  # and of the answer
    took: float | None = None  # seconds in the cloud, by its own word

    @classmethod
    def by_cloud(
        cls,
        flight: Flight,
        logits: Array,
        exit_: int,
        bytes_sent: int = 0,
        bytes_received: int = 0,
        took: float | None = None,
    ) -> Self:
        """Answers from a last exit's logits `(N, classes)`."""
        answers = Judged.of(logits, flight.course.plan.score).answers(exit_, Tier.CLOUD)
        return cls(answers, bytes_sent, bytes_received, took)


class Upstream(Protocol):
    """Finishes flights."""

    def check(self, course: Course, timeout: float) -> Place | None:
        """Raise UnreachableError or BundleMismatchError unless it can finish what this course hands on.

        Gives what it computes with, where it says so.
        """

    def finish(
        self, flight: Flight, timeout: float, to: Reply | None = None, version: str | None = None
    ) -> Future[Finished]:
        """Run the rest of the network from the flight's features, and give what will be its answers, or the error.

        No thread waits meanwhile, and `timeout` is in seconds. With `to`, the logits go straight to the client that it
        names. With `version`, the network of that bundle runs in place of the edge's own, on images (cut 0).
        """


class Looked(Upstream, Protocol):
    """One that can be asked whether it is there."""

    def look(self, timeout: float) -> "Future[None]":
        """Ask in next to no bytes, and give what will be the answer; an error of ours after `timeout` seconds."""


class Health(Protocol):
    """What is known of whether a cloud can be asked now: a breaker, or what watches over it as well."""

    def refusal(self) -> OfframpError | None:
        """Why not to ask it now; None: ask, and tell what came of it."""

    def answered(self) -> None:
        """It has answered."""

    def failed(self, error: OfframpError) -> None:
        """It has not, for this reason."""


def then(first: "Future[Any]", finish: Callable[["Future[Any]"], Finished]) -> Future[Finished]:
    """What `finish` makes of an answer once it is there, or raises. Cancelled, it cancels the first."""
    second: Future[Finished] = Future()

    def done(answer: "Future[Any]") -> None:
        if not second.set_running_or_notify_cancel():
            return
        try:
            second.set_result(finish(answer))
        except Exception as error:
            second.set_exception(error)

    second.add_done_callback(lambda second: second.cancelled() and first.cancel())
    first.add_done_callback(done)
    return second


def at_once(work: Callable[[], Finished]) -> Future[Finished]:
    """The same of what is done here and now."""
    now: Future[None] = Future()
    now.set_result(None)
    return then(now, lambda _: work())


def failed(error: Exception) -> Future[Finished]:
    """An answer that there will not be."""
    none: Future[Finished] = Future()
    none.set_exception(error)
    return none


def give(answer: Future[Finished], by: Finished | BaseException) -> None:
    """Give an answer or an error, where anybody waits for it still."""
    if answer.set_running_or_notify_cancel():
        if isinstance(by, Finished):
            answer.set_result(by)
        else:
            answer.set_exception(by)


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
    """A cloud node at `HOST:PORT`, by `credentials` where it asks for some, or on a connection that others share.

    Each request names the bundle, so another one is refused whenever it appears.

    A server of another maker, that must number its models' versions as it likes, is told apart by `version` instead;
    an empty one names none. `health` is told of each request, and while it refuses nothing is sent. Who goes after
    `patience` of its time has found the cloud late.

    Whatever it calls itself, it shows what it computes before it is used: on a few images, again when it was gone.
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

    def wait_ready(self, timeout: float) -> None:
        """Wait until the cloud is there; UnreachableError after `timeout` seconds."""
        try:
            self.client.wait_ready(timeout)
        except LinkError:
            self.shown.clear()
            raise

    def check(self, course: Course, timeout: float) -> Place | None:
        """Wait for the cloud, and hold what it serves against the bundle, and what it computes."""
        with _let_in(self.client.address):
            return self._checked(course, timeout)

    def _checked(self, course: Course, timeout: float) -> Place | None:
        self.wait_ready(timeout)
        name, address = tail_name(course.part.cut, course.part.codec), self.client.address
        try:
            versions = self.client.metadata(name, timeout).versions
        except UnknownModelError as error:
            raise BundleMismatchError(
                f"cloud {address} does not serve {name} ({error}). Serve the edge's bundle there: {self.bundle.path}"
            ) from error
        if self.version and not versions:  # not every server lists them
            try:
                self.client.metadata(name, timeout, self.version)
            except UnknownModelError as error:
                raise BundleMismatchError(
                    f"cloud {address} does not serve {name} in version {self.version} ({error}). A server of another "
                    "maker has versions of its own: name its with --cloud-version."
                ) from error
        elif self.version and self.version not in versions:
            if self.version != self.bundle.id:
                raise BundleMismatchError(
                    f"cloud {address} serves {name} in version {', '.join(versions)}, and this edge asks for version "
                    f"{self.version}. Name the right one with --cloud-version."
                )
            raise BundleMismatchError(
                f"cloud {address} serves bundle {', '.join(versions)}, and this edge holds "
                f"{self.version} ({self.bundle.path}). Give both nodes the same bundle."
            )
        self.client.prepare(name, timeout, self.version)
        try:
            place = place_of(self.client.config(name, timeout, self.version))
        except RefusedError:
            raise
        except OfframpError:  # a server of another maker need not have one
            place = None
        self._check_logits(course, place, timeout)
        return place

    def _check_logits(self, course: Course, place: Place | None, timeout: float) -> None:
        """Raise BundleMismatchError where it makes something else of a few images than the bundle does."""
        part, manifest = course.part, self.bundle.manifest
        if (part.cut, part.codec) in self.shown:
            return
        precision = place.precision if place is not None and place.precision in PRECISIONS else None
        probe, target = self.probes.get(part.cut, part.codec, precision), logits_name(manifest.last)
        request = write_request(tail_name(part.cut, part.codec), self.version, probe.features)
        result = self._result(self.client.begin(request, timeout), None, False)
        peer = f"cloud {self.client.address}"
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
        """Send the features in one message; the logits will come, or word that the client has them."""
        if (refusal := self.health.refusal()) is not None:
            # One of its own for each: an error that is raised again holds the frames of every time before.
            return failed(type(refusal)(*refusal.args))
        inputs, parameters = flight.features, {}
        if to is not None:
            inputs = inputs | {ROW: flight.rows.astype(np.int64)}
            parameters = {REPLY_TO: to.token, REPLY_AS: to.request}
        name = tail_name(flight.course.part.cut, flight.course.part.codec)
        request = write_request(name, self.version if version is None else version, inputs, parameters)
        finished = partial(self._heard, flight, version, request.ByteSize(), to is not None)
        end = time.monotonic() + self.patience * timeout
        answer = then(self.client.begin(request, timeout, flight.trace), finished)
        answer.add_done_callback(partial(self._left, end))
        return answer

    def _left(self, end: float, answer: "Future[Finished]") -> None:
        """Where the caller has gone, and at its deadline: it went because the cloud is late."""
        if answer.cancelled() and time.monotonic() > end:
            self.health.failed(DeadlineError(f"cloud {self.client.address} did not answer before its caller went."))

    def _heard(self, *of: Any) -> Finished:
        try:
            finished = self._finished(*of)
        except LinkError as error:
            if isinstance(error, UnreachableError):
                self.shown.clear()
            self.health.failed(error)
            raise
        self.health.answered()
        return finished

    def _finished(
        self, flight: Flight, version: str | None, sent: int, direct: bool, answer: "Future[Result]"
    ) -> Finished:
        peer, result = f"cloud {self.client.address}", self._result(answer, version, direct)
        if direct:
            if result.parameters.get(DIRECT) is not True:
                raise LinkError(f"{peer} sends no direct replies. Leave 'reply_to' out.")
            return Finished(None, sent, result.size, result.took)
        exit_ = self.bundle.manifest.last if version is None else self._last_exit(result.outputs)
        name, classes = logits_name(exit_), len(self.bundle.manifest.classes)
        logits = check_logits(peer, name, result.outputs.get(name), len(flight.rows), classes)
        return Finished.by_cloud(flight, logits, exit_, sent, result.size, result.took)

    def _result(self, answer: "Future[Result]", version: str | None, direct: bool) -> Result:
        """What the cloud has answered, or why not, as whose fault that is."""
        peer = f"cloud {self.client.address}"
        try:
            with _let_in(self.client.address):
                return answer.result()
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
            raise LinkError(
                f"cloud {self.client.address}: expected the logits of one exit, got {', '.join(outputs) or 'nothing'}."
            )
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
