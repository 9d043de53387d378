"""Whether logits are those of a bundle's network: what was computed of its self-test's samples, held to its export.

How far apart they may be goes by the precision, as a share of the largest logit. Measured over every tail and exit of
four networks (three of preset tiny on the digits, the packaged one on CIFAR-10), onnxruntime 1.32 and OpenVINO 2026.4
on a processor with AMX: the two runtimes differ by 8e-7 in fp32 and 2e-3 in int8; bf16 is off by up to 0.05 from fp32,
int8 by 0.14; a codec that is not fp32 adds to that, fp16 up to 3e-4 and uint8 up to 0.05. Other weights are off by 0.36
at least, and those were of one more epoch of the same training. Two classes in each other's place are off by 0.05 at
least: in fp32 that is always seen, below not always. A runtime may do otherwise what a graph says, and not say so.
"""

import math

import numpy as np

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.codec import Codec
from offramp.artifacts.engine import Engine, Precision
from offramp.artifacts.self_test import self_test_images
from offramp.artifacts.stages import logits_name
from offramp.errors import ParityError
from offramp.runtime.open import open_span
from offramp.runtime.span import Array, SpanSpec, Tensors

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


def check_exits(bundle: Bundle, outputs: Tensors, exits: tuple[int, ...], engine: Engine, codec: Codec = FP32) -> None:
    """Raise ParityError where what was made of the self-test's samples has other logits at `exits` than at export.

    Nothing is known of a bundle that has no self-test.
    """
    if bundle.self_test is None:
        return
    expected = bundle.self_test.logits["int8" if reference(bundle, engine.precision).precision == "int8" else "fp32"]
    classes, noun = bundle.manifest.classes, bundle.manifest.preprocessing.noun
    for exit_ in exits:
        right, name = np.array(expected[exit_], np.float32), logits_name(exit_)
        if wrong := difference(outputs[name], right, classes, engine.precision, name, codec, noun):
            raise ParityError(
                f"{bundle.path}: {engine.release} {engine.precision} does not compute this network here: {wrong}, "
                "as it was at export. Choose another runtime or precision (--runtime, --precision)."
            )


def check_engine(bundle: Bundle, engine: Engine) -> None:
    """The same of the whole network, at every exit, as an engine computes it from the input on."""
    if bundle.self_test is not None:
        exits = bundle.manifest.exits
        span = open_span(bundle, SpanSpec(0, bundle.manifest.last, exits), engine)
        check_exits(bundle, span.run(self_test_images(bundle.manifest.preprocessing)), exits, engine)
