"""The int8 graph of a bundle: static quantization on calibration samples, and what it does to accuracy and scores.

onnxruntime's own quantizer, ranges by smallest and largest value, one scale a tensor and a weight's channel. Tried
against nncf 3.4 (mixed and performance presets) on a MEM of preset tiny on the digits and one of preset small, trained
for three epochs, on 2,000 CIFAR-10 test images. Largest change of accuracy over the nine exits: 0.6 and 0.6 points,
nncf's 3.1 and 2.0. Percentile and entropy ranges gave what the extremes give. Both quantizers' graphs run equally fast.

Weights have 7 bits, so that a bundle answers alike everywhere: x86 without VNNI adds pairs of products of a uint8 and
an int8 in 16 bits, where 2 * 255 * 127 does not fit and 2 * 255 * 64 does. On such a processor (AVX2), the packaged
CIFAR-10 network over 3,000 test images, accuracy at the last exit against fp32's 84.43 % on onnxruntime, on OpenVINO,
and by the same graph computed in fp32: 8 bits -8.57, -8.10, -0.57; 7 bits -0.57 on all three; uint8 weights 0.00 on all
three, but at batch 32 they took OpenVINO 45 ms where 7 bits took 21 and fp32 38.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.engine import Engine, Precision
from offramp.artifacts.provenance import Int8, Rethreshold
from offramp.artifacts.stages import IMAGE, logits_name
from offramp.errors import InputError, ParityError
from offramp.exits.answers import Judged
from offramp.exits.rethreshold import same_share
from offramp.runtime.open import open_span
from offramp.runtime.span import SpanSpec

BATCH = 64
SCORE = "entropy"
THRESHOLDS = (0.1, 0.3, 0.5, 0.8)  # that are chosen again
GROSS = 0.02  # a loss of accuracy at the last exit that is no longer the price of speed but a fault

# What reads a quantized tensor. A head's pooling and a stage's do, and not only convolutions: without a reader in int8
# at its end, onnxruntime runs the convolution before it in fp32.
READERS = ["Conv", "AveragePool", "GlobalAveragePool"]
OPTIONS = {
    # Nothing is quantized where it is made, only where it is read: a boundary keeps its name and its fp32 values, and a
    # span that starts there quantizes for itself. OpenVINO gives the same numbers however such a graph is cut.
    # onnxruntime does not: in one piece it fuses a convolution with the quantization of whoever reads it, over a cut it
    # cannot, and a value beside the edge of a step takes the other one (0.012 of a score, 0.08 of a logit, over 10,000
    # images). So what nodes give is predicted by the spans that they run: `measure.predict.of_plan`.
    "OpTypesToExcludeOutputQuantization": READERS,
    "QDQKeepRemovableActivations": True,  # a ReLU that the quantizer would remove may be the one that makes a boundary
    "ForceQuantizeNoInputCheck": True,  # poolings read int8 even where what they read is not int8 already
}
PREPARED = ("onnx.quant.pre_process", "onnxruntime.quant")  # torch's exporter has folded what preparing would fold


class _Samples(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime ships no types
    """Calibration images in batches."""

    def __init__(self, image: npt.NDArray[np.float32]) -> None:
        self.batches = iter([{IMAGE: image[start : start + BATCH]} for start in range(0, len(image), BATCH)])

    def get_next(self) -> dict[str, npt.NDArray[Any]] | None:
        """The next batch; None after the last."""
        return next(self.batches, None)


def quantize(graph: bytes, image: npt.NDArray[np.float32]) -> bytes:
    """Give a bundle's graph with its convolutions in int8, every boundary and exit under its old name.

    Matrix products stay fp32, those of attention among them; InputError where there is nothing else.
    """
    model = onnx.load_model_from_string(graph)
    if not {node.op_type for node in model.graph.node} & set(READERS):
        raise InputError(
            f"int8: the network has none of {', '.join(READERS)}, which are what is quantized: its graph would stay as "
            "it is. Export without --int8."
        )
    boundaries = list(model.graph.output)
    # An output would be quantized and its name given to the result: with one left, the boundaries lie inside.
    del model.graph.output[:-1]
    model.metadata_props.add(key=PREPARED[0], value=PREPARED[1])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "int8.onnx"
        quantize_static(
            model,
            file,
            _Samples(image),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=READERS,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            reduce_range=True,  # 7 bits: see above
            extra_options=OPTIONS,
        )
        quantized = onnx.load(file)
    del quantized.graph.output[:]
    quantized.graph.output.extend(boundaries)
    del quantized.metadata_props[:]
    onnx.checker.check_model(quantized)
    content: bytes = quantized.SerializeToString()
    return content


def measured(bundle: Bundle, image: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> Int8:
    """Hold a bundle's int8 graph against its fp32 graph at every exit."""
    exits = bundle.manifest.exits
    before, after = (_logits(bundle, image, precision) for precision in ("fp32", "int8"))
    thresholds = []
    for exit_ in exits[:-1]:
        scores, changed = (Judged.of(logits[exit_], SCORE).scores for logits in (before, after))
        for threshold in THRESHOLDS:
            again = same_share(scores, changed, threshold)
            share = float((scores < threshold).mean())
            thresholds.append(Rethreshold(exit=exit_, threshold=threshold, int8=again, share=round(share, 6)))
    fp32, int8 = (
        {exit_: round(float((logits[exit_].argmax(axis=1) == labels).mean()), 6) for exit_ in exits}
        for logits in (before, after)
    )
    return Int8(samples=len(image), fp32_accuracy=fp32, int8_accuracy=int8, score=SCORE, thresholds=tuple(thresholds))


def check_loss(effect: Int8, last: int) -> None:
    """Raise ParityError where int8 costs more than `GROSS` of accuracy at the last exit."""
    before, after = effect.fp32_accuracy[last], effect.int8_accuracy[last]
    if before - after > GROSS:
        raise ParityError(
            f"int8: accuracy at the last exit {last} falls from {100 * before:.1f} to {100 * after:.1f} % over "
            f"{effect.samples} calibration samples; at most {100 * GROSS:g} points may be lost. No bundle was written. "
            "Export without --int8, calibrate on other data (--data), or write it all the same (--force-int8)."
        )


def _logits(bundle: Bundle, image: npt.NDArray[np.float32], precision: Precision) -> dict[int, npt.NDArray[np.float32]]:
    """Logits at every exit by the span that an edge runs up to it: from the image to there, where it is cut."""
    exits, last = bundle.manifest.exits, bundle.manifest.last
    found = {}
    for exit_ in exits:
        spec = SpanSpec(0, exit_, (exit_,), gives=None if exit_ == last else "fp32")
        span = open_span(bundle, spec, engine=Engine(precision=precision))
        parts = [span.run(image[start : start + BATCH])[logits_name(exit_)] for start in range(0, len(image), BATCH)]
        found[exit_] = np.concatenate(parts)
    return found
