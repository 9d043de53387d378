"""How features cross each cut: the uint8 scale of each channel, and what each codec costs in accuracy."""

import numpy as np
import numpy.typing as npt

from offramp.artifacts.bundle import IMAGE, Bundle, CodecResult, CutSpec, features_name, logits_name
from offramp.artifacts.codec import CODEC_BYTES, CODECS, Codec, encode_image
from offramp.runtime.onnx_span import OnnxSpan
from offramp.runtime.open import open_span
from offramp.runtime.span import SpanSpec

BATCH = 64
SAMPLES = 1_000  # at most: a scale and an accuracy to a tenth of a point need no more
LEVELS = 255


def cuts(graph: bytes, shapes: dict[int, tuple[int, ...]], image: npt.NDArray[np.float32]) -> tuple[CutSpec, ...]:
    """Describe the cuts at some boundaries, by their shapes; accuracies are not measured yet.

    The scale of a channel is its largest value over the samples in steps of a uint8. Features out of a ReLU, or an
    average of its values, start at 0 and so does the scale. What is not so, or not `(C, H, W)`, is not bent to fit: it
    has no uint8. Boundary 0 is the image: one scale for all.
    """
    largest = {boundary: np.zeros(shape[0]) for boundary, shape in shapes.items() if boundary and len(shape) == 3}
    if largest:
        names = {boundary: features_name(boundary) for boundary in largest}
        span = OnnxSpan(graph, (IMAGE,), {name: name for name in names.values()})
        for start in range(0, len(image), BATCH):
            outputs = span.run(image[start : start + BATCH])
            for boundary in tuple(largest):
                features = outputs[names[boundary]]
                largest[boundary] = np.maximum(largest[boundary], features.max(axis=(0, 2, 3)))
                if features.min() < 0:
                    del largest[boundary]
    # A channel that is dead on every sample still needs a step above zero.
    steps = {boundary: tuple(map(float, np.maximum(top, 1e-6) / LEVELS)) for boundary, top in largest.items()}
    steps[0] = (1 / LEVELS,)
    return tuple(
        CutSpec(
            boundary=boundary,
            scale=steps.get(boundary, ()),
            codecs={
                codec: CodecResult(bytes_per_sample=int(np.prod(shape)) * CODEC_BYTES[codec], accuracy=None)
                for codec in CODECS
                if codec != "uint8" or boundary in steps
            },
            samples=len(image),
        )
        for boundary, shape in sorted(shapes.items())
    )


def measured_cuts(bundle: Bundle, image: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> tuple[CutSpec, ...]:
    """Give a bundle's cuts with the last exit's accuracy through every codec, all samples forwarded."""
    manifest = bundle.manifest
    return tuple(
        cut.model_copy(
            update={
                "codecs": {
                    codec: result.model_copy(update={"accuracy": _accuracy(bundle, cut.boundary, codec, image, labels)})
                    for codec, result in cut.codecs.items()
                }
            }
        )
        for cut in manifest.cuts
    )


def _accuracy(
    bundle: Bundle, boundary: int, codec: Codec, image: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]
) -> float:
    last = bundle.manifest.last
    here = open_span(bundle, SpanSpec(0, boundary, gives=codec)) if boundary else None
    there = open_span(bundle, SpanSpec(boundary, last, (last,), takes=codec))
    right = 0
    for start in range(0, len(image), BATCH):
        batch = image[start : start + BATCH]
        sent = [encode_image(batch, codec)] if here is None else here.run(batch).values()
        logits = there.run(*sent)[logits_name(last)]
        right += int((logits.argmax(axis=1) == labels[start : start + BATCH]).sum())
    return round(right / len(image), 6)
