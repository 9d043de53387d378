"""Whether two computed the same network: logits of a few images held against what they should be.

How far apart they may be goes by the precision, as a share of the largest logit. Measured over every tail and exit of
four networks (three of preset tiny on the digits, the packaged one on CIFAR-10), onnxruntime 1.32 and OpenVINO 2026.4
on a processor with AMX: the two runtimes differ by 8e-7 in fp32 and 2e-3 in int8; bf16 is off by up to 0.05 from fp32,
int8 by 0.14; a codec that is not fp32 adds to that, fp16 up to 3e-4 and uint8 up to 0.05. Other weights are off by 0.36
at least, and those were of one more epoch of the same training. Two classes in each other's place are off by 0.05 at
least: in fp32 that is always seen, below not always.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from offramp.artifacts.bundle import IMAGE, Bundle, logits_name
from offramp.artifacts.codec import Codec, encode_image
from offramp.artifacts.engine import Engine, Precision
from offramp.artifacts.self_test import self_test_images
from offramp.errors import ParityError
from offramp.nodes.route import Step
from offramp.protocol.served import Array
from offramp.runtime.open import open_span
from offramp.runtime.span import SpanSpec, Tensors
from offramp.runtime.tier_spans import tail_span

TOLERANCE: dict[Precision | None, float] = {"fp32": 1e-3, "int8": 0.1, "bf16": 0.15, None: 0.2}  # None: not known
FP32: Codec = "fp32"
# Beside that. What is behind one bit a value has little to do with what fp32 gives: only that it is no NaN can be seen.
CODEC_TOLERANCE: dict[Codec, float] = {"fp32": 0.0, "fp16": 1e-3, "uint8": 0.2, "1bit": math.inf}


def reference(bundle: Bundle, precision: Precision | None) -> Engine:
    """What is computed with to know what a precision should give: the runtime that every node has."""
    return Engine(precision="int8" if precision == "int8" and bundle.graph_int8 is not None else "fp32")


def difference(
    found: Array,
    expected: Array,
    classes: tuple[str, ...],
    precision: Precision | None,
    name: str,
    codec: Codec = "fp32",
    noun: str = "image",
) -> str | None:
    """How logits `(N, classes)` differ by more than a precision does, and most where, in words; None: they do not.

    `codec` is one that features have crossed a cut in, and that what is expected knows nothing of; `noun` is what the
    network takes, in words.
    """
    apart, tolerance = np.abs(found - expected), TOLERANCE[precision] + CODEC_TOLERANCE[codec]
    share = float(apart.max() / max(np.abs(expected).max(), np.finfo(np.float32).tiny))
    if share <= tolerance:  # false for NaN too
        return None
    sample, worst = np.unravel_index(apart.argmax(), apart.shape)  # a NaN, where there is one
    return (
        f"{name} of {len(expected)} {noun}s are off by {share:.2g} of the largest (tolerance {tolerance:g}), most in "
        f"class {classes[worst]!r}: {found[sample, worst]:.4g} in place of {expected[sample, worst]:.4g}"
    )


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
    expected = bundle.self_test.logits["int8" if reference(bundle, engine.precision).precision == "int8" else "fp32"]
    images, takes = self_test_images(bundle.manifest.preprocessing), steps[0].spec.takes
    tensors: Tensors = {IMAGE: encode_image(images, takes)}
    codec = FP32 if takes == "uint8" else takes  # the images are of 8 bits
    for step in steps:
        outputs = step.span.run(*tensors.values())
        for exit_ in step.spec.exits:
            right = np.array(expected[exit_], np.float32)
            classes = bundle.manifest.classes
            noun = bundle.manifest.preprocessing.noun
            if wrong := difference(outputs[step.logits], right, classes, engine.precision, step.logits, codec, noun):
                raise ParityError(
                    f"{bundle.path}: {engine.release} {engine.precision} does not compute this network here: {wrong}, "
                    "as it was at export. Choose another runtime or precision (--runtime, --precision)."
                )
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
