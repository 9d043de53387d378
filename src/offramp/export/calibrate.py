"""How features cross each cut: uint8 scales and zero points by channel, and what each codec costs in accuracy.

Ranges go from the smallest to the largest value. Tried against percentiles on the tokens of a small ViT (six blocks,
the digits, seven cuts; squared error of the logits on other samples): without the outer 0.01 % at each end it was 0.8
to 1.2 times as large, without 0.1 % 1.3 to 8 times, without 1 % 29 to 270 times; by one scale for all channels 2.8 to
5.7 times.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.codec import CODECS, Codec, encode_image, sample_bytes
from offramp.artifacts.cut import CodecResult, CutSpec, Levels, Scale, Zero
from offramp.artifacts.stages import IMAGE, Shape, features_name, logits_name
from offramp.errors import InputError
from offramp.export.bits import Bits, levels_of
from offramp.runtime.onnx_span import OnnxSpan
from offramp.runtime.open import open_span
from offramp.runtime.span import SpanSpec

BATCH = 64
SAMPLES = 1_000  # at most: a scale and an accuracy to a tenth of a point need no more
LEVELS = 255
LARGEST_FP16 = 65504.0

Ranges = dict[str, tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]  # each channel's, by tensor, with 0 in them


def cuts(
    graph: bytes,
    shapes: Mapping[int, Shape | dict[str, Shape]],
    image: npt.NDArray[np.float32],
    *,
    input_codecs: Sequence[Codec] = CODECS,
    plain: Mapping[int, tuple[str, ...]] | None = None,
    axes: Mapping[int, dict[str, int]] | None = None,
    bits: Mapping[int, Bits] | None = None,
) -> tuple[CutSpec, ...]:
    """Describe the cuts at some boundaries, by the shapes of what crosses there; accuracies are not measured yet.

    A channel's scale spreads the 256 steps of uint8 from its smallest to its largest value over the samples, with 0
    among them: features out of a ReLU start there. `plain` names the tensors that stay fp32, `axes` the axis of a
    sample that holds a tensor's channels, where its rank does not say so; each by boundary. Boundary 0 is the input, in
    its own `input_codecs`: uint8 is of an image in [0, 1], one scale for all. At the boundaries in `bits` features
    cross in one bit a value as well. Raises InputError where features are NaN or infinite.
    """
    drafts = {
        boundary: CutSpec(
            boundary=boundary, scale=(), codecs={}, samples=len(image),
            plain=(plain or {}).get(boundary, ()), axes=(axes or {}).get(boundary, {}),
        )
        for boundary in sorted(shapes)
    }  # fmt: skip
    tensors = {k: _named(k, shapes[k]) for k in drafts}
    wanted = {
        name: cut.axis_of(name, shape)
        for boundary, cut in drafts.items()
        for name, shape in tensors[boundary].items()
        if boundary and name not in cut.plain
    }
    ranges = _ranges(graph, wanted, image) if wanted else {}
    found = {k: _cut(cut, tensors[k], ranges) if k else _input_cut(cut, shapes[0], input_codecs)
             for k, cut in drafts.items()}  # fmt: skip
    for boundary, how in (bits or {}).items():
        coded = {name: wanted[name] for name in tensors[boundary] if name in wanted}
        found[boundary] = _with_bits(found[boundary], tensors[boundary], levels_of(graph, coded, image, how))
    return tuple(found.values())


def _with_bits(cut: CutSpec, tensors: dict[str, Shape], levels: dict[str, Levels]) -> CutSpec:
    """Give a cut the codec of one bit a value."""
    size = sample_bytes("1bit", [tensors[name] for name in levels], [tensors[name] for name in cut.plain])
    return cut.model_copy(
        update={"bits": levels, "codecs": cut.codecs | {"1bit": CodecResult(bytes_per_sample=size, accuracy=None)}}
    )


def _input_cut(draft: CutSpec, shape: Shape | dict[str, Shape], codecs: Sequence[Codec]) -> CutSpec:
    """Give the cut at the input its codecs; the scale of uint8 gives an 8-bit image back exactly."""
    shapes = _named(0, shape).values()
    results = {codec: CodecResult(bytes_per_sample=sample_bytes(codec, shapes), accuracy=None) for codec in codecs}
    return draft.model_copy(update={"scale": (1 / LEVELS,) if "uint8" in codecs else (), "codecs": results})


def _named(boundary: int, shape: Shape | dict[str, Shape]) -> dict[str, Shape]:
    return shape if isinstance(shape, dict) else {features_name(boundary): shape}


def _ranges(graph: bytes, axes: Mapping[str, int], image: npt.NDArray[np.float32]) -> Ranges:
    """Smallest and largest value of each channel of some tensors over all samples, 0 among them."""
    found: Ranges = {}
    span = OnnxSpan(graph, (IMAGE,), {name: name for name in axes})
    for start in range(0, len(image), BATCH):
        outputs = span.run(image[start : start + BATCH])
        for name, axis in axes.items():
            values = outputs[name]
            others = tuple(other for other in range(values.ndim) if other != axis + 1)
            low, high = found.get(name, (np.zeros(values.shape[axis + 1]),) * 2)
            found[name] = np.minimum(low, values.min(axis=others)), np.maximum(high, values.max(axis=others))
    for name, (low, high) in found.items():
        if not np.isfinite(low).all() or not np.isfinite(high).all():
            raise InputError(
                f"{name}: it is NaN or infinite on calibration samples, and no codec can hold that. Check the network, "
                "or calibrate on other data (--data)."
            )
    return found


def _cut(draft: CutSpec, tensors: dict[str, Shape], ranges: Ranges) -> CutSpec:
    """Give a cut the scales, zero points and codecs that its tensors' ranges ask for."""
    steps = {name: _steps(*ranges[name]) for name in tensors if name in ranges}
    scale, zero = {name: one for name, (one, _) in steps.items()}, {name: at for name, (_, at) in steps.items() if at}
    largest = max((max(-low.min(), high.max()) for low, high in (ranges[name] for name in steps)), default=0)
    coded = [shape for name, shape in tensors.items() if name in steps]
    plain = [shape for name, shape in tensors.items() if name not in steps]
    sizes = {codec: sample_bytes(codec, coded, plain) for codec in CODECS if codec != "fp16" or largest <= LARGEST_FP16}
    alone = list(tensors) == [features_name(draft.boundary)]
    return draft.model_copy(
        update={
            "scale": next(iter(scale.values()), ()) if alone else scale,
            "zero": next(iter(zero.values()), ()) if alone else zero,
            "codecs": {codec: CodecResult(bytes_per_sample=size, accuracy=None) for codec, size in sizes.items()},
        }
    )


def _steps(low: npt.NDArray[np.float64], high: npt.NDArray[np.float64]) -> tuple[Scale, Zero]:
    """One step of each channel, and which of them is 0; no zero points where no channel goes below 0."""
    # A channel that is dead on every sample still needs a step above zero.
    scale = np.maximum(high - low, 1e-6) / LEVELS
    zero = np.rint(-low / scale).astype(int)
    return tuple(map(float, scale)), tuple(map(int, zero)) if zero.any() else ()


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
