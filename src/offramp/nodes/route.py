"""A plan as a node follows it: the spans it runs, open, from where its input stands to where the rest is handed on.

Takes a plan, a tier and what opens spans. Knows neither batches nor who finishes what goes on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Self

from offramp.artifacts.bundle import Manifest, logits_name
from offramp.artifacts.codec import Codec
from offramp.artifacts.plan import Plan
from offramp.exits.answers import Tier
from offramp.runtime.span import Span, SpanSpec, Tensors

PLANS = 128  # of requests, remembered


@dataclass(frozen=True)
class Step:
    """A span that is run by a plan, open, with the names of what it gives."""

    spec: SpanSpec
    span: Span
    exit: int  # its end: an exit, or the boundary where the rest is cut
    logits: str
    features: tuple[str, ...]  # none where nobody wants them
    ends: bool  # the network ends here: there is nowhere to go on to

    @classmethod
    def of(cls, spec: SpanSpec, manifest: Manifest, opened: Callable[[SpanSpec], Span]) -> Self:
        """Open a span and name what it gives."""
        features = tuple(manifest.tensors(spec.end)) if spec.gives else ()
        return cls(spec, opened(spec), spec.end, logits_name(spec.end), features, spec.end == manifest.last)

    def given(self, outputs: Tensors) -> Tensors:
        """The features among what the span gave."""
        return {name: outputs[name] for name in self.features}


@dataclass(frozen=True)
class Route:
    """What a node runs by a plan: the spans between active exits, and the one to where the rest is cut, if any."""

    exits: tuple[Step, ...] = ()
    rest: Step | None = None
    back: bool = False  # what goes on is the input as it came: the cut lies before the exits

    @property
    def steps(self) -> tuple[Step, ...]:
        """All of them."""
        return self.exits if self.rest is None else (*self.exits, self.rest)


@dataclass(frozen=True, eq=False)
class Course:
    """A plan and what one tier runs by it. A batch that began by one ends by it, whatever its node follows since."""

    plan: Plan
    route: Route
    tier: Tier = Tier.EDGE
    start: int = 0  # the boundary where the input stands
    takes: Codec | None = None  # in which features arrive there; None: images, from a client

    @classmethod
    def of(cls, plan: Plan, manifest: Manifest, opened: Callable[[SpanSpec], Span], tier: Tier = Tier.EDGE) -> Self:
        """Open what a tier runs by a plan that fits the network."""
        start, takes = where_from(plan, tier)
        exits, rest, back = _specs(plan, manifest.last, start, takes)
        steps = tuple(Step.of(spec, manifest, opened) for spec in exits)
        last = None if rest is None else Step.of(rest, manifest, opened)
        return cls(plan, Route(steps, last, back), tier, start, takes)

    @property
    def cut(self) -> int:
        """Where what did not leave is handed on."""
        return self.plan.cut

    @property
    def codec(self) -> Codec:
        """In which it is."""
        return self.plan.codec

    @cached_property
    def but(self) -> "Callable[..., Plan]":
        """`Plan.but` of its plan, remembered: a caller names the same plan request after request."""
        return lru_cache(PLANS)(self.plan.but)


def where_from(plan: Plan, tier: Tier) -> tuple[int, Codec | None]:
    """The boundary and the codec in which a tier's input comes by a plan; no codec for the first: it gets images."""
    return 0, None


def _specs(plan: Plan, last: int, start: int, takes: Codec | None) -> tuple[list[SpanSpec], SpanSpec | None, bool]:
    """The spans between active exits, each giving its features as the next step wants them, and the one behind."""
    exits: list[SpanSpec] = []
    at, codec = start, takes or "fp32"
    for active in plan.active:
        more = active is not plan.active[-1] or plan.cut > active.exit
        gives: Codec | None = "fp32" if more else plan.codec if plan.cut == active.exit else None
        exits.append(SpanSpec(at, active.exit, (active.exit,), gives if active.exit != last else None, codec))
        at, codec = active.exit, "fp32"
    back = plan.cut < at
    if back:
        at, codec = start, takes or "fp32"
    if plan.cut == last:
        return exits, None if at == last else SpanSpec(at, last, (last,), None, codec), back
    # Features that came in one codec and go on as they are in another are translated by an empty span.
    if plan.cut > at or ((back or not exits) and takes not in (None, plan.codec)):
        return exits, SpanSpec(at, plan.cut, (), plan.codec, codec), back
    return exits, None, back
