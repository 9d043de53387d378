"""Export: from a checkpoint to a bundle, refused where the two differ."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from offramp.artifacts.bundle import MANIFEST, SELF_TEST, Bundle, digest
from offramp.artifacts.inputs import TOKENIZER, read_samples
from offramp.artifacts.manifest import GRAPH_INT8, Manifest
from offramp.artifacts.provenance import Parity
from offramp.artifacts.self_test import SelfTest, self_test_images
from offramp.artifacts.stages import IMAGE, logits_name
from offramp.data.image_set import ImageSet
from offramp.errors import ArtifactError, InputError, ParityError
from offramp.export.bits import Bits
from offramp.export.calibrate import SAMPLES, measured_cuts
from offramp.export.graph import Exporter, output_names, to_onnx
from offramp.export.head_graph import with_heads
from offramp.export.manifest import manifest_of
from offramp.export.quantize import check_loss, measured, quantize
from offramp.models.checkpoint import Checkpoint
from offramp.models.exit_net import ExitNet
from offramp.models.graph_network import BACKBONE
from offramp.runtime.onnx_span import OnnxSpan

# Largest difference between the graph's outputs and torch's, as a share of each output's largest value. Both compute
# in fp32 with sums in another order: 1e-6 is what is seen, 1e-4 is what is still no fault.
TOLERANCE = 1e-4
PARITY_SAMPLES = 64
Array = npt.NDArray[np.float32]


def export(
    checkpoint: Checkpoint,
    out: Path,
    calibration: ImageSet,
    *,
    exporter: Exporter = "torchscript",
    tolerance: float = TOLERANCE,
    int8: bool = False,
    force_int8: bool = False,
    bits: Mapping[int, Bits] | None = None,
) -> Bundle:
    """Write a checkpoint's bundle into `out`.

    On `calibration` samples the parity gate compares, the codecs' ranges are taken and their accuracies measured.
    Raises ParityError, and writes nothing, where any boundary's or exit's values differ by more than `tolerance`.

    With `int8` the bundle holds a second graph that multiplies in int8, and the manifest what that does; ParityError
    too where it loses more than two points at the last exit, unless `force_int8`. At the boundaries in `bits`, features
    cross in one bit a value as well.
    """
    if out.exists() and not out.is_dir():
        raise ArtifactError(f"{out}: is a file, and a bundle is a folder. Choose an empty or a new one.")
    if out.exists() and any(out.iterdir()) and not (out / MANIFEST).exists():
        raise ArtifactError(f"{out}: holds other files than a bundle. Choose an empty or a new folder.")
    net, architecture = checkpoint.net, checkpoint.card.architecture
    takes, tokenizer = checkpoint.card.takes, checkpoint.files.get(TOKENIZER)
    if not len(calibration):
        raise InputError("calibration: the parity gate needs at least one image to compare on.")
    calibration = calibration.rows(slice(SAMPLES))
    image = read_samples(takes, calibration.images, tokenizer)
    if (backbone := checkpoint.files.get(BACKBONE)) is None:
        graph = to_onnx(net, architecture.shape, exporter)
    else:
        graph = with_heads(backbone, net, len(architecture.classes))
    parity = check_parity(net, graph, image[:PARITY_SAMPLES], tolerance)
    manifest = manifest_of(checkpoint, graph, parity, image, bits)
    cuts_measured = measured_cuts(Bundle(out, manifest, graph), image, calibration.labels)
    manifest = manifest.model_copy(update={"cuts": cuts_measured})
    files, graph_int8, effect = manifest.files, None, None
    if int8:
        graph_int8 = quantize(graph, image)
        effect = measured(Bundle(out, manifest, graph, graph_int8), image, calibration.labels)
        if not force_int8:
            check_loss(effect, manifest.last)
        files = files | {GRAPH_INT8: digest(graph_int8)}
    self_test = _self_test(manifest, {"fp32": graph} if graph_int8 is None else {"fp32": graph, "int8": graph_int8})
    files = files | {SELF_TEST: digest(self_test.to_json().encode())}
    manifest = manifest.model_copy(update={"files": files, "int8": effect})
    return Bundle.write(out, manifest, graph, graph_int8, self_test, tokenizer)


def _self_test(manifest: Manifest, graphs: dict[Literal["fp32", "int8"], bytes]) -> SelfTest:
    """What the graphs make of the self-test's images: by the parity gate, what the network does."""
    image = self_test_images(manifest.preprocessing)
    names = {logits_name(exit_): logits_name(exit_) for exit_ in manifest.exits}
    found = {precision: OnnxSpan(graph, (IMAGE,), names).run(image) for precision, graph in graphs.items()}
    logits = {
        precision: {exit_: _seven_digits(outputs[logits_name(exit_)]) for exit_ in manifest.exits}
        for precision, outputs in found.items()
    }
    return SelfTest(logits=logits)


def _seven_digits(logits: Array) -> tuple[tuple[float, ...], ...]:
    """Every row, in as many digits as fp32 has."""
    return tuple(tuple(float(f"{value:.7g}") for value in row) for row in logits.tolist())


def check_parity(net: ExitNet, graph: bytes, image: Array, tolerance: float) -> Parity:
    """Compare the graph with the network at every boundary and exit; raise ParityError beyond the tolerance."""
    names = output_names(net)
    found = OnnxSpan(graph, (IMAGE,), {name: name for name in names}).run(image)
    with torch.inference_mode():
        batch = torch.from_numpy(image)
        features = net.features(batch)
        expected: dict[str, torch.Tensor] = {}
        for boundary, found_there in enumerate(features, start=1):
            tensors = found_there if isinstance(found_there, tuple) else (found_there,)
            expected |= dict(zip(net.names(boundary), tensors, strict=True))
        expected |= {logits_name(exit_): net.head(exit_)(features[exit_ - 1]) for exit_ in net.exits}
    worst = 0.0
    for name in names:
        truth = expected[name].numpy()
        scale = max(1.0, float(np.abs(truth).max()))
        difference = float(np.abs(found[name] - truth).max()) / scale
        if not difference <= tolerance:  # false for NaN too
            raise ParityError(
                f"{name}: the exported graph differs from the network by {difference:.2e} of its largest value, "
                f"tolerance {tolerance:.0e}, over {len(image)} samples. No bundle was written. "
                "Try the other exporter (--exporter), or report the network."
            )
        worst = max(worst, difference)
    return Parity(max_difference=worst, tolerance=tolerance, samples=len(image))
