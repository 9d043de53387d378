"""A tier between the first and the last as models on a server: `classifier-k`, features at a boundary in, answers out.

It answers by the plan that goes along with each request, which is the first tier's. A client that is answered directly
has a stream to this tier too.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from time import perf_counter

from offramp.artifacts.codec import Codec
from offramp.artifacts.plan import Plan
from offramp.errors import DeadlineError, InputError, OverloadedError, UnreachableError
from offramp.exits.answers import tier_name
from offramp.nodes.batched import Caller, called_by
from offramp.nodes.cache import Cache
from offramp.nodes.chain import Followed, behind, plan_id
from offramp.nodes.contract import (
    DEGRADED,
    DIRECT,
    FOLLOWS,
    PLAN,
    READY,
    REPLY_AS,
    ROW,
    TIER,
    Reply,
    classifier_name,
    rows_said,
)
from offramp.nodes.edge import Edge, deadline
from offramp.nodes.edge_model import answer_specs, gathered, landed, noted, onward, result_of, sent_in, timed
from offramp.nodes.features import boundary_specs
from offramp.nodes.flight import Answered, Flight
from offramp.nodes.replies import Replies
from offramp.nodes.route import Course
from offramp.nodes.sent import Sent
from offramp.nodes.streamed import sent_in_parts
from offramp.protocol.record import Kind, Record
from offramp.protocol.served import Call, Pending, Result

COURSES = 16  # of plans of others, kept open
CHECK = 2.0  # seconds for those behind to be held against a plan

log = logging.getLogger("offramp")


class Followers:
    """The plans by which a tier of one network is asked to answer, and what it runs by each."""

    def __init__(self, edge: Edge) -> None:
        self.edge, self.followed = edge, Followed()
        self.courses = Cache[Plan, Course](edge.ready, COURSES)

    def course(self, call: Call) -> Course:
        """What a request is answered by: where it says nothing, the course in force."""
        said, own = call.text(FOLLOWS), self.edge.course
        if said is None:
            return own
        plan = self.followed.meant(said, own.plan)
        if plan is own.plan or plan_id(plan) == plan_id(own.plan):
            return own
        return self.courses.get(plan)


class TierModel:
    """What a tier makes of the features at one boundary, in one codec."""

    def __init__(self, followers: Followers, boundary: int, codec: Codec, replies: Replies | None = None) -> None:
        edge = followers.edge
        manifest = edge.bundle.manifest
        self.edge, self.followers, self.boundary, self.codec, self.replies = edge, followers, boundary, codec, replies
        self.name, self.version = classifier_name(boundary, codec), edge.bundle.id
        self.inputs = boundary_specs(manifest, boundary, codec)
        self.sources = tuple(spec.name for spec in self.inputs)
        self.outputs = answer_specs(manifest.classes)

    @property
    def config(self) -> dict[str, str]:
        """What the node is, and the plan that it follows where a request says none."""
        return {
            "bundle": self.version,
            "model": self.edge.bundle.manifest.model,
            "plan": self.edge.plan.to_json(),
            TIER: tier_name(self.edge.tier),
            "boundary": str(self.boundary),
            "codec": self.codec,
            **self.edge.choice.config,
        }

    def prepare(self) -> None:
        """The tier was made ready when it was made, for the plan that it follows."""

    def infer(self, call: Call) -> Result | Pending:
        """Answer a batch whole, in the caller's order; where it names a client's stream, there, and nothing here."""
        if call.flag(READY):
            return self._made_ready(call)
        return gathered(self._parts(call), None if Reply.of(call) is None else _told)

    def stream(self, call: Call) -> Iterator[Result | Pending]:
        """Answer a batch in parts; `row` says which rows of the batch a part answers."""
        return self._parts(call, streamed=Reply.of(call) is None)

    def _parts(self, call: Call, *, streamed: bool = False) -> Iterator[Result | Pending]:
        if others := sorted(PLAN & set(call.parameters)):
            raise InputError(f"parameter {others[0]!r}: a chain's plan is its first tier's. Ask for another there.")
        came = dict(zip(self.sources, call.tensors(*self.sources, beside=(ROW,)), strict=True))
        course, end, record = self._course(call), deadline(call.timeout), call.record
        reply, degraded = Reply.of(call), self.edge.degrading(call.flag(DEGRADED))
        rows = None if reply is None else rows_said(call, came[self.sources[0]])
        caller = Caller(call.timeout, call.cancelled, record)
        for part in _called(timed(self.edge.parts(came, plan=course), record), caller):
            if isinstance(part, Flight):
                start = perf_counter()
                flight = onward(part if rows is None else replace(part, rows=rows[part.rows]), call)
                if streamed and course.onward:
                    since = record.stage("encode", start)
                    with behind():
                        for answered in sent_in_parts(self.edge, flight, end, degraded, call.cancelled):
                            yield noted(answered, None, course.next, record)
                    record.stage("upstream", since)
                    return
                sent = self.edge.send(flight, end, reply, None, degraded)
                landing = partial(self._landed, sent, course, record, record.stage("encode", start))
                yield Pending(sent.answer, landing if reply is None else partial(self._tell, reply, landing))
            elif reply is None or rows is None:
                yield result_of(part, None, course.next)
            else:
                answered = part._replace(rows=rows[part.rows])
                yield self._tell(reply, partial(result_of, answered, None, course.next))

    def _made_ready(self, call: Call) -> Result:
        """Open what a plan wants of this tier, and hold those behind against it: they may be away, and not others."""
        course = self._course(call)
        with behind():
            try:
                self.edge.check(CHECK if call.timeout is None else min(call.timeout / 2, CHECK), course=course)
            except (UnreachableError, DeadlineError, OverloadedError):
                log.info("plan %s: followed, and who comes behind cannot be asked now", plan_id(course.plan))
        return Result({})

    def _course(self, call: Call) -> Course:
        course = self.followers.course(call)
        if (course.start, course.takes) != (self.boundary, self.codec):
            raise InputError(
                f"{self.name}: by the plan that this request follows, the {tier_name(self.edge.tier)} takes what "
                f"crosses boundary {course.start} as {course.takes or 'the samples themselves'}."
            )
        return course

    def _landed(self, sent: Sent, course: Course, record: Record, since: float) -> Result:
        with behind():
            return landed(sent, None, course.next, record, since)

    def _tell(self, reply: Reply, made: Callable[[], Result]) -> Result:
        """Give a part to the client that it is for, where nobody behind has done so, and what is left to say of it."""
        result = made()
        if DIRECT not in result.parameters:
            if self.replies is None:
                raise InputError("parameter 'reply_to': this node sends no direct replies. Leave it out.")
            self.replies.send(reply.token, Result(result.outputs, {REPLY_AS: reply.request}))
        return Result({}, {**result.parameters, DIRECT: True}, result.last, result.by)


def _told(parts: list[Result], rest: Pending | None = None) -> Result:
    """The parts of a batch that clients have been told of, as one."""
    every = parts if rest is None else [*parts, rest.finish()]
    by = sum((Counter(part.by) for part in every), Counter[Kind]())
    return Result({}, {**sent_in(every), DIRECT: True}, by=by)


def _called(parts: Iterator[Answered | Flight], caller: Caller) -> Iterator[Answered | Flight]:
    """The same parts, made for this caller."""
    while True:
        with called_by(caller):
            part = next(parts, None)
        if part is None:
            return
        yield part
