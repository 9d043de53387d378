"""The edge as a library: answer at a local exit what is sure enough, hand the rest on, lose nobody's place.

    edge = Edge("bundle", Plan.of(3, 0.3), cloud="10.0.0.5:8001")
    answers = edge.infer(images)

A local exit costs no socket. The server (`EdgeModel`) is a thin shell over this.
"""

import math
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol

import numpy.typing as npt

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.codec import Codec
from offramp.artifacts.engine import Place
from offramp.artifacts.plan import Part, Plan
from offramp.artifacts.stages import IMAGE
from offramp.errors import DeadlineError, InputError
from offramp.exits.answers import Answers, Tier, merge, tier_number
from offramp.nodes.batched import batched
from offramp.nodes.batching import Batcher
from offramp.nodes.cache import Cache
from offramp.nodes.cascade import check_cascade
from offramp.nodes.contract import DEGRADED, Reply
from offramp.nodes.edge_settings import EDGE
from offramp.nodes.failover import clouds_at
from offramp.nodes.fallback import Fallback
from offramp.nodes.features import boundary_specs, check_features
from offramp.nodes.flight import Answered, Flight, Rows, parts
from offramp.nodes.inputs import read_batch
from offramp.nodes.local_cloud import LocalCloud
from offramp.nodes.route import Course, Step, part_of
from offramp.nodes.sameness import check_steps
from offramp.nodes.sent import Room, Sending, Sent
from offramp.nodes.upstream import Finished, Upstream, failed
from offramp.protocol.credentials import Credentials
from offramp.protocol.notices import Degraded
from offramp.protocol.served import Call
from offramp.runtime.choice import LARGEST, Choice, choose
from offramp.runtime.open import open_span, warm_up
from offramp.runtime.span import Span, SpanSpec, Tensors
from offramp.runtime.tier_spans import tail_span

CLOUD_TIMEOUT = 10.0  # seconds an edge waits for its cloud at most
IN_FLIGHT = 1024  # samples that a cloud may be working on at once, most of them of 16 KB or less
# Kept for what calls ask for by plans of their own, beside what the edge's own plan needs.
SPANS, FALLBACKS = 32, 4
# Kept to answer in, beside what the network takes: seconds, and a share of the time. A busy machine wants more.
MARGIN, SHARE = 0.01, 0.05
TOO_LATE = "the deadline passed before the cloud was asked."

Images = npt.NDArray[Any]


class Follows(Protocol):
    """Who has an edge follow its link: hears of what is sent, and knows what meets a deadline."""

    def sent(self, flight: Flight, began: float, answer: Future[Finished], *, alone: bool) -> Future[Finished]:
        """A flight has been sent at a time of the monotonic clock; give what its answer is to be taken from.

        `alone`: the edge answers it itself where no answer comes.
        """

    def within(self, timeout: float) -> Course | None:
        """What to answer by in so many seconds, where the course in force takes longer and another does not."""


class Audits(Protocol):
    """Who looks at an edge's answers."""

    def watched(self, parts: Iterator[Answered | Flight], course: Course, came: Tensors) -> Iterator[Answered | Flight]:
        """The parts of a batch that came so, the same; a flight knows how many of it were `drawn`."""

    def went(self, flight: Flight, answer: "Future[Finished]") -> None:
        """A flight of which some were drawn has been sent."""


class Edge:
    """Answers batches by a plan, until it is told to follow another. Safe to call from several threads at once.

    `bundle` is one, or its folder; `cloud` is what finishes what the edge is not sure of, or a cloud's HOST:PORT, or
    those of several with commas between them, or None where the plan answers everything here. Nothing is sent before a
    sample needs it: `check` asks the cloud now. `threads` of 0 uses every core; `runtime` and `precision` may be
    `auto`, which chooses once for this machine and bundle, for batches of up to `largest`, or a `choice` that was made
    already stands in for the four. `tier` names whose part of the plan it runs: the first of the plan gets what the
    network takes, a later one the features at the cut of the one before.

    What the cloud cannot answer in time is answered here, at the deepest exit that can still be reached, and marked
    `degraded`; an error in its place where `degraded` is False. `cloud_timeout` seconds are waited for the cloud at
    most, or as long as a caller of the latter says, and `in_flight` samples are left to it at once. `credentials` are
    for clouds that are named by their addresses. With a `batcher`, what several callers ask at once is run as one
    batch.
    """

    def __init__(
        self,
        bundle: Bundle | Path | str,
        plan: Plan,
        cloud: Upstream | str | None = None,
        *,
        threads: int = 0,
        runtime: str = "onnxruntime",
        precision: str = "fp32",
        choice: Choice | None = None,
        largest: int = LARGEST,
        tier: str | Tier = EDGE,
        cloud_timeout: float = CLOUD_TIMEOUT,
        degraded: bool = True,
        in_flight: int = IN_FLIGHT,
        credentials: Credentials | None = None,
        batcher: Batcher | None = None,
    ) -> None:
        self.bundle = bundle = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
        self.cloud = clouds_at(bundle, cloud, credentials) if isinstance(cloud, str) else cloud
        self.preprocessing = bundle.manifest.preprocessing
        self.last = bundle.manifest.last
        self.tier, self.cloud_timeout = tier_number(tier) if isinstance(tier, str) else int(tier), cloud_timeout
        self.degrades = degraded and self.cloud is not None and not isinstance(self.cloud, LocalCloud)
        self.room, self.notice = Room(in_flight), Degraded()
        self.beyond: Place | None = None  # what the cloud computes with, once it has said so
        self._check(plan)  # before anything is timed
        self.choice = choice or choose(bundle, runtime, precision, threads, largest)
        engine = self.choice.engine
        self.spans = Cache[SpanSpec, Span](lambda spec: batched(open_span(bundle, spec, engine), batcher), SPANS)
        self.fallbacks = Cache[tuple[int, Codec], Fallback](
            lambda cut: Fallback.of(bundle, *cut, self.spans.get), FALLBACKS
        )
        self.specs = cache(partial(boundary_specs, bundle.manifest))  # of each batch that comes as features
        self.held: frozenset[Course] = frozenset()
        self.follower: Follows | None = None  # who has it follow its link
        self.auditor: Audits | None = None  # who looks at its answers
        self.follow(plan)

    @property
    def plan(self) -> Plan:
        """That of the course in force."""
        return self.course.plan

    def follow(self, plan: Plan | Course) -> None:
        """Answer by another plan, or what is ready for it, from now on. A batch that has begun ends by its own."""
        course = plan if isinstance(plan, Course) else self.ready(plan)
        if course not in self.held:
            self.held = frozenset()
            self._keep(course)
        self.course = course

    def hold(self, courses: Iterable[Course]) -> None:
        """Keep all of these open, and the one in force: to follow one of them then costs nothing."""
        self.held = frozenset(courses)
        self._keep(*self.held, self.course)

    def _keep(self, *courses: Course) -> None:
        self.spans.keep({step.spec: step.span for course in courses for step in course.route.steps})
        cut = [course.part for course in courses if self._falls_back(course)]
        self.fallbacks.keep({(part.cut, part.codec): self.fallback(part) for part in cut})

    def ready(self, plan: Plan) -> Course:
        """What this edge runs by a plan, open and warm, for it to follow; InputError where it cannot.

        Raises ParityError where its spans compute something else here than at export.
        """
        course = self.course_of(plan)
        for step in course.route.steps:
            warm_up(step.span, self.bundle, step.spec)
        if course.takes is None:
            self._test(course)
        return course

    def course_of(self, plan: Plan) -> Course:
        """What this edge runs by a plan, open; InputError where it cannot follow it."""
        self._check(plan)
        return Course.of(plan, self.bundle.manifest, self.spans.get, self.tier)

    def fallback(self, part: Part) -> Fallback:
        """How it goes on by itself from where a part is cut."""
        return self.fallbacks.get((part.cut, part.codec))

    def answers_alone(self, course: Course | None = None) -> bool:
        """Whether it answers any sample without the cloud, by a course or the one in force."""
        if self.degrades:
            return True
        part = (course or self.course).part
        drops = part.drop_threshold is not None and part.drop_threshold < 1
        return not part.hands_on(self.last) or drops or any(active.threshold > 0 for active in part.active)

    def check(
        self, timeout: float = CLOUD_TIMEOUT, cloud: Upstream | None = None, course: Course | None = None
    ) -> None:
        """Ask the cloud, or one of several, whether it can finish what the plan hands on, where that is anything.

        `course` stands in for the one in force. Raises UnreachableError after `timeout` seconds without an answer,
        BundleMismatchError where the cloud holds another bundle.
        """
        cloud, course = cloud or self.cloud, course or self.course
        if cloud is not None and course.part.hands_on(self.last):
            self.beyond = cloud.check(course, timeout)

    def infer(
        self,
        image: Images | Tensors,
        *,
        plan: Plan | Course | None = None,
        timeout: float | None = None,
        cloud_version: str | None = None,
        degraded: bool | None = None,
    ) -> Answers:
        """Answer a batch, every row in its place: float32 `(N, C, H, W)` in [0, 1], or as `nodes.inputs` says.

        `plan` stands in for the edge's own for this call; `timeout` in seconds bounds it. Raises InputError for a batch
        that the network does not take, LinkError where the cloud was needed and failed and no degraded answer was to be
        had: `degraded` of False asks for none.

        `cloud_version` makes the call a cascade: the cloud's network of that bundle's id gets the images that go on,
        and answers them whole. It has the edge's classes, in their order; its answers' `exit` is its own last one.

        A tier behind another takes the tensors of the boundary where its part begins, by name, as they travel.
        """
        end, degraded = deadline(timeout), self.degrading(degraded)
        if plan is None and cloud_version is None:
            plan = self.within(timeout)
        found: list[tuple[Rows, Answers]] = []
        for part in self.parts(image, plan=plan, cloud_version=cloud_version):
            done = part if isinstance(part, Answered) else self.send(part, end, None, cloud_version, degraded)()
            assert done.answers is not None  # nobody was named to be answered directly
            found.append((done.rows, done.answers))
        return found[0][1] if len(found) == 1 else merge(found, sum(len(rows) for rows, _ in found))

    def parts(
        self, image: Images | Tensors, *, plan: Plan | Course | None = None, cloud_version: str | None = None
    ) -> Iterator[Answered | Flight]:
        """Answer a batch in parts: what leaves at each active exit as soon as it is known, then what goes on, to send.

        Nobody has been asked for that yet: see `send`.
        """
        course = self.course if plan is None else plan if isinstance(plan, Course) else self.course_of(plan)
        if cloud_version is not None:
            check_cascade(cloud_version, course, self.preprocessing.kind)
        came = self._read(course, image)
        found = parts(course, came)
        own = course.takes is None and cloud_version is None and (plan is None or plan is course)
        if self.auditor is None or not own:
            return found
        return self.auditor.watched(found, course, came)

    def within(self, timeout: float | None) -> Course | None:
        """The course of a call that has so many seconds, where the one in force would take longer; None: that one."""
        return None if timeout is None or self.follower is None else self.follower.within(timeout)

    def degrading(self, asked: bool | None) -> bool:
        """Whether a call that asks so gets degraded answers; InputError where it wants some and there are none."""
        if asked and not self.degrades and self.cloud is not None:
            raise InputError("degraded: this edge gives no degraded answers. Leave it out, or set it to false.")
        return self.degrades if asked is None else asked

    def send(
        self,
        flight: Flight,
        end: float | None = None,
        to: Reply | None = None,
        version: str | None = None,
        degraded: bool = False,
    ) -> Sent:
        """Ask the cloud for the rest, until `end` of the monotonic clock; no thread waits for what it will answer.

        With `to` the cloud answers its rows on the stream that the client opened to it, and gives no answers here. With
        `degraded` the answer is made here where the cloud fails, and time for that is kept back.
        """
        cloud = self.cloud
        assert cloud is not None  # _check saw to it
        sending = self.sending(flight, end, degraded)
        flight, now, wait = sending.flight, sending.now, sending.wait
        if wait <= 0:
            answer = failed(DeadlineError(TOO_LATE))
        else:
            answer = self.room.take(len(flight.rows), lambda: cloud.finish(flight, wait, to, version))
            if self.follower is not None:
                answer = self.follower.sent(flight, now, answer, alone=sending.fallback is not None)
        if flight.drawn and self.auditor is not None:
            self.auditor.went(flight, answer)
        return sending.sent(answer, self.notice.note, direct=to is not None and version is None)

    def sending(self, flight: Flight, end: float | None, degraded: bool) -> Sending:
        """How long the next tier is waited for until `end`, and who answers where it does not."""
        fallback = self.fallback(flight.course.part) if degraded else None
        if flight.course.onward and not degraded:
            flight = replace(flight, along={**flight.along, DEGRADED: False})
        now, due = time.monotonic(), math.inf if end is None else end
        if end is None or fallback is not None:
            end = min(due, now + self.cloud_timeout)
        wait = end - now
        if fallback is not None:
            # Twice what it takes, since others may do the same at once; the cloud gets its half of any time.
            wait -= min(2 * fallback.seconds(len(flight.rows)) + MARGIN + SHARE * wait, wait / 2)
        return Sending(flight, now, wait, end, fallback, due)

    def _test(self, course: Course) -> None:
        """Raise ParityError where the spans, or those of the way on without a cloud, compute otherwise than at export.

        A span that leads to the cut gives no logits: where nothing is held behind it, the tail is opened to judge it.
        """
        engine, part, behind = self.choice.engine, course.part, list[Step]()
        if self._falls_back(course):
            behind = [timed.step for timed in self.fallback(part).steps]
        elif course.route.rest is not None and part.hands_on(self.last):
            tail = tail_span(self.last, part.cut, part.codec)
            behind = [Step.of(tail, self.bundle.manifest, lambda spec: open_span(self.bundle, spec, engine))]
        steps = list(course.route.steps)
        for run in [steps, behind] if course.route.back else [[*steps, *behind]]:
            check_steps(self.bundle, run, engine)

    def _falls_back(self, course: Course) -> bool:
        return self.degrades and course.part.hands_on(self.last)

    def _read(self, course: Course, batch: Images | Tensors) -> Tensors:
        """A batch as the course takes it, checked."""
        if course.takes is None and not isinstance(batch, dict):
            return {IMAGE: read_batch(self.preprocessing, batch, self.bundle.tokenizer)}
        if course.takes is None:
            assert isinstance(batch, dict)
            (samples,) = Call(batch).tensors(self.preprocessing.name)
            return {IMAGE: read_batch(self.preprocessing, samples, self.bundle.tokenizer)}
        specs = self.specs(course.start, course.takes)
        names = [spec.name for spec in specs]
        tensors = Call(batch if isinstance(batch, dict) else {names[0]: batch}).tensors(*names)
        check_features(specs, tensors)
        return dict(zip(names, tensors, strict=True))

    def _check(self, plan: Plan) -> None:
        """Raise InputError where the edge cannot follow the plan."""
        part, _, _ = part_of(plan.check(self.bundle.manifest), self.tier)
        if plan.promise is not None and plan.promise.source != f"bundle:{self.bundle.id}":
            source = plan.promise.source.replace(":", " ")
            raise InputError(
                f"plan: what it promises was shown of {source}, and this edge holds bundle {self.bundle.id} "
                f"({self.bundle.path}). Choose one for it (offramp plan), or take the promise out."
            )
        if self.cloud is None and part.hands_on(self.last):
            what = f"exit {part.exit}: what is not sure enough" if part.active else f"cut {part.cut}: what comes"
            raise InputError(
                f"{what} there goes to a cloud, and this edge has none. "
                f"Name one (--cloud HOST:PORT), or answer everything here at exit {self.last}."
            )


def deadline(timeout: float | None) -> float | None:
    """When so many seconds from now are over, on the monotonic clock."""
    return None if timeout is None else time.monotonic() + timeout
