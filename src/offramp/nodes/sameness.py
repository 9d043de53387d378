"""Whether a node, or one that it meets, computes the network of its bundle: `runtime.sameness` of spans and tails."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.codec import Codec, encode_image
from offramp.artifacts.engine import Engine, Precision
from offramp.artifacts.self_test import self_test_images
from offramp.artifacts.stages import IMAGE, logits_name
from offramp.nodes.route import Step
from offramp.protocol.served import Array
from offramp.runtime.open import open_span
from offramp.runtime.sameness import CODEC_TOLERANCE, FP32, check_exits, reference
from offramp.runtime.span import SpanSpec, Tensors
from offramp.runtime.tier_spans import tail_span


@dataclass(frozen=True, eq=False)
class Probe:
    """What to send to a tail, and what it should make of that."""

    features: Tensors
    logits: Array  # (N, classes), of the last exit

    @classmethod
    def of(cls, bundle: Bundle, cut: int, codec: Codec, engine: Engine) -> Self:
        """Make one with the bundle's own graph: the features of the self-test's images, and what follows of them."""
        last, image = bundle.manifest.last, self_test_images(bundle.manifest.preprocessing)
        if cut:
            features = open_span(bundle, SpanSpec(0, cut, gives=codec), engine).run(image)
        else:
            features = {IMAGE: encode_image(image, codec)}
        logits = open_span(bundle, tail_span(last, cut, codec), engine).run(*features.values())[logits_name(last)]
        return cls(features, logits)


def check_steps(bundle: Bundle, steps: Sequence[Step], engine: Engine) -> None:
    """Raise ParityError where spans, run one after another from the images on, compute something else than at export.

    A span that gives features alone is judged by the logits of those behind it. Nothing is known of a bundle that has
    no self-test.
    """
    if bundle.self_test is None or not steps:
        return
    images, takes = self_test_images(bundle.manifest.preprocessing), steps[0].spec.takes
    tensors: Tensors = {IMAGE: encode_image(images, takes)}
    codec = FP32 if takes == "uint8" else takes  # the images are of 8 bits
    for step in steps:
        outputs = step.span.run(*tensors.values())
        check_exits(bundle, outputs, step.spec.exits, engine, codec)
        tensors, codec = step.given(outputs), max(codec, step.spec.gives or FP32, key=CODEC_TOLERANCE.__getitem__)


class Probes:
    """Those of a bundle, each made once: opening the spans takes longer than running them."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.made: dict[tuple[int, Codec, Engine], Probe] = {}

    def get(self, cut: int, codec: Codec, precision: Precision | None) -> Probe:
        """The one for a tail that multiplies in a precision; None: it does not say in which."""
        key = cut, codec, reference(self.bundle, precision)
        if key not in self.made:
            self.made[key] = Probe.of(self.bundle, *key)
        return self.made[key]
