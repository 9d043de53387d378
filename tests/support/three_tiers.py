"""A device, an edge and a cloud on paper: what each takes, and what a lossy hop makes of an exit's logits."""

from dataclasses import dataclass, replace

import numpy as np

from offramp.artifacts.codec import CODEC_BYTES
from offramp.artifacts.cut import CodecResult, CutSpec
from offramp.artifacts.legs import Leg
from offramp.artifacts.manifest import Manifest
from offramp.artifacts.plan import Part
from offramp.artifacts.predictions import Predictions
from offramp.artifacts.stages import HeadSpec
from offramp.plan.chain_path import ChainPrices
from offramp.plan.chain_table import Hops, lossy
from offramp.plan.cost import IMAGES, Came
from offramp.plan.inputs import Samples
from offramp.plan.table import Crossing
from on_paper import LAST, network

LOCAL = (2, 4)  # exits, and where it can be cut


def small() -> Manifest:
    """Five stages, exits at two of them, cut there or at the image, in fp32 or uint8."""
    results = {name: CodecResult(bytes_per_sample=1, accuracy=None) for name in ("fp32", "uint8")}
    fields = {
        "heads": tuple(HeadSpec(exit=k, macs=k, parameters=1) for k in (*LOCAL, LAST)),
        "cuts": tuple(CutSpec(boundary=k, scale=(0.1,), codecs=results, samples=1) for k in (0, *LOCAL)),
    }
    return network().model_copy(update=fields)


@dataclass(frozen=True)
class Tier:
    """Seconds a stage and a head, and of the link behind it: a round trip and a byte."""

    manifest: Manifest
    stage: float
    head: float
    round_trip: float
    a_byte: float
    behind: float = 0.0001  # a stage of the cloud
    end: float = 0.0  # on top, of the last stage
    share: float | None = None

    def runs(self, to: int, heads: int, came: Came) -> float:
        """Seconds to come so far."""
        return self.stage * (to - came[0]) + self.head * heads + self.end * (to == LAST)

    def exits(self, part: Part, came: Came = IMAGES) -> tuple[float, ...]:
        return tuple(self.runs(one.exit, k + 1, came) for k, one in enumerate(part.active))

    def local(self, part: Part, came: Came = IMAGES) -> float:
        return self.runs(LAST, len(part.active) + 1, came)

    def edge(self, part: Part, came: Came = IMAGES, waits: float | None = None) -> float:
        deepest = max([part.cut, *(one.exit for one in part.active)])
        return self.runs(deepest, len(part.active), came)

    def cloud(self, part: Part) -> float:
        return self.behind * (LAST - part.cut)

    def passing(self, up: int, down: int) -> float:
        return self.round_trip + self.a_byte * (up + down)

    def way(self, part: Part) -> float:
        return self.passing(self.bytes_up(part), self.bytes_down(part))

    def onward(self, part: Part) -> float:
        return self.edge(part) + self.way(part) + self.cloud(part)

    def bytes_up(self, part: Part) -> int:
        return 100 + 7 * (LAST - part.cut) * CODEC_BYTES[part.codec]

    def bytes_down(self, part: Part) -> int:
        return 60


def prices(
    manifest: Manifest, *, direct: bool = False, edge: dict[str, float] | None = None, **device: float
) -> ChainPrices:
    """A slow device on a near link, an edge on a far one; or with other seconds."""
    slow = Tier(manifest, **{"stage": 0.004, "head": 0.0005, "round_trip": 0.002, "a_byte": 1e-5} | device)
    quick = Tier(manifest, **{"stage": 0.001, "head": 0.0002, "round_trip": 0.03, "a_byte": 4e-5} | (edge or {}))
    around = replace(slow, round_trip=0.04, a_byte=8e-5) if direct else None
    return ChainPrices(manifest, slow, quick, around)  # type: ignore[arg-type]  # made up, and the same to ask


def lose(logits: np.ndarray, *hops: Crossing) -> np.ndarray:
    """What lossy hops make of logits: always the same noise for the same hops."""
    for hop in dict.fromkeys(filter(lossy, hops)):
        noise = np.random.default_rng(100 * hop.cut + len(hop.codec)).normal(size=logits.shape)
        logits = (logits + noise).astype(np.float32)
    return logits


def behind(plain: Predictions, hops: Hops) -> Predictions:
    """Predictions by two hops, of every exit behind the first."""
    first, second = hops
    last = plain.last
    heard = [k for k in plain.logits if first.cut < k <= second.cut and k != last]
    logits = {k: lose(plain.at(k), first) for k in heard} | {last: lose(plain.at(last), first, second)}
    leg = Leg(active=tuple(heard), cut=second.cut, codec=second.codec)
    update = {"active": (), "cut": first.cut, "codec": first.codec, "behind": (leg,), "exits": (*heard, last)}
    return Predictions(plain.header.model_copy(update=update), plain.index, plain.labels, logits)


def every_hop(plain: Predictions) -> Samples:
    """All that can be measured of the small network."""
    end = Crossing(LAST, "fp32")
    coded = [Crossing(k, "uint8") for k in LOCAL]
    pairs = [(one, end) for one in coded]
    pairs += [(Crossing(0, "uint8"), one) for one in coded]
    pairs += [(coded[0], coded[1])]
    return Samples(plain, tuple(behind(plain, pair) for pair in pairs))
