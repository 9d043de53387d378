"""The plans worth choosing among, each with what it costs, so that a node can price them on the link of the moment."""

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from offramp.artifacts.document import Document, Frozen
from offramp.artifacts.plan import Plan

Milliseconds = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Bytes = Annotated[float, Field(ge=0)]


class Priced(Frozen):
    """A plan, and what a sample costs by it in the mean, at batch 1; what the link adds is not in it."""

    plan: Plan
    accuracy: Share  # of all samples, as predicted
    edge_ms: Milliseconds  # at the edge, of all samples: spans, heads, encoding and what is done around them
    onward: Share  # of the samples that go on to the cloud
    bytes_up: Bytes = 0.0  # that one of these sends, framing included
    bytes_down: Bytes = 0.0  # that its answer takes
    cloud_ms: Milliseconds = 0.0  # that one of these takes at the cloud

    def mean_ms(self, up: float, down: float, round_trip_ms: float, cloud_slower: float = 1.0) -> float:
        """Mean latency of a sample over a link of these rates in bits/s; infinite where it needs a link of rate 0."""
        if not self.onward:
            return self.edge_ms
        if not (up > 0 and down > 0):
            return float("inf")
        link = round_trip_ms + 8000 * (self.bytes_up / up + self.bytes_down / down)
        return self.edge_ms + self.onward * (link + cloud_slower * self.cloud_ms)


class Choices(Document):
    """Plans of one bundle, none of which another beats in accuracy and on every link at once."""

    FORMAT: ClassVar[str] = "offramp.choices"
    VERSION: ClassVar[int] = 1

    bundle: str  # its id
    least_accuracy: Share | None = None  # that was asked for; None: nothing was
    plans: tuple[Priced, ...]

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.plans:
            raise ValueError("expected at least one plan, got none")
        return self
