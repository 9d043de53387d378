"""Profiles: what a bundle's parts take on one device, and what lies between two nodes. Measured once, carried anywhere.

The documents alone. `measure` makes them, `plan.cost` prices a plan by them.
"""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Protocol, Self

import numpy as np
from pydantic import Field, model_validator

from offramp.artifacts.codec import Codec
from offramp.artifacts.document import Document, Frozen
from offramp.artifacts.engine import Precision
from offramp.errors import InputError

Way = Literal["grpc", "http", "library"]  # by which a request of one sample comes to an edge
Milliseconds = Annotated[float, Field(ge=0)]


class Spread(Frozen):
    """Milliseconds of one thing, over the rounds of a measurement."""

    median: Milliseconds
    first: Milliseconds  # quartile
    third: Milliseconds
    rounds: Annotated[int, Field(ge=1)]

    @classmethod
    def of(cls, milliseconds: Sequence[float]) -> Self:
        """Summarize what the rounds took."""
        first, middle, third = (round(float(one), 5) for one in np.percentile(milliseconds, (25, 50, 75)))
        return cls(median=middle, first=first, third=third, rounds=len(milliseconds))

    def less(self, milliseconds: float) -> Self:
        """The same without so many milliseconds in each round, and never below nothing."""
        values = {name: max(0.0, round(getattr(self, name) - milliseconds, 5)) for name in ("median", "first", "third")}
        return type(self)(**values, rounds=self.rounds)


class SpanTime(Frozen):
    """One run of a span `[start, end)`, with the head at its end or without, by batch size and threads."""

    start: int
    end: int
    head: bool
    gives: Codec | None  # the codec in which the features at its end leave; None: they are not wanted
    takes: Codec = "fp32"
    batch: Annotated[int, Field(ge=1)] = 1
    threads: Annotated[int, Field(ge=1)]
    ms: Spread


class AnswerTime(Frozen):
    """A whole request of one sample that an edge answers at its one active exit, from the client and back to it."""

    exit: int
    way: Way
    ms: Spread


class CrossingTime(Frozen):
    """A whole request of one sample, by gRPC, that leaves a device's edge for a cloud beside it, and a call to that.

    The exit at the cut was active, and nobody left there; at cut 0 none was. `call_ms` is the cloud's tail asked alone.
    """

    cut: int
    codec: Codec
    ms: Spread
    call_ms: Spread


class NodeWork(Frozen):
    """Processor time of a cloud's process for one call of a tail, the network's in it; one sample a call.

    `alone_ms` of a call that comes after a pause, and finds the node idle; `many_ms` of each of `many` sent at once.
    """

    cut: int
    codec: Codec
    alone_ms: Spread
    many_ms: Spread
    many: Annotated[int, Field(ge=2)]


class Profile(Document):
    """What a bundle's parts take on one device, by one runtime and precision, and what nodes add around them."""

    FORMAT: ClassVar[str] = "offramp.profile"
    VERSION: ClassVar[int] = 1

    bundle: str  # its id
    model: str
    runtime: str  # with its release
    precision: Precision
    threads: Annotated[int, Field(ge=1)]  # that a node ran on: what is priced
    hardware: str
    cores: int
    share: Annotated[float, Field(gt=0, le=1)] | None = None  # of one core that the edge was held to; None: it was not
    held_by: str = "nothing"  # how
    commit: str
    date: str
    bound: float  # of each spread: what varied more was not written
    spans: tuple[SpanTime, ...]
    answers: tuple[AnswerTime, ...]
    crossings: tuple[CrossingTime, ...]
    another_exit_ms: float = 0.0  # what one active exit more takes beside its spans
    # What a cloud does for a call, at the longest tail and at the shortest; none: the system does not tell, or the
    # profile is of before this was measured.
    work: tuple[NodeWork, ...] = Field(default=(), exclude_if=lambda work: not work)

    @property
    def on(self) -> str:
        """The runtime without its release, as it is asked for."""
        return self.runtime.split()[0]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not (self.spans and self.answers):
            raise ValueError("expected times of spans and of answers")
        return self


class Stated(Protocol):
    """What is said of a link: `link.shape.LinkShape` is one. Rates in bits/s, times in seconds one way."""

    @property
    def up(self) -> int | None:
        """Rate to the cloud; None: as fast as the machine."""

    @property
    def down(self) -> int | None:
        """Rate back."""

    @property
    def delay(self) -> float:
        """The least that a way takes."""

    @property
    def jitter(self) -> float:
        """On top of the delay, at most."""

    @property
    def loss(self) -> float:
        """Share of the packets."""


class LinkProfile(Document):
    """What lies between an edge and its cloud, beyond what the same calls take without it: up is to the cloud."""

    FORMAT: ClassVar[str] = "offramp.link"
    VERSION: ClassVar[int] = 1

    up: Annotated[float, Field(gt=0)] | None = None  # bits/s; None: more than could be told from none at all
    down: Annotated[float, Field(gt=0)] | None = None
    round_trip_ms: Milliseconds = 0.0  # in the mean, of a message that takes no time to pass
    jitter_ms: Milliseconds = 0.0  # how far round trips are apart: the distance of the quartiles
    loss: Annotated[float, Field(ge=0, le=0.5)] = 0.0  # share of the packets, where it was stated
    loss_ms: Milliseconds = 0.0  # that a lost one costs
    stalls: int = 0  # round trips far above the others, of `round_trips`
    longest_ms: Milliseconds = 0.0  # the longest of them, beyond the median
    round_trips: int = 0  # that were measured; 0: the link is stated, not measured
    between: str  # which nodes, or the shape that was stated
    date: str = ""
    commit: str = ""

    @classmethod
    def stated(cls, shape: Stated) -> Self:
        """The profile of a link of a stated shape: of `--link wifi`, and of those that are planned for."""
        return cls(
            up=shape.up,
            down=shape.down,
            round_trip_ms=1000 * (2 * shape.delay + shape.jitter),  # half of the jitter each way
            jitter_ms=1000 * shape.jitter * JITTER,
            loss=shape.loss,
            loss_ms=1000 * (2 * shape.delay + shape.jitter + RETRANSMIT) if shape.loss else 0.0,
            between=str(shape),
        )

    @property
    def measured(self) -> bool:
        """Whether it was measured, and not stated."""
        return self.round_trips > 0


JITTER = 2 - 2**0.5  # distance of the quartiles of a sum of two draws from [0, 1]
RETRANSMIT = 0.2  # seconds until Linux sends a lost packet again, at least, beside the round trip (TCP_RTO_MIN)


def check_fits(profile: Profile, bundle: str, what: str = "profile") -> Profile:
    """Give a profile back if it is of this bundle."""
    if profile.bundle != bundle:
        raise InputError(
            f"{what}: it is of bundle {profile.bundle} ({profile.model}), and this is {bundle}. Measure this one on "
            "that device: offramp profile BUNDLE"
        )
    return profile
