"""What each tier of a plan runs, open, on every sample: the spans between its exits and what it hands on.

Takes a plan and a bundle, gives logits and what crosses. Decides nothing: every sample goes the whole way.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.codec import Codec, encode_image
from offramp.artifacts.engine import Engine
from offramp.artifacts.manifest import Manifest
from offramp.artifacts.plan import Plan
from offramp.artifacts.stages import logits_name
from offramp.runtime.open import open_span
from offramp.runtime.span import Span, SpanSpec
from offramp.runtime.tier_spans import tail_span, tier_spans

Came = list[npt.NDArray[Any]]  # a batch where a tier takes it, its tensors in the order of their boundary
Step = tuple[SpanSpec, Span]


@dataclass(frozen=True)
class Stretch:
    """One tier's, or the tail behind the last."""

    manifest: Manifest
    exits: tuple[Step, ...]
    rest: Step | None = None
    back: bool = False  # what goes on is what came: the cut lies before the exits
    image: Codec | None = None  # in which the image itself goes on

    def run(self, came: Came, logits: dict[int, npt.NDArray[np.float32]]) -> Came:
        """Run it on a batch, put logits by exit beside those there are, and give what the next one takes."""
        at = came
        for step in self.exits:
            at = self._step(step, at, logits)
        if self.image is not None:
            return [encode_image(came[0], self.image)]
        if self.back:
            at = came
        return at if self.rest is None else self._step(self.rest, at, logits)

    def _step(self, step: Step, at: Came, logits: dict[int, npt.NDArray[np.float32]]) -> Came:
        spec, span = step
        outputs = span.run(*at)
        logits |= {exit_: outputs[logits_name(exit_)] for exit_ in spec.exits}
        return [outputs[name] for name in self.manifest.tensors(spec.end)] if spec.gives else at


def opened(bundle: Bundle, plan: Plan, engine: Engine) -> list[Stretch]:
    """Open what the tiers of a plan run, and the tail, where the network does not end before."""
    manifest, last = bundle.manifest, bundle.manifest.last

    def step(spec: SpanSpec) -> Step:
        return spec, open_span(bundle, spec, engine)

    found: list[Stretch] = []
    start, takes = 0, None
    for part in plan.tiers.values():
        exits, rest, back = tier_spans(part, last, start, takes)
        image = part.codec if takes is None and part.cut == 0 else None
        at_last = bool(part.active) and part.exit == last
        behind = None if rest is None or at_last else step(rest)
        found.append(Stretch(manifest, tuple(map(step, exits)), behind, back, image))
        if at_last or part.cut == last:
            return found
        start, takes = part.cut, part.codec
    return [*found, Stretch(manifest, (step(tail_span(last, start, takes or "fp32")),))]
