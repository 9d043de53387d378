"""A network of five stages on paper, samples with random logits, and seconds that can be added up by hand."""

from dataclasses import dataclass

import numpy as np

from offramp.artifacts.bundle import digest
from offramp.artifacts.codec import CODEC_BYTES
from offramp.artifacts.cut import CodecResult, CutSpec
from offramp.artifacts.manifest import GRAPH, Manifest
from offramp.artifacts.plan import Part
from offramp.artifacts.predictions import Predictions, PredictionsHeader
from offramp.artifacts.preprocessing import Preprocessing
from offramp.artifacts.provenance import Origin, Parity
from offramp.artifacts.stages import HeadSpec, StageSpec

LAST, CLASSES, N = 5, ("a", "b", "c"), 400
SIZES = {0: 48, 1: 200, 2: 100, 3: 50, 4: 25}  # values at each boundary


@dataclass(frozen=True)
class ByHand:
    """A millisecond a stage and a quarter a head at the edge, a tenth at the cloud; a link of seconds a byte."""

    a_byte: float = 1e-5
    round_trip: float = 0.002

    def exits(self, part: Part) -> tuple[float, ...]:
        return tuple(1e-3 * one.exit + 2.5e-4 * (k + 1) for k, one in enumerate(part.active))

    def local(self, part: Part) -> float:
        return 1e-3 * LAST + 2.5e-4 * (len(part.active) + 1)

    def edge(self, part: Part) -> float:
        deepest = max([part.cut, *(one.exit for one in part.active)])
        return 1e-3 * deepest + 2.5e-4 * len(part.active)

    def onward(self, part: Part) -> float:
        return self.edge(part) + self.round_trip + self.a_byte * self.bytes_up(part) + self.cloud(part)

    def cloud(self, part: Part) -> float:
        return 1e-4 * (LAST - part.cut)

    def bytes_up(self, part: Part) -> int:
        return 100 + SIZES[part.cut] * {"fp32": 4, "fp16": 2, "uint8": 1}[part.codec]

    def bytes_down(self, part: Part) -> int:
        return 60


def crossing(boundary: int) -> dict[str, CodecResult]:
    """What each codec makes of a boundary: its bytes, and no accuracy."""
    values = SIZES.get(boundary, 3) if boundary else 3 * 4 * 4
    return {name: CodecResult(bytes_per_sample=size * values, accuracy=None) for name, size in CODEC_BYTES.items()}


def network() -> Manifest:
    """Five stages, an exit at each, cut anywhere in any codec."""
    return Manifest(
        model="paper",
        classes=CLASSES,
        preprocessing=Preprocessing(channels=3, height=4, width=4),
        stages=tuple(
            StageSpec(index=k, shape=(1, 1, SIZES.get(k, 3)), macs=100 * k, parameters=1) for k in range(1, 6)
        ),
        heads=tuple(HeadSpec(exit=k, macs=k, parameters=1) for k in range(1, 6)),
        cuts=tuple(CutSpec(boundary=k, scale=(0.1,), codecs=crossing(k), samples=1) for k in range(LAST)),
        parity=Parity(max_difference=0.0, tolerance=1e-4, samples=1),
        origin=Origin(checkpoint_sha256="ab" * 32, data="digits", recipe="none", seed=0, epochs=1, commit="unknown"),
        files={GRAPH: digest(b"")},
    )


def drawn(manifest: Manifest, seed: int, n: int = N, split: str = "validation", first: int = 0) -> Predictions:
    """Logits that get better from exit to exit, of samples from number `first` on, some of which are hard at all."""
    rng, classes = np.random.default_rng(seed), len(manifest.classes)
    labels = rng.integers(0, classes, n)
    ease = rng.gamma(1.0, 1.0, n)[:, None]
    logits = {
        k: (ease * np.sqrt(k) * np.eye(classes)[labels] * 2 + rng.normal(size=(n, classes))).astype(np.float32)
        for k in manifest.exits
    }
    header = PredictionsHeader(
        model=manifest.model, source=f"bundle:{manifest.id}", data="noise", split=split, classes=manifest.classes,
        exits=manifest.exits,
    )  # fmt: skip
    return Predictions(header, np.arange(first, first + n), labels, logits)
