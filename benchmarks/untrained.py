"""A checkpoint and images to measure speed on, made on the spot: speed does not depend on what was learnt."""

from pathlib import Path

import numpy as np
import torch

from offramp.artifacts.names import parse_exits
from offramp.data.image_set import ImageSet
from offramp.machine import commit, processor
from offramp.models.architecture import Architecture, preset
from offramp.models.build import build
from offramp.models.checkpoint import Checkpoint, ModelCard

CLASSES = tuple(f"class {k}" for k in range(10))


def architecture_of(preset_name: str, model: str) -> Architecture:
    """The network of a preset with a model's exits and ten classes."""
    sizes = preset(preset_name)
    return sizes.architecture(parse_exits(model, len(sizes.widths)), CLASSES)


def untrained(architecture: Architecture, path: Path, seed: int = 0) -> Checkpoint:
    """A freshly drawn network as a checkpoint in memory; nothing is written."""
    card = ModelCard(
        architecture=architecture,
        recipe={"name": "untrained"},
        data="none",
        seed=seed,
        commit=commit(),
        hardware=processor(),
        epochs=0,
        seconds=0.0,
        validation_accuracy={},
        weights_sha256="0" * 64,
    )
    net = build(architecture, seed=seed).eval()
    # As drawn, every normalization adds 0, an exporter keeps one copy of what is everywhere the same, and a quantizer
    # leaves alone what it does not find where it looks: another graph than a trained network's.
    generator = torch.Generator().manual_seed(seed)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            with torch.no_grad():
                module.bias.normal_(0, 0.1, generator=generator)
    return Checkpoint(path, card, net)


def noise(architecture: Architecture, count: int, seed: int = 0) -> ImageSet:
    """Random images with random labels in the network's shape."""
    rng = np.random.default_rng(seed)
    channels, height, width = architecture.shape
    return ImageSet(
        name="noise",
        images=rng.integers(0, 256, (count, height, width, channels), np.uint8),
        labels=rng.integers(0, len(architecture.classes), count),
        classes=architecture.classes,
        index=np.arange(count),
        mirrors=True,
    )
