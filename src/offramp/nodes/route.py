"""A plan as a node follows it: the spans it runs, open, from where its input stands to where the rest is handed on.

Takes a plan, a tier and what opens spans. Knows neither batches nor who finishes what goes on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Self

from offramp.artifacts.codec import Codec
from offramp.artifacts.manifest import Manifest
from offramp.artifacts.outcome import LAST_TIER
from offramp.artifacts.plan import Part, Plan
from offramp.artifacts.stages import logits_name
from offramp.errors import InputError
from offramp.exits.answers import Tier, tier_name
from offramp.runtime.span import Span, SpanSpec, Tensors
from offramp.runtime.tier_spans import tier_spans

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
    route: Route = Route()
    tier: int = Tier.EDGE
    start: int = 0  # the boundary where the input stands
    takes: Codec | None = None  # in which features arrive there; None: images, from a client

    @classmethod
    def of(cls, plan: Plan, manifest: Manifest, opened: Callable[[SpanSpec], Span], tier: int = Tier.EDGE) -> Self:
        """Open what a tier runs by a plan that fits the network."""
        part, start, takes = part_of(plan, tier)
        exits, rest, back = tier_spans(part, manifest.last, start, takes)
        steps = tuple(Step.of(spec, manifest, opened) for spec in exits)
        last = None if rest is None else Step.of(rest, manifest, opened)
        return cls(plan, Route(steps, last, back), tier, start, takes)

    @cached_property
    def part(self) -> Part:
        """What the plan says of its own tier."""
        return self.plan.tiers[tier_name(self.tier)]

    @cached_property
    def next(self) -> str:
        """The tier that the rest is handed on to."""
        return self.plan.after(tier_name(self.tier))

    @property
    def onward(self) -> bool:
        """Whether that is one of the plan's, which answers; not the last, which runs the network to its end."""
        return self.next in self.plan.tiers

    @cached_property
    def behind(self) -> tuple[str, ...]:
        """The tiers that come behind this one, the cloud last."""
        names = [*self.plan.tiers, LAST_TIER]
        return tuple(dict.fromkeys(names[names.index(tier_name(self.tier)) + 1 :]))

    @cached_property
    def but(self) -> "Callable[..., Plan]":
        """`Plan.but` of its plan, remembered: a caller names the same plan request after request."""
        return lru_cache(PLANS)(self.plan.but)


def part_of(plan: Plan, tier: int) -> tuple[Part, int, Codec | None]:
    """A tier's part of a plan, and the boundary and codec in which its input comes; no codec where that is images."""
    names, name = list(plan.tiers), tier_name(tier)
    if name not in names:
        raise InputError(f"plan: it is for {' and '.join(names)}, and this node is the {name}. Give it a plan for it.")
    before = plan.before(name)
    return plan.tiers[name], *((0, None) if before is None else (before.cut, before.codec))
