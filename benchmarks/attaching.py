"""How long three exits on a ResNet-18 take, beside one pass of the same samples through the bare runtime.

    python benchmarks/attaching.py --samples 10000

An ONNX file for 32x32 (`backbone_nets.resnet18`) with random weights, random images and labels, one thread: what is
timed does not depend on what they are. Asked: heads on the samples within two passes and a minute. The pass is timed
before and after, and the mean counts; the memory is all that the process ever had, the images included.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from alternate import last_line
from backbone_nets import resnet18
from offramp.artifacts.measurement import Conditions
from offramp.artifacts.preprocessing import Preprocessing
from offramp.attaching import attach
from offramp.data.image_set import ImageSet, Splits
from offramp.export.module import module_graph
from offramp.graphs.source import parse_graph
from offramp.machine import here
from offramp.runtime.onnx_span import OnnxSpan

SHAPE, CLASSES, BATCH = (3, 32, 32), 10, 256
PASSES, MORE = 2, 60.0  # the bound: so many passes, and seconds


def noise(count: int, name: str, seed: int) -> ImageSet:
    """Images and labels that mean nothing."""
    drawn = np.random.default_rng(seed)
    images = drawn.integers(256, size=(count, *SHAPE[1:], SHAPE[0]), dtype=np.uint8)
    classes = tuple(map(str, range(CLASSES)))
    labels = drawn.integers(CLASSES, size=count)
    return ImageSet(name, images, labels, classes, np.arange(count), mirrors=False)


def one_pass(graph: bytes, images: ImageSet) -> float:
    """Seconds of the images through the graph, on onnxruntime and one thread."""
    source = parse_graph(graph, "resnet18")
    span = OnnxSpan(graph, (next(iter(source.inputs)),), {source.output: source.output}, threads=1)
    pixels = Preprocessing(channels=SHAPE[0], height=SHAPE[1], width=SHAPE[2]).from_uint8(images.images)
    start = time.perf_counter()
    for at in range(0, len(pixels), BATCH):
        span.run(pixels[at : at + BATCH])
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=10_000)
    asked = parser.parse_args()
    torch.manual_seed(0)
    graph = module_graph(resnet18(), SHAPE)
    splits = Splits(
        train=noise(asked.samples, "train", 1),
        validation=noise(asked.samples // 10, "validation", 2),
        calibration=noise(asked.samples // 10, "calibration", 3),
        test=noise(asked.samples // 10, "test", 4),
    )
    before = one_pass(graph, splits.train)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "resnet18.onnx"
        file.write_bytes(graph)
        start = time.perf_counter()
        attach(file, exits=4, data=splits, out=Path(folder) / "run", threads=1)
        seconds = time.perf_counter() - start
    once = (before + one_pass(graph, splits.train)) / 2
    figures = {
        "seconds_of_one_pass": round(once, 1),
        "seconds_of_attaching": round(seconds, 1),
        "bound": round(PASSES * once + MORE, 1),
        "memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "passes": seconds <= PASSES * once + MORE,
    }
    conditions = Conditions(**here(), batch_size=BATCH, link="none", runtime="onnxruntime", dtype="fp32")
    last_line("attaching", figures, conditions, samples=asked.samples)


if __name__ == "__main__":
    main()
