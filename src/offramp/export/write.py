"""Export: from a checkpoint to a bundle, refused where the two differ."""

from pathlib import Path

import numpy as np
import torch

from offramp.artifacts.bundle import (
    GRAPH,
    MANIFEST,
    Bundle,
    HeadSpec,
    Manifest,
    Origin,
    Parity,
    StageSpec,
    digest,
    features_name,
    logits_name,
)
from offramp.artifacts.preprocessing import Preprocessing
from offramp.errors import ArtifactError, InputError, ParityError
from offramp.export.graph import Exporter, output_names, to_onnx
from offramp.models.checkpoint import Checkpoint
from offramp.models.count import count
from offramp.models.exit_net import ExitNet
from offramp.runtime.span import OnnxSpan

# Largest difference between the graph's outputs and torch's, as a share of each output's largest value. Both compute
# in fp32 with sums in another order: 1e-6 is what is seen, 1e-4 is what is still no fault.
TOLERANCE = 1e-4
PARITY_SAMPLES = 64


def export(
    checkpoint: Checkpoint,
    out: Path,
    *,
    samples: np.ndarray[tuple[int, ...], np.dtype[np.uint8]] | None = None,
    exporter: Exporter = "torchscript",
    tolerance: float = TOLERANCE,
) -> Bundle:
    """Write a checkpoint's bundle into `out`.

    `samples` are uint8 images `(N, H, W, C)` that the parity gate compares on; without them it draws noise. Raises
    ParityError, and writes nothing, where any boundary's or exit's values differ by more than `tolerance`.
    """
    if out.exists() and any(out.iterdir()) and not (out / MANIFEST).exists():
        raise ArtifactError(f"{out}: holds other files than a bundle. Choose an empty or a new folder.")
    card, net = checkpoint.card, checkpoint.net
    architecture = card.architecture
    channels, height, width = architecture.shape
    preprocessing = Preprocessing(channels=channels, height=height, width=width)
    if samples is None:
        samples = np.random.default_rng(0).integers(0, 256, (PARITY_SAMPLES, height, width, channels), np.uint8)
    if not len(samples):
        raise InputError("samples: the parity gate needs at least one image to compare on.")
    graph = to_onnx(net, architecture.shape, exporter)
    parity = check_parity(net, graph, preprocessing.from_uint8(samples[:PARITY_SAMPLES]), tolerance)
    stages, heads = count(net, architecture.shape)
    manifest = Manifest(
        model=architecture.name,
        classes=architecture.classes,
        preprocessing=preprocessing,
        stages=tuple(
            StageSpec(index=index, shape=cost.shape, macs=cost.macs, parameters=cost.parameters)
            for index, cost in stages.items()
        ),
        heads=tuple(HeadSpec(exit=exit_, macs=cost.macs, parameters=cost.parameters) for exit_, cost in heads.items()),
        parity=parity,
        origin=Origin(
            checkpoint_sha256=card.weights_sha256,
            data=card.data,
            recipe=str(card.recipe["name"]),
            seed=card.seed,
            epochs=card.epochs,
            commit=card.commit,
        ),
        files={GRAPH: digest(graph)},
    )
    return Bundle.write(out, manifest, graph)


def check_parity(
    net: ExitNet, graph: bytes, image: np.ndarray[tuple[int, ...], np.dtype[np.float32]], tolerance: float
) -> Parity:
    """Compare the graph with the network at every boundary and exit; raise ParityError beyond the tolerance."""
    names = output_names(net)
    found = OnnxSpan(graph, "image", tuple(names)).run(image)
    with torch.inference_mode():
        batch = torch.from_numpy(image)
        expected = {features_name(i): tensor for i, tensor in enumerate(net.features(batch), start=1)}
        expected |= {logits_name(exit_): logits for exit_, logits in net(batch).items()}
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
