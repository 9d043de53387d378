"""Predictions that a planner asks for as it goes: of a split whole, of its last exit by a crossing, and through JPEG.

Takes a bundle and where its data lie; the images are read once. Knows nothing of plans.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.codec import Codec
from offramp.artifacts.engine import Engine
from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.data.image_set import Splits
from offramp.data.jpeg import through_jpeg, to_jpeg
from offramp.data.recorded import load_as_trained
from offramp.measure.predict import of_bundle, of_plan
from offramp.progress import Watch, unwatched


@dataclass(frozen=True)
class Compressed:
    """What JPEG makes of a split: the mean bytes of an image, and how many the network's end still has right."""

    bytes: float
    accuracy: float


@dataclass
class Crossings:
    """A bundle on an engine, and the data that it is asked about: `data` in place of what it was trained on."""

    bundle: Bundle
    engine: Engine
    data: str | None = None
    watch: Watch = unwatched

    @cached_property
    def splits(self) -> Splits:
        """The images, split as for the training."""
        manifest = self.bundle.manifest
        origin = manifest.origin
        splits, _ = load_as_trained(
            self.data, origin.data, origin.record, manifest.preprocessing, seed=origin.seed, split="validation",
            watch=self.watch,
        )  # fmt: skip
        return splits

    def measure(self, split: str, cut: int = 0, codec: Codec = "fp32") -> Predictions:
        """Every exit on a split, the last one by features that cross at a cut; without one, the graph in one piece."""
        predictor = of_bundle(self.bundle, cut, codec, self.engine)
        return predictor.predict(self.splits.part(split), split, self.watch)

    def measure_by(self, split: str, plan: Plan) -> Predictions:
        """A plan's exits and the last on a split, by the spans of its tiers."""
        return of_plan(self.bundle, plan, self.engine).predict(self.splits.part(split), split, self.watch)

    def compressed(self, split: str) -> Compressed:
        """The same images through JPEG, at the network's size."""
        images = self.splits.part(split)
        sizes = [len(to_jpeg(image)) for image in images.images]
        shown = replace(images, images=np.stack([through_jpeg(image) for image in images.images]))
        predictions = of_bundle(self.bundle, engine=self.engine).predict(shown, split, self.watch)
        right = predictions.at(predictions.last).argmax(axis=1) == predictions.labels
        return Compressed(float(np.mean(sizes)), float(right.mean()))
