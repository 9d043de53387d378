"""Real images for a network of any size, and the threshold at which half of them leave at an exit."""

import numpy as np
import numpy.typing as npt

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.plan import Plan
from offramp.data.load import load
from offramp.nodes.edge import Edge
from offramp.nodes.local_cloud import LocalCloud

DIGITS = "digits"  # they come with scikit-learn, and are brought to any size


def pixels_of(bundle: Bundle, data: str = DIGITS) -> npt.NDArray[np.uint8]:
    """The test images of what `--data` names, uint8 `(N, H, W, C)` in the network's size."""
    return load(data, bundle.manifest.preprocessing.shape, seed=bundle.manifest.origin.seed).test.images


def halving(bundle: Bundle, exit_: int, pixels: npt.NDArray[np.uint8], batch: int = 64) -> float:
    """The median of the images' scores at an exit: as a threshold it lets half of them leave there."""
    edge = Edge(bundle, Plan.of(exit_, 1.0), LocalCloud(bundle))
    scores = [edge.infer(pixels[start : start + batch]).score for start in range(0, len(pixels), batch)]
    return round(float(np.median(np.concatenate(scores))), 4)
