"""Three tiers, device, edge and cloud: a plan's shape, and what one sample's way through it takes and costs.

Takes the costs of each tier and of each hop, gives seconds, bytes and multiply-adds by where a sample is answered.
Knows neither thresholds nor how many go which way.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from offramp.artifacts.manifest import Manifest
from offramp.artifacts.plan import Part
from offramp.exits.score import Floats
from offramp.plan.cost import Came, Costs
from offramp.plan.pricing import ROUNDING, TAIL, part_of
from offramp.plan.table import Crossing
from offramp.plan.wire import tier_answer_bytes, tier_request_bytes


class Shape(NamedTuple):
    """A plan of three tiers but for its thresholds: exits of the device and of the edge, and what crosses behind each.

    A crossing at the network's end is none: all is answered by then. `direct`: the cloud is asked by the device itself.
    """

    device: tuple[int, ...]
    first: Crossing
    edge: tuple[int, ...]
    second: Crossing
    direct: bool = False

    @property
    def exits(self) -> tuple[int, ...]:
        """All exits that are asked, in their order."""
        return (*self.device, *self.edge)

    def computes(self, last: int) -> tuple[str, ...]:
        """The tiers that compute anything: one that only hands on is none of them."""
        at_device = bool(self.device) or self.first.cut > 0
        at_edge = not self.direct and (bool(self.edge) or self.second.cut > self.first.cut)
        at_cloud = last not in (self.first.cut, self.second.cut)
        named = (("device", at_device), ("edge", at_edge), ("cloud", at_cloud))
        return tuple(name for name, does in named if does)

    def reached(self, last: int, figures: "ChainFigures") -> tuple[str, ...]:
        """Of these, those that any sample of single figures comes to."""
        beyond = {"device": 1.0, "edge": 1.0 - float(figures.at_device), "cloud": float(figures.onward)}
        return tuple(tier for tier in self.computes(last) if beyond[tier] > ROUNDING)


class ChainFigures(NamedTuple):
    """What a plan of three tiers comes to, predicted: means over all samples but for `p95`; single or as columns."""

    accuracy: Floats
    mean: Floats  # seconds
    p95: Floats  # seconds within which 95 % of the samples are answered
    up: Floats  # bytes on the way up, of both hops together
    down: Floats  # bytes back
    cloud: Floats  # seconds of the cloud's
    edge: Floats
    device: Floats
    macs: Floats
    first: Floats  # bytes from the device
    second: Floats  # bytes from the edge
    at_device: Floats  # shares that are answered there
    at_edge: Floats
    onward: Floats  # to the cloud

    def at(self, *place: int) -> "ChainFigures":
        """One of several."""
        return ChainFigures(*(column[place] for column in self))

    def floats(self) -> dict[str, float]:
        """As numbers, by name."""
        return {name: float(value) for name, value in self._asdict().items()}


class ChainPath(NamedTuple):
    """One sample's way, by where it is answered: at each exit, then at the end. Each is of so many values."""

    seconds: tuple[float, ...]
    device: tuple[float, ...]
    edge: tuple[float, ...]
    cloud: tuple[float, ...]
    first: tuple[int, ...]
    second: tuple[int, ...]
    down: tuple[int, ...]
    macs: tuple[int, ...]
    places: tuple[int, ...]  # which tier answers: 0, 1, 2

    def one(self, left: Floats, right: Floats) -> ChainFigures:
        """Figures of shares `left` answered at each exit and the end, `right` of all that are right: `(places, 1)`."""
        return priced([self], left, right.sum(axis=0)[None]).at(0, 0)

    def costs(self, minimise: str) -> Floats:
        """Of a sample by where it is answered, what is to be least: of a percentile or of accuracy, its seconds."""
        up = np.add(self.first, self.second)
        by = {"bytes": up, "cloud": self.cloud, "macs": self.macs}
        return np.array(by.get(minimise, self.seconds), np.float64)


def priced(paths: Sequence[ChainPath], left: Floats, accuracy: Floats) -> ChainFigures:
    """Figures of several shapes of the same exits at once: columns `(shapes, G)`, of `left` `(places, G)`."""
    seconds = np.array([path.seconds for path in paths])

    def mean(name: str) -> Floats:
        values: Floats = np.array([getattr(path, name) for path in paths], np.float64) @ left
        return values

    place = np.array([path.places for path in paths])
    first, second = mean("first"), mean("second")
    return ChainFigures(
        accuracy=np.broadcast_to(accuracy, first.shape),
        mean=seconds @ left,
        p95=_late(seconds, left),
        up=first + second,
        down=mean("down"),
        cloud=mean("cloud"),
        edge=mean("edge"),
        device=mean("device"),
        macs=mean("macs"),
        first=first,
        second=second,
        at_device=(place == 0) @ left,
        at_edge=(place == 1) @ left,
        onward=(place == 2) @ left,
    )


def _late(seconds: Floats, left: Floats) -> Floats:
    """Seconds within which TAIL of the samples are answered `(shapes, G)`; shapes whose places are as fast in turn."""
    order = np.argsort(seconds, axis=1, kind="stable")
    found = np.empty((len(seconds), left.shape[1]))
    turns, of = np.unique(order, axis=0, return_inverse=True)
    for number, turn in enumerate(turns):
        rows = np.flatnonzero(of.ravel() == number)
        within = (left[turn].cumsum(axis=0) >= TAIL - ROUNDING).argmax(axis=0)
        found[rows] = seconds[rows][:, turn[within]]
    return found


@dataclass(frozen=True)
class ChainPrices:
    """A network on a device, an edge and a cloud, with the link behind each, and between device and cloud if any.

    Each `Costs` has the link behind its tier.
    """

    manifest: Manifest
    device: Costs
    edge: Costs
    direct: Costs | None = None
    # What many shapes share: half a path costs more to make than all that is done with it.
    held: dict[object, Any] = field(default_factory=dict, compare=False, repr=False)

    def path(self, shape: Shape) -> ChainPath:
        """A sample's way through a shape."""
        on_device, early = self._held(self._on_device, shape.device, shape.first)
        if shape.first.cut == self.manifest.last:
            return self._ends(shape, (*early, self.device.local(on_device)))
        if shape.direct:
            return self._straight(shape, on_device, early)
        up = self._held(self._up, shape.first)
        edges, after, sent, down, cloud, back = self._held(self._on_edge, shape.first, shape.edge, shape.second)
        waits = [self.device.passing(up, size) + wait for size, wait in zip(down, after, strict=True)]
        own = self._own(on_device, waits)
        idle, none = (0,) * len(early), len(edges) - 1
        seconds = [mine + wait for mine, wait in zip(own, waits, strict=True)]
        return ChainPath(
            (*early, *seconds), (*early, *own), (*idle, *edges), (*idle, *[0.0] * none, cloud),
            (*idle, *[up] * (none + 1)), (*idle, *sent), (*idle, *down[:-1], down[-1] + back), self._macs(shape),
            (*idle, *[1] * none, 2 if sent[-1] else 1),
        )  # fmt: skip

    def _held(self, make: Callable[..., Any], *of: object) -> Any:
        key = make.__name__, of
        if key not in self.held:
            self.held[key] = make(*of)
        return self.held[key]

    def _on_device(self, exits: tuple[int, ...], first: Crossing) -> tuple[Part, tuple[float, ...]]:
        part = part_of(exits, [0.5] * len(exits), first)
        return part, self.device.exits(part)

    def _own(self, part: Part, waits: Sequence[float]) -> list[float]:
        """Seconds of the device's for what goes on, by how long it waits; all the same where it has a whole core."""
        if self.device.share in (None, 1):
            return [self._held(self.device.edge, part)] * len(waits)
        return [self.device.edge(part, waits=wait) for wait in waits]

    def _up(self, crossing: Crossing) -> int:
        return tier_request_bytes(self.manifest, crossing.cut, crossing.codec)

    def _down(self, tier: str, sent: int) -> int:
        return tier_answer_bytes(self.manifest, tier, "cloud", sent)

    def _on_edge(self, first: Crossing, exits: tuple[int, ...], second: Crossing) -> tuple[Any, ...]:
        """By where a sample is answered, at the edge or behind: the edge's seconds, all until it answers, and bytes."""
        came: Came = (first.cut, first.codec)
        part = part_of(exits, [0.5] * len(exits), second)
        seconds, cloud, onward, back = [*self.edge.exits(part, came)], 0.0, 0, 0
        until = list(seconds)
        if second.cut == self.manifest.last:
            seconds.append(self.edge.local(part, came))
            until.append(seconds[-1])
        else:
            cloud, onward, back = self.edge.cloud(part), self.edge.bytes_up(part), self.edge.bytes_down(part)
            seconds.append(self.edge.edge(part, came))
            until.append(seconds[-1] + self.edge.way(part) + cloud)
        sent = [0] * len(exits) + [onward]
        down = [self._held(self._down, "cloud" if size else "edge", size) for size in sent]
        return seconds, until, sent, down, cloud, back

    def _ends(self, shape: Shape, seconds: tuple[float, ...]) -> ChainPath:
        """All is answered on the device."""
        none = (0,) * len(seconds)
        return ChainPath(seconds, seconds, none, none, none, none, none, self._macs(shape), none)

    def _straight(self, shape: Shape, part: Part, early: tuple[float, ...]) -> ChainPath:
        """The device asks the cloud itself."""
        assert self.direct is not None
        by, idle = self.direct, (0,) * len(early)
        return ChainPath(
            (*early, by.onward(part)), (*early, by.edge(part)), (*idle, 0), (*idle, by.cloud(part)),
            (*idle, by.bytes_up(part)), (*idle, 0), (*idle, by.bytes_down(part)), self._macs(shape), (*idle, 2),
        )  # fmt: skip

    def _macs(self, shape: Shape) -> tuple[int, ...]:
        """Multiply-adds by place: what was computed before the input went on as it came is computed again."""
        alone = shape.direct or shape.first.cut == self.manifest.last
        cuts = (shape.first.cut == 0, not alone and shape.second.cut == 0)
        found: tuple[int, ...] = self._held(self._macs_of, shape.device, shape.edge, cuts)
        return found

    def _macs_of(self, device: tuple[int, ...], edge: tuple[int, ...], again: tuple[bool, bool]) -> tuple[int, ...]:
        macs, last = self.manifest.macs, self.manifest.last
        found: list[int] = []
        asked: list[int] = []
        spent = 0
        for exits, anew in zip((device, edge), again, strict=True):
            asked += exits
            found += [spent + macs(k, tuple(asked)) for k in exits]
            if exits and anew:
                spent, asked = found[-1], []
        return (*found, spent + macs(last, tuple(asked)))
