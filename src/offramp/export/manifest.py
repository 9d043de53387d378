"""The manifest of a checkpoint's bundle, but for what its codecs cost: that is measured on the bundle."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from offramp.artifacts.bundle import digest
from offramp.artifacts.inputs import TOKENIZER
from offramp.artifacts.manifest import GRAPH, Manifest
from offramp.artifacts.provenance import Origin, Parity
from offramp.artifacts.stages import HeadSpec, StageSpec
from offramp.export.bits import Bits
from offramp.export.calibrate import cuts
from offramp.graphs.layout import Kind
from offramp.models.architecture import Architecture
from offramp.models.checkpoint import Checkpoint
from offramp.models.count import count
from offramp.models.graph_network import GraphNetwork

# The axis of a sample that holds the channels, of kinds whose rank does not say so.
AXES: dict[Kind, int] = {"nhwc": 2, "ncl": 0}


def manifest_of(
    checkpoint: Checkpoint,
    graph: bytes,
    parity: Parity,
    image: npt.NDArray[np.float32],
    bits: Mapping[int, Bits] | None = None,
) -> Manifest:
    """Describe a network and its graph, and calibrate its codecs on samples as the network takes them."""
    card, architecture = checkpoint.card, checkpoint.card.architecture
    stages, heads = count(checkpoint.net, architecture.shape)
    names = _names(architecture)
    shapes = {0: architecture.shape} | {boundary: stages[boundary].shape for boundary in checkpoint.net.exits[:-1]}
    return Manifest(
        model=architecture.name,
        classes=architecture.classes,
        preprocessing=card.takes,
        stages=tuple(
            StageSpec(
                index=index, shape=cost.shape, macs=cost.macs, parameters=cost.parameters, name=names.get(index, "")
            )
            for index, cost in stages.items()
        ),
        heads=tuple(HeadSpec(exit=exit_, macs=cost.macs, parameters=cost.parameters) for exit_, cost in heads.items()),
        cuts=cuts(graph, shapes, image, input_codecs=card.takes.codecs, bits=bits, **_crossing(architecture)),
        parity=parity,
        origin=Origin(
            checkpoint_sha256=card.weights_sha256,
            data=card.data,
            recipe=str(card.recipe["name"]),
            seed=card.seed,
            epochs=card.epochs,
            commit=card.commit,
            record=card.record and card.record.model_copy(update={"passed": {}, "examples": {}}),
        ),
        files={GRAPH: digest(graph)}
        | {name: digest(content) for name, content in checkpoint.files.items() if name == TOKENIZER},
    )


def _names(architecture: Architecture) -> dict[int, str]:
    """What its maker calls each boundary, of a network that has such names."""
    stages = architecture.stages if isinstance(architecture, GraphNetwork) else ()
    return {number: stage.name for number, stage in enumerate(stages, start=1)}


def _crossing(architecture: Architecture) -> dict[str, Any]:
    """Which tensors stay fp32 in every codec, and where their channels are: of a network whose document says so."""
    plain: dict[int, tuple[str, ...]] = {}
    axes: dict[int, dict[str, int]] = {}
    for number, stage in enumerate(architecture.stages if isinstance(architecture, GraphNetwork) else (), start=1):
        first, *carried = stage.tensors
        plain[number] = tuple(carried)
        if stage.kind in AXES:
            axes[number] = {first: AXES[stage.kind]}
    return {"plain": plain, "axes": axes}
