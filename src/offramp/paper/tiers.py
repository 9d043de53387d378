"""The paper's world with three tiers: what a chain of nodes took and sent, sample by sample, beside chains of fewer.

The documents alone. Programs read `tiers.json`; `tiers-samples.csv` has each sample's tier, latency and bytes.
"""

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from offramp.artifacts.document import Document, Frozen
from offramp.artifacts.manifest import Manifest
from offramp.artifacts.plan import ActiveExit, Part, Plan
from offramp.bench.scenario import percentile_ms
from offramp.errors import InputError
from offramp.paper.stated import THRESHOLD

TIERS = "tiers.json"
ALL = "three tiers"
IMAGE = Part(active=(), cut=0, codec="uint8")  # of a tier that only hands the image on


class World(Frozen):
    """Where the nodes stand: the links, as `--link` takes them, and the shares of a core of device and edge."""

    near: str  # between device and edge
    far: str  # between edge and cloud
    device_cores: float | None = None  # None: as many as the machine has
    edge_cores: float | None = None

    def __str__(self) -> str:
        cores = [f"{name} on {of:g} of a core" for name, of in self._cores.items() if of is not None]
        return "; ".join([f"{self.near} to the edge, {self.far} to the cloud", *cores])

    @property
    def _cores(self) -> dict[str, float | None]:
        return {"device": self.device_cores, "edge": self.edge_cores}


class Answered(Frozen):
    """One sample's answer: who gave it, the median of its latencies over the repeats, and what it sent on each hop."""

    index: int
    tier: str
    exit: int
    right: bool
    ms: Annotated[float, Field(ge=0)]
    bytes_to_edge: int
    bytes_to_cloud: int


class Chain(Frozen):
    """A plan in a world, and each sample's answer by it."""

    world: World
    name: str
    plan: Plan
    samples: tuple[Answered, ...]

    @property
    def mean_ms(self) -> float:
        """Mean latency of a sample."""
        return sum(one.ms for one in self.samples) / len(self.samples)

    def percentile_ms(self, share: float) -> float:
        """Latency that so many of the samples took at most: the nearest rank."""
        return percentile_ms(np.array([one.ms for one in self.samples]), 100 * share)

    @property
    def accuracy(self) -> float:
        """Of all samples."""
        return sum(one.right for one in self.samples) / len(self.samples)

    def share(self, tier: str) -> float:
        """Of the samples that a tier answered."""
        return sum(one.tier == tier for one in self.samples) / len(self.samples)

    def mean_bytes(self, to: str) -> float:
        """That a sample sends in the mean to a tier."""
        sent = [one.bytes_to_edge if to == "edge" else one.bytes_to_cloud for one in self.samples]
        return sum(sent) / len(sent)


class ThreeTiers(Document):
    """What was measured: every chain in every world."""

    FORMAT: ClassVar[str] = "offramp.tiers"
    VERSION: ClassVar[int] = 1

    model: str
    bundle: str
    data: str
    repeats: int
    topology: str
    hardware: str
    commit: str
    date: str
    loads: tuple[float, ...] = ()  # of the machine, when each world began
    chains: tuple[Chain, ...]
    differing: int  # answers that are not the offline evaluation's

    @property
    def worlds(self) -> tuple[World, ...]:
        """In the order in which they were measured."""
        return tuple(dict.fromkeys(one.world for one in self.chains))

    def of(self, world: World) -> list[Chain]:
        """The chains of one, from the quickest on."""
        return sorted((one for one in self.chains if one.world == world), key=lambda one: one.mean_ms)


def local_exits(manifest: Manifest) -> tuple[int, int]:
    """The device's exit and the edge's, about a quarter and a half of the way, both places to cut; else InputError."""
    cuts = {cut.boundary for cut in manifest.cuts if "uint8" in cut.codecs}
    local = [exit_ for exit_ in manifest.exits[:-1] if exit_ in cuts]
    if len(local) < 2:
        raise InputError(f"{manifest.model}: a chain needs two local exits where it can be cut in uint8, has {local}.")
    first = local[max(0, len(local) // 4 - 1)]
    return first, next(k for k in local[len(local) // 2 :] if k > first)


def chains_of(manifest: Manifest) -> dict[str, Plan]:
    """The plans that are held against each other, by name: the same two exits wherever there are any."""
    (first, second), last = local_exits(manifest), manifest.last
    one, other = (ActiveExit(exit=k, threshold=THRESHOLD) for k in (first, second))

    def part(cut: int, *active: ActiveExit) -> Part:
        return Part(active=active, cut=cut, codec="fp32" if cut == last else "uint8")

    def plan(device: Part, edge: Part | None = None) -> Plan:
        return Plan(tiers={"device": device} if edge is None else {"device": device, "edge": edge})

    return {
        ALL: plan(part(first, one), part(second, other)),
        "device and edge": plan(part(first, one), part(last, other)),
        "device and cloud": plan(part(second, one, other), part(second)),
        "edge and cloud": plan(IMAGE, part(second, one, other)),
        "all on the device": plan(part(last, one, other)),
        "all at the edge": plan(IMAGE, part(last, one, other)),
        "all in the cloud": plan(IMAGE, IMAGE),
    }
