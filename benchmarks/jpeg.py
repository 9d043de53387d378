"""What JPEG costs a network: accuracy at each exit on a test set's pixels, and on what JPEG leaves of them.

    python benchmarks/jpeg.py runs/mem-jpeg --data data/cifar10 --before src/offramp/pretrained/cifar10-small-mem

Networks are checkpoints or bundles; `--before` is one that never saw JPEG. The last line holds both against the bar:
the network falls by at most 1.5 points from pixels to JPEG at its last exit, and is at most 0.5 below the other on
pixels.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from alternate import last_line
from offramp.artifacts.measurement import Conditions
from offramp.data.image_set import ImageSet
from offramp.data.jpeg import QUALITY, through_jpeg
from offramp.data.recorded import load_as_trained
from offramp.exits.evaluation import accuracy_at
from offramp.machine import here
from offramp.measure.predict import BATCH, open_predictor

FALLS, LOSES = 1.5, 0.5  # points, at most


def accuracies(source: Path, data: str, quality: int) -> tuple[dict[int, float], dict[int, float]]:
    """A network's accuracy in % at each exit, on pixels and through JPEG."""
    network = open_predictor(source)
    splits, _ = load_as_trained(data, network.data, network.record, network.shape, seed=network.seed, split="test")
    lossy = replace(splits.test, images=np.stack([through_jpeg(image, quality) for image in splits.test.images]))

    def measured(images: ImageSet) -> dict[int, float]:
        predictions = network.predict(images, "test")
        return {exit_: round(100 * (accuracy_at(predictions, exit_) or 0.0), 2) for exit_ in predictions.logits}

    return measured(splits.test), measured(lossy)


def main() -> None:
    """Measure, print a table and the bar."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("network", type=Path)
    parser.add_argument("--before", type=Path, required=True, help="a network that never saw JPEG")
    parser.add_argument("--data", required=True)
    parser.add_argument("--quality", type=int, default=QUALITY)
    options = parser.parse_args()
    found = {
        source.name: accuracies(source, options.data, options.quality) for source in (options.before, options.network)
    }
    for name, (pixels, jpeg) in found.items():
        print(f"{name}: accuracy in % by exit, pixels and JPEG at quality {options.quality}")
        for exit_, value in pixels.items():
            print(f"  {exit_}: {value:.2f} {jpeg[exit_]:.2f} ({jpeg[exit_] - value:+.2f})")
    (before, _), (pixels, jpeg) = found.values()
    last = max(pixels)
    falls, loses = round(pixels[last] - jpeg[last], 2), round(before[max(before)] - pixels[last], 2)
    figures = {"exit": last, "pixels": pixels[last], "jpeg": jpeg[last], "falls": falls, "loses": loses}
    passes = falls <= FALLS and loses <= LOSES
    last_line(
        "jpeg",
        figures | {"passes": passes},
        Conditions(**here(), batch_size=BATCH, link="none", runtime="each network's own", dtype="fp32"),
        networks=list(found),
        quality=options.quality,
    )


if __name__ == "__main__":
    main()
