"""The edge as a library: answer at a local exit what is sure enough, hand the rest on, lose nobody's place.

    edge = Edge("bundle", Plan.of(3, 0.3), cloud="10.0.0.5:8001")
    answers = edge.infer(images)

A local exit costs no socket. The server (`EdgeModel`) is a thin shell over this.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from offramp.artifacts.bundle import Bundle, features_name, logits_name
from offramp.artifacts.codec import Codec, encode_image
from offramp.artifacts.plan import Plan
from offramp.errors import DeadlineError, InputError, LinkError
from offramp.exits.answers import Answers, Judged, Tier, merge
from offramp.exits.decision import Decision
from offramp.nodes.images import read_images
from offramp.nodes.spans import Spans
from offramp.nodes.upstream import Direct, RemoteCloud, Upstream
from offramp.protocol.served import Reply
from offramp.runtime.choice import Choice, choose
from offramp.runtime.span import Span, SpanSpec, warm_up

CLOUD_TIMEOUT = 10.0  # seconds an edge waits for its cloud when the caller gives no deadline

Images = npt.NDArray[Any]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Part:
    """Answers for some rows of a batch; `last` where no further part follows."""

    rows: Rows
    answers: Answers | None  # None where the cloud answers the client directly
    bytes_to_cloud: int
    last: bool


@dataclass(frozen=True)
class Step:
    """A span that is run by a plan, open, with the names of what it gives."""

    spec: SpanSpec
    span: Span
    exit: int  # its end: an exit, or the boundary where the rest is cut
    logits: str
    features: str | None  # None where nobody wants them

    @classmethod
    def of(cls, spec: SpanSpec, span: Span) -> "Step":
        """Name what a span gives."""
        return cls(spec, span, spec.end, logits_name(spec.end), features_name(spec.end) if spec.gives else None)


@dataclass(frozen=True)
class Route:
    """What an edge runs by a plan: the spans between active exits, and the one behind them to the cut, if any."""

    exits: tuple[Step, ...]
    rest: Step | None


class Edge:
    """Answers batches by a plan. Safe to call from several threads at once.

    `bundle` is one, or its folder; `cloud` is what finishes what the edge is not sure of, or a cloud's HOST:PORT, or
    None where the plan answers everything here. Nothing is sent before a sample needs it: `check` asks the cloud now.
    `threads` of 0 uses every core; `runtime` and `precision` may be `auto`, which times both runtimes on this machine,
    or a `choice` that was made already stands in for the two.
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
    ) -> None:
        self.bundle = bundle = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
        self.cloud = RemoteCloud(bundle, cloud) if isinstance(cloud, str) else cloud
        self.threads, self.preprocessing = threads, bundle.manifest.preprocessing
        self.last = bundle.manifest.last
        self.plan = self._check(plan)
        # `auto` times what the edge runs of every sample, and the whole network where it runs nothing by itself.
        end = max([plan.cut, *(active.exit for active in plan.active)]) or self.last
        ends = {*(active.exit for active in plan.active), *([self.last] if end == self.last else [])}
        self.choice = choice or choose(bundle, SpanSpec(0, end, tuple(sorted(ends))), runtime, precision, threads)
        self.spans = Spans(bundle, threads, self.choice.engine)
        self.route = self._route(plan, self.spans.keep)
        self._warm()

    def check(self, timeout: float = CLOUD_TIMEOUT) -> None:
        """Ask the cloud whether it can finish what the plan hands on, where the plan hands anything on.

        Raises UnreachableError after `timeout` seconds without an answer, BundleMismatchError where the cloud holds
        another bundle.
        """
        if self.cloud is not None and self.plan.hands_on(self.last):
            self.cloud.check(self.plan, timeout)

    def infer(
        self,
        image: Images,
        *,
        plan: Plan | None = None,
        timeout: float | None = None,
        cloud_version: str | None = None,
    ) -> Answers:
        """Answer a batch, every row in its place: float32 `(N, C, H, W)` in [0, 1], or as `nodes.images` says.

        `plan` stands in for the edge's own for this call; `timeout` in seconds bounds the wait for the cloud. Raises
        InputError for a batch that the network does not take, LinkError where the cloud was needed and failed.

        `cloud_version` makes the call a cascade: the cloud's network of that bundle's id gets the images that go on,
        and answers them whole. It has the edge's classes, in their order; its answers' `exit` is its own last one.
        """
        parts = self.parts(image, plan=plan, timeout=timeout, cloud_version=cloud_version)
        found = [(part.rows, part.answers) for part in parts if part.answers]
        return found[0][1] if len(found) == 1 else merge(found, len(image))

    def parts(
        self,
        image: Images,
        *,
        plan: Plan | None = None,
        timeout: float | None = None,
        reply: Reply | None = None,
        cloud_version: str | None = None,
    ) -> Iterator[Part]:
        """Answer a batch in parts: what leaves at each active exit as soon as it is known, then what goes on.

        With `reply` the cloud answers its rows on the stream that the client opened to it, and their part is empty.
        """
        end = None if timeout is None else time.monotonic() + timeout
        if plan is None:
            plan, route = self.plan, self.route
        else:
            route = self._route(self._check(plan), self.spans.get)
        if cloud_version is not None:
            _check_cascade(cloud_version, plan)
        image = read_images(self.preprocessing, image)
        rows, features = np.arange(len(image)), image
        for position, step in enumerate(route.exits):
            outputs = step.span.run(features)
            judged = Judged.of(outputs[step.logits], plan.score)
            if step.exit == self.last:  # nowhere to go on to: every sample is answered, whatever its score
                yield Part(rows, judged.answers(step.exit, Tier.EDGE), 0, last=True)
                return
            decision = Decision.at(judged.scores, plan.first, position)
            if len(decision.exit):
                done = not len(decision.forward) and not len(decision.drop)
                answers = judged.answers(step.exit, Tier.EDGE, slice(None) if done else decision.exit)
                yield Part(rows[decision.exit], answers, 0, last=done)
            if len(decision.drop):
                answers = judged.answers(step.exit, Tier.EDGE, decision.drop, dropped=True)
                yield Part(rows[decision.drop], answers, 0, last=not len(decision.forward))
            if not len(decision.forward):
                return
            if step.features is not None:
                features = outputs[step.features]
            if len(decision.forward) < len(rows):
                rows = rows[decision.forward]
                features = features[decision.forward] if step.features is not None else features
        yield self._rest(plan, route.rest, image, rows, features, end, reply, cloud_version)

    def _rest(
        self,
        plan: Plan,
        rest: "Step | None",
        image: Images,
        rows: Rows,
        features: npt.NDArray[Any],
        end: float | None,
        reply: Reply | None,
        cloud_version: str | None,
    ) -> Part:
        """Answer what left at no active exit: here, if the network ends here, else by the cloud."""
        if plan.cut == self.last:
            assert rest is not None
            judged = Judged.of(rest.span.run(features)[rest.logits], plan.score)
            return Part(rows, judged.answers(self.last, Tier.EDGE), 0, last=True)
        if plan.cut == 0:
            features = encode_image(image[rows], plan.codec)
        elif rest is not None:
            features = rest.span.run(features)[features_name(plan.cut)]
        assert self.cloud is not None  # _check saw to it
        wait = CLOUD_TIMEOUT if end is None else end - time.monotonic()
        to = None if reply is None else Direct(reply, rows)
        try:
            if wait <= 0:
                raise DeadlineError("the deadline passed before the cloud was asked.")
            finished = self.cloud.finish(plan.cut, plan.codec, features, wait, to, cloud_version)
        except LinkError as error:
            where = f"at exit {plan.exit} " if plan.active else ""
            raise type(error)(
                f"{error} {len(rows)} of {len(image)} samples are not sure enough {where}to be answered without it."
            ) from error
        answers = None
        if finished.logits is not None:
            answers = Judged.of(finished.logits, plan.score).answers(finished.exit or self.last, Tier.CLOUD)
        return Part(rows, answers, finished.bytes_sent, last=True)

    def _exit_spans(self, plan: Plan) -> list[SpanSpec]:
        """The spans between active exits; each gives its features in the form in which the next step wants them."""
        spans, start = [], 0
        for active in plan.active:
            more = active is not plan.active[-1] or plan.cut > active.exit
            gives: Codec | None = "fp32" if more else plan.codec if plan.cut == active.exit else None
            spans.append(SpanSpec(start, active.exit, (active.exit,), gives if active.exit != self.last else None))
            start = active.exit
        return spans

    def _route(self, plan: Plan, opened: Callable[[SpanSpec], Span]) -> Route:
        """The spans that the edge runs by a plan, open."""
        specs = self._exit_spans(plan)
        at = specs[-1].end if specs else 0
        exits = tuple(Step.of(spec, opened(spec)) for spec in specs)
        if plan.cut <= at:
            return Route(exits, None)
        ends = (self.last,) if plan.cut == self.last else ()
        spec = SpanSpec(at, plan.cut, ends, None if ends else plan.codec)
        return Route(exits, Step.of(spec, opened(spec)))

    def _check(self, plan: Plan) -> Plan:
        plan.check(self.bundle.manifest)
        if self.cloud is None and plan.hands_on(self.last):
            what = f"exit {plan.exit}: what is not sure enough" if plan.active else f"cut {plan.cut}: what comes"
            raise InputError(
                f"{what} there goes to a cloud, and this edge has none. "
                f"Name one (--cloud HOST:PORT), or answer everything here at exit {self.last}."
            )
        return plan

    def _warm(self) -> None:
        """Run what the plan needs."""
        for step in (*self.route.exits, *([self.route.rest] if self.route.rest else [])):
            warm_up(step.span, self.bundle, step.spec)


def _check_cascade(cloud_version: str, plan: Plan) -> None:
    """Raise InputError unless what goes on are images: all that two networks have in common."""
    if not cloud_version:
        raise InputError("cloud_version '': expected the id of a bundle that the cloud serves.")
    if plan.cut != 0:
        raise InputError(
            f"cloud_version {cloud_version!r}: another network takes images and no features, and this request is cut "
            f"at {plan.cut}. Set cut to 0."
        )
