"""Predictions: one pass of a checkpoint or a bundle over a split."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from offramp.artifacts.bundle import MANIFEST, Bundle, logits_name
from offramp.artifacts.predictions import Predictions, PredictionsHeader
from offramp.artifacts.preprocessing import Preprocessing
from offramp.data.image_set import ImageSet
from offramp.errors import ArtifactMissingError, DataError, MissingExtraError
from offramp.runtime.span import open_span

BATCH = 256

Pass = Callable[[npt.NDArray[np.float32]], dict[int, npt.NDArray[np.float32]]]


@dataclass(frozen=True)
class Predictor:
    """A checkpoint or a bundle, ready to classify batches at every exit."""

    model: str
    source: str
    classes: tuple[str, ...]
    exits: tuple[int, ...]
    shape: tuple[int, int, int]  # of one image (C, H, W)
    run: Pass

    def predict(self, images: ImageSet, split: str) -> Predictions:
        """Classify every image at every exit."""
        if images.classes != self.classes:
            raise DataError(
                f"{images.name}: its classes are {', '.join(images.classes[:5])}… ({len(images.classes)}), the model's "
                f"{', '.join(self.classes[:5])}… ({len(self.classes)}). Expected the data that it was trained on."
            )
        channels, height, width = self.shape
        preprocessing = Preprocessing(channels=channels, height=height, width=width)
        parts = [
            self.run(preprocessing.from_uint8(images.images[start : start + BATCH]))
            for start in range(0, len(images), BATCH)
        ]
        header = PredictionsHeader(
            model=self.model, source=self.source, data=images.name, split=split, classes=self.classes, exits=self.exits
        )
        logits = {exit_: np.concatenate([part[exit_] for part in parts]) for exit_ in self.exits}
        return Predictions(header, images.index, images.labels, logits)


def open_predictor(path: Path) -> Predictor:
    """Open a checkpoint's or a bundle's folder for predicting."""
    if (path / MANIFEST).exists():
        return of_bundle(Bundle.open(path))
    if (path / "model.json").exists():
        return _of_checkpoint(path)
    raise ArtifactMissingError(
        f"{path}: neither a checkpoint (model.json) nor a bundle ({MANIFEST}). "
        "Write one with: offramp train, then offramp export"
    )


def of_bundle(bundle: Bundle) -> Predictor:
    """Predict with a bundle's graph on the runtime that the nodes use."""
    manifest = bundle.manifest
    span = open_span(bundle, 0, manifest.last, exits=manifest.exits)

    def run(image: npt.NDArray[np.float32]) -> dict[int, npt.NDArray[np.float32]]:
        outputs = span.run(image)
        return {exit_: outputs[logits_name(exit_)] for exit_ in manifest.exits}

    return Predictor(
        manifest.model, f"bundle:{bundle.id}", manifest.classes, manifest.exits, manifest.preprocessing.shape, run
    )


def _of_checkpoint(path: Path) -> Predictor:
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError(
            f"{path}: a checkpoint runs on torch. Install it with: pip install 'offramp[train]', or predict its bundle."
        ) from error
    from offramp.models.checkpoint import Checkpoint

    checkpoint = Checkpoint.open(path)
    card, net = checkpoint.card, checkpoint.net

    def run(image: npt.NDArray[np.float32]) -> dict[int, npt.NDArray[np.float32]]:
        with torch.inference_mode():
            return {exit_: logits.numpy() for exit_, logits in net(torch.from_numpy(image)).items()}

    architecture = card.architecture
    return Predictor(
        architecture.name, f"checkpoint:{card.weights_sha256}", architecture.classes, net.exits, architecture.shape, run
    )
