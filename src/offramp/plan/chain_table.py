"""What exits say of some samples in a chain: where features lost something on the way there, they say something else.

Takes predictions, gives tables as of two tiers, one for each crossing behind the device. Knows neither costs nor plans.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

from offramp.artifacts.manifest import Manifest
from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.errors import InputError
from offramp.exits.answers import Judged
from offramp.plan.chain_path import Shape
from offramp.plan.inputs import Samples
from offramp.plan.table import Bools, Crossing, Table

Hops = tuple[Crossing, Crossing]  # behind the device and behind the edge; at the network's end it is none


@dataclass(frozen=True)
class ChainTable:
    """The table of the samples, and those behind each lossy crossing that was measured.

    Where `hopes`, what was not measured is taken to be as right as the network in one piece, until somebody measures
    it; else no plan has it.
    """

    manifest: Manifest
    plain: Table  # with the ends by each single crossing
    behind: dict[Crossing, Table] = field(default_factory=dict)  # the edge's exits behind a lossy crossing
    pairs: dict[Hops, Bools] = field(default_factory=dict)  # who is right at the end behind two lossy crossings
    hopes: bool = False

    @classmethod
    def of(cls, samples: Samples, manifest: Manifest, score: str, *, hopes: bool = False) -> Self:
        """Of predictions of the graph in one piece, and of chains by lossy hops."""
        single = [one for one in samples.others if not one.header.behind]
        table = cls(manifest, Table.of(samples.plain, manifest, single, score), hopes=hopes)
        for one in samples.others:
            if one.header.behind:
                table = table.with_chain(one, score)
        return table

    def with_chain(self, one: Predictions, score: str) -> Self:
        """The same with predictions by two hops."""
        first, second = hops_of(one)
        plain, right = self.plain, one.at(one.last).argmax(axis=1) == one.labels
        scores, rights = plain.scores.copy(), plain.right.copy()
        heard = [k for k in plain.exits if k > first.cut and k in one.logits]
        whole = heard == [k for k in plain.exits if k > first.cut]
        if lossy(first) and not whole and not lossy(second):
            raise InputError(
                f"predictions: by {one.header.route}, and the edge may have any exit behind the first cut. Measure all "
                "of them: active at the edge, with its cut at the network's end."
            )
        for exit_ in heard if lossy(first) and whole else ():
            judged = Judged.of(one.at(exit_), score)
            scores[plain.row(exit_)] = judged.scores
            rights[plain.row(exit_)] = judged.probabilities.argmax(axis=1) == one.labels
        behind = replace(plain, scores=scores, right=rights)
        ends, pairs = dict(plain.ends), dict(self.pairs)
        if lossy(first) and lossy(second):
            pairs[first, second] = right
        else:
            ends[first if lossy(first) else second] = right
        held = {**self.behind, first: behind} if lossy(first) and whole else self.behind
        return replace(self, plain=replace(plain, ends=ends), behind=held, pairs=pairs)

    @property
    def last(self) -> int:
        """The network's end."""
        return self.plain.last

    @cached_property
    def crossings(self) -> tuple[Crossing, ...]:
        """Every way in which a cut can be crossed, and the network's end."""
        found = [Crossing(cut.boundary, codec) for cut in self.manifest.cuts if cut.boundary for codec in cut.codecs]
        image = [way for way in self.plain.ends if not way.cut]
        return (*image, *found, Crossing(self.last, "fp32"))

    def groups(self) -> "list[tuple[Table, tuple[Crossing, ...]]]":
        """Tables with the first crossings that they are of: those that lose nothing share one with what is hoped."""
        shared = tuple(way for way in self.crossings if way not in self.behind)
        return [(self.plain, shared), *((table, (way,)) for way, table in self.behind.items())]

    def end(self, hops: Hops) -> Bools | None:
        """Who is right at the end by two hops `(N,)`; None where nobody has measured it."""
        if (found := self.measured_end(hops)) is None and self.hopes:
            return self.plain.ends[Crossing(self.last, "fp32")]
        return found

    def measured_end(self, hops: Hops) -> Bools | None:
        """The same, and None where it is hoped."""
        first, second = hops
        losing = [one for one in dict.fromkeys(hops) if lossy(one)]  # in the same codec at the same cut it is handed on
        if len(losing) == 2:
            return self.pairs.get((first, second))
        return self.plain.ends.get(losing[0] if losing else Crossing(self.last, "fp32"))

    def knows(self, shape: Shape) -> bool:
        """Whether all that a shape's answers depend on was measured."""
        heard = not (shape.edge and lossy(shape.first)) or shape.first in self.behind
        return heard and self.measured_end(hops(shape)) is not None

    def lacks(self, shape: Shape) -> Hops | None:
        """Two hops that a shape's answers depend on, and that nobody has measured; None where all were."""
        if self.knows(shape):
            return None
        first, second = hops(shape)
        heard = not lossy(first) or first in self.behind or not shape.edge
        # Behind a first hop that loses, every exit up to the end is heard at once, whatever the edge does then.
        return (first, second) if heard and lossy(second) else (first, Crossing(self.last, "fp32"))

    def table(self, shape: Shape) -> Table:
        """The table of a shape, with its end alone, by its second crossing."""
        end = self.end(hops(shape))
        assert end is not None
        return replace(self.behind.get(shape.first, self.plain), ends={shape.second: end})


def lossy(crossing: Crossing) -> bool:
    """Whether features lose by it; 8-bit images do not."""
    return crossing.codec != "fp32" and not (crossing.cut == 0 and crossing.codec == "uint8")


def hops(shape: Shape) -> Hops:
    """What a shape's samples cross; asked directly, the cloud is behind one hop."""
    return shape.first, shape.first if shape.direct else shape.second


def hops_of(one: Predictions) -> Hops:
    """What was crossed, of predictions by two hops."""
    if one.header.active is None or len(one.header.legs) != 2:
        raise InputError(
            f"predictions: by {one.header.route}, and a chain of three tiers has two hops. "
            "Measure by a plan of a device and an edge: offramp predict BUNDLE --plan PLAN"
        )
    first, second = (Crossing(leg.cut, leg.codec) for leg in one.header.legs)
    return first, second


def plan_measured(manifest: Manifest, first: Crossing, second: Crossing) -> Plan:
    """The plan whose spans tell what a lossy first hop does to every exit behind it, and to the end by a second."""
    active = [
        {"exit": k, "threshold": 0.0} for k in manifest.exits if first.cut < k <= second.cut and k < manifest.last
    ]
    tiers = {
        "device": {"active": [], "cut": first.cut, "codec": first.codec},
        "edge": {"active": active, "cut": second.cut, "codec": second.codec},
    }
    return Plan.model_validate({"tiers": tiers}).check(manifest)
