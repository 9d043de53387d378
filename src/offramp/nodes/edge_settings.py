"""What an edge is told when it starts: by which plan it serves, whom it asks, what it looks at besides."""

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from offramp.artifacts.manifest import Manifest
from offramp.artifacts.outcome import TIER_NAMES
from offramp.artifacts.plan import Plan
from offramp.errors import InputError
from offramp.link.shape import LinkShape
from offramp.nodes.batching import Limits
from offramp.nodes.settings import NodeSettings
from offramp.protocol.credentials import Credentials
from offramp.sockets import check_addresses

if TYPE_CHECKING:
    from offramp.artifacts.choices import Priced

EDGE = TIER_NAMES[1]


@dataclass(frozen=True, kw_only=True)
class AtLastExit:
    """A plan for any network: its last local exit is active, and it is cut there."""

    threshold: float
    score: str = "entropy"
    codec: str = "fp32"
    drop_threshold: float | None = None

    def check(self, manifest: Manifest) -> Plan:
        """Make the plan for one; InputError where a value is none."""
        return self.of_exits(manifest.exits)

    def of_exits(self, exits: tuple[int, ...]) -> Plan:
        """Make the plan for a network of these exits."""
        return Plan.at_last_local_exit(exits, **asdict(self))


@dataclass(frozen=True, kw_only=True)
class Follow:
    """A file of choices that an edge chooses among as its link goes, and the mean latency that it should keep to."""

    choices: str
    within: float | None = None  # milliseconds; None: as little as can be

    def read(self) -> "tuple[str, tuple[Priced, ...]]":
        """The id of the bundle that the choices are of, and those that will do, the least use of the link first.

        Raises InputError where they say neither how accurate a plan must be nor, with `within`, how fast.
        """
        from offramp.artifacts.choices import Choices  # an edge that follows nothing does without
        from offramp.plan.envelope import envelope

        choices = Choices.read(Path(self.choices))
        least = choices.least_accuracy
        if least is None and self.within is None:
            raise InputError(
                f"follow {self.choices}: no least accuracy was asked for when these plans were made, and the fastest "
                "is never the most accurate. Say how long an answer may take in the mean (--follow-within MS), or make "
                "them with a bound: offramp plan --max-loss."
            )
        good = [plan for plan in choices.plans if least is None or plan.accuracy >= least]
        if not good:
            best = max(plan.accuracy for plan in choices.plans)
            raise InputError(
                f"follow {self.choices}: no plan has the least accuracy {least:g}; the best has {best:g}. Make them "
                "anew."
            )
        for plan in good:
            if list(plan.plan.tiers) != [EDGE]:
                raise InputError(
                    f"follow {self.choices}: a plan is for {' and '.join(plan.plan.tiers)}. Expected plans for an edge "
                    "and its cloud."
                )
        return choices.bundle, envelope(good, self.within)


@dataclass(frozen=True, kw_only=True)
class Audited:
    """How much of what an edge answers is looked at, and what is promised of it where a plan does not say so."""

    share: float  # of all samples
    most: float | None = None  # share that may be answered otherwise than by the last exit
    delta: float = 0.05  # probability of a false alarm, where the plan does not say

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise InputError(f"audit {self.share:g}: expected a share of the samples above 0, like 0.01.")
        if self.most is not None and not 0 < self.most < 1:
            raise InputError(f"audit most {self.most:g}: expected a share above 0 and below 1, like 0.02.")

    def promised(self, plan: Plan) -> tuple[float, float] | None:
        """The disagreement with the last exit that a plan may have, and δ; None where nothing is promised of it."""
        promise = plan.promise
        if promise is not None and promise.kind == "agreement":
            return promise.max_loss, 1 - promise.confidence
        return None if self.most is None else (self.most, self.delta)


@dataclass(frozen=True, kw_only=True)
class Gathers:
    """That an edge gathers the views of a folder, and joins them; its bundle is what is behind the join."""

    folder: str
    wait: float = 0.1  # seconds for which others are waited for
    quorum: int | None = None  # views that are enough; None: all
    keep: float = 10.0  # seconds in which what is late finds its answer
    most: int = 1024  # samples that are known at once


@dataclass(frozen=True, kw_only=True)
class EdgeSettings(NodeSettings):
    """What an edge serves, by which plan, and the cloud that it sends the rest to, over which link."""

    node: Literal["edge"] = "edge"
    plan: Plan | AtLastExit
    tier: str | None = None  # of a chain: whose part of the plan it runs; None: the edge's, or the first tier's
    plan_file: str | None = None  # which it stands in, and is read again from at a reload
    follow: Follow | None = None  # its plan is the first of these then
    audit: Audited | None = None
    gathers: Gathers | None = None
    cloud: str | None = None  # or several, with commas between them
    cloud_version: str | None = None  # on another maker's cloud; None: the bundle's id
    cloud_wait: float = 10.0  # seconds for it to answer at start
    cloud_timeout: float = 10.0  # for an answer
    degraded: bool = True  # whether what the cloud does not answer is answered here
    in_flight: int = 1024  # samples that the cloud may be working on at once
    ready_needs_cloud: bool = False
    link: LinkShape | None = None
    credentials: Credentials | None = None  # shown to the cloud
    limits: Limits = field(default_factory=Limits)  # of a tier that others hand on to

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_alone()
        self.check_count(len(self.bundles))
        if self.follow is not None and self.cloud is None:
            raise InputError(
                f"follow {self.follow.choices}: this edge has no cloud, and no link to follow. Name one (--cloud "
                "HOST:PORT), or leave it out."
            )
        if self.audit is not None and self.cloud is None:
            raise InputError(
                "audit: this edge has no cloud to ask what the last exit says. Name one (--cloud HOST:PORT), or leave "
                "it out."
            )
        if self.follow is not None and not 0 < (self.follow.within or 1) < math.inf:
            raise InputError(f"follow within {self.follow.within:g}: expected milliseconds above 0.")
        if not 0 < self.cloud_timeout < math.inf:
            raise InputError(f"cloud timeout {self.cloud_timeout:g}: expected seconds above 0.")
        addresses = self.clouds
        if len(set(addresses)) < len(addresses):
            raise InputError(f"cloud {self.cloud!r}: one is named twice. Name each once, the one to ask first first.")
        if self.credentials is not None and self.cloud is None:
            raise InputError(
                "cloud credentials: this edge has no cloud. Name one (--cloud HOST:PORT), or leave them out."
            )
        if self.ready_needs_cloud and self.cloud is None:
            raise InputError("ready needs cloud: this edge has none. Name one (--cloud HOST:PORT), or leave it out.")

    def _check_alone(self) -> None:
        """Raise InputError where several workers are to do what only one process can that sees all that is asked."""
        alone = {
            "follow": (self.follow, "each would follow the link by its own traffic"),
            "audit": (self.audit, "each would see a part of the answers, and bet on that"),
            "link": (self.link, "each would have a link of its own, and all of them more than it gives"),
            "gathers": (self.gathers, "views of one sample may come to different ones"),
        }
        for name, (asked, why) in alone.items():
            if self.workers > 1 and asked is not None:
                raise InputError(
                    f"workers {self.workers}: with {name}, {why}. Serve by one, or leave out one of the two options."
                )

    def tier_of(self, plan: Plan) -> str:
        """Whose part of a plan this node runs; InputError where the plan has none for it."""
        tier = self.tier or (EDGE if EDGE in plan.tiers else next(iter(plan.tiers)))
        if tier not in plan.tiers:
            raise InputError(
                f"tier {tier!r}: the plan is for {' and '.join(plan.tiers)}. Name one of them (--tier), or give this "
                "node the plan of its chain (--plan FILE)."
            )
        if self.workers > 1 and plan.before(tier) is not None:
            raise InputError(
                f"workers {self.workers}: what a tier before the {tier} hands on goes to one process, which batches "
                "across its callers. Serve this tier by one; the first tier and the cloud may be several."
            )
        if self.audit is not None and len(plan.tiers) > 1:
            raise InputError(
                f"audit: by the plan the {plan.after(tier)} follows, which need not ask the last exit. Audit an edge "
                "that has only its cloud behind it."
            )
        return tier

    def check_count(self, networks: int) -> None:
        """Raise InputError where what is one network's is named, and there are several."""
        if self.follow is not None and networks > 1:
            raise InputError(
                f"follow {self.follow.choices}: choices are of one network, and this edge has {networks}. Run an edge "
                "for each."
            )
        if self.cloud_version is not None and networks > 1:
            raise InputError(
                f"cloud version {self.cloud_version!r}: it is one network's, and this edge has {networks}. "
                "Leave it out, or run an edge for each."
            )

    def check_audit(self, plan: Plan | AtLastExit, choices: "tuple[str, tuple[Priced, ...]] | None") -> None:
        """Raise InputError where answers are to be looked at, and nothing is promised of the plan, or of any choice."""
        plans = [plan] if choices is None else [one.plan for one in choices[1]]
        if self.audit is None or self.audit.most is not None:
            return
        if not any(isinstance(one, Plan) and self.audit.promised(one) for one in plans):
            raise InputError(
                "audit: nothing is promised of how often this plan answers otherwise than the last exit. Promise it "
                "(a promise of agreement, by offramp plan), or say how often it may (--audit-most RATE)."
            )

    @property
    def clouds(self) -> tuple[str, ...]:
        """The addresses of all clouds, HOST:PORT or unix:/PATH, the one to ask first first."""
        return () if self.cloud is None else check_addresses(self.cloud)
