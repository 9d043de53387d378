"""What heads stand on while a backbone stays as it is: its features, computed once and kept on the disk, or each time.

Of features no more is kept than a head reads: where its first layer makes a vector of a map (`models.summary`), the
vector. The backbone runs on onnxruntime, all of a batch's boundaries in one pass.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from offramp.artifacts.document import writing
from offramp.artifacts.stages import IMAGE
from offramp.data.image_set import ImageSet
from offramp.models.graph_network import BACKBONE, GraphNet
from offramp.progress import Watch, unwatched
from offramp.runtime.cut import extract
from offramp.runtime.onnx_span import OnnxSpan

Rows = npt.NDArray[np.intp]
Read = Callable[
    [npt.NDArray[Any]], npt.NDArray[np.float32]
]  # samples as a data set holds them, as the graph takes them

MOST = 2 << 30  # bytes of features on the disk, unless something else is said
AT_ONCE = 64 << 20  # bytes of input and of features that one batch of the backbone may have
LARGEST = 256  # samples of one


class Stand(Protocol):
    """Samples, by what heads at some exits read of each. A set that is mirrored too has each sample twice."""

    labels: npt.NDArray[np.int64]

    def read(self, rows: Rows) -> dict[int, Tensor]:
        """Of some samples, what the head at each exit reads; at the last exit the graph's logits."""


class Backbone:
    """A graph up to the last of some exits, and what the first layer of each one's head makes of a batch there."""

    def __init__(
        self, graph: bytes, net: GraphNet, shape: tuple[int, ...], exits: tuple[int, ...], read: Read, threads: int = 0
    ) -> None:
        self.outputs = {exit_: net.names(exit_)[0] for exit_ in exits}
        self.first: dict[int, nn.Module] = {exit_: _first(net.head(exit_)) for exit_ in exits}
        wanted = [*self.outputs.values()]
        part = extract(graph, [IMAGE], wanted, BACKBONE).SerializeToString()
        self.span = OnnxSpan(part, (IMAGE,), {name: name for name in wanted}, threads)
        self.read = read
        shapes = [net.tensors_at(exit_)[name] for exit_, name in self.outputs.items()]
        self.batch = max(1, min(LARGEST, AT_ONCE // (4 * (prod(shape) + sum(map(prod, shapes))))))

    def __call__(self, samples: npt.NDArray[Any]) -> dict[int, Tensor]:
        """Run samples as a data set holds them, as many at once as there is room for."""
        parts = [self._run(samples[start : start + self.batch]) for start in range(0, len(samples), self.batch)]
        return {exit_: torch.cat([part[exit_] for part in parts]) for exit_ in self.outputs}

    def _run(self, samples: npt.NDArray[Any]) -> dict[int, Tensor]:
        found = self.span.run(self.read(samples))
        with torch.inference_mode():
            return {exit_: self.first[exit_](torch.from_numpy(found[name])) for exit_, name in self.outputs.items()}


class Computed:
    """Features that are computed whenever they are read."""

    def __init__(self, backbone: Backbone, images: ImageSet, views: int = 1) -> None:
        self.backbone, self.images = backbone, images
        self.labels = np.tile(images.labels, views)

    def read(self, rows: Rows) -> dict[int, Tensor]:
        """By the backbone, each time anew; rows of the second view are mirrored."""
        size = len(self.images)
        samples = self.images.images[rows % size]
        if (mirrored := rows >= size).any():
            samples[mirrored] = samples[mirrored][:, :, ::-1]  # a copy, as rows are chosen by their numbers
        return self.backbone(samples)


class Kept:
    """Features that were computed once, each exit's in a file."""

    def __init__(self, computed: Computed, folder: Path, watch: Watch = unwatched, what: str = "features") -> None:
        self.labels = computed.labels
        self.arrays: dict[int, npt.NDArray[np.float32]] = {}
        size = len(self.labels)
        for start in range(0, size, computed.backbone.batch):
            watch(f"computing {what}", start, size)
            rows = np.arange(start, min(start + computed.backbone.batch, size))
            for exit_, found in computed.read(rows).items():
                if exit_ not in self.arrays:
                    file, shape = folder / f"{what}-{exit_}.npy".replace(" ", "-"), (size, *found.shape[1:])
                    with writing(file):
                        self.arrays[exit_] = np.lib.format.open_memmap(file, "w+", np.float32, shape)
                self.arrays[exit_][rows] = found.numpy()

    def read(self, rows: Rows) -> dict[int, Tensor]:
        """From the files."""
        return {exit_: torch.from_numpy(np.take(array, rows, axis=0)) for exit_, array in self.arrays.items()}


@contextmanager
def standing(
    backbone: Backbone, whole: Backbone, train: ImageSet, validation: ImageSet, folder: Path, *,
    views: int = 1, most: int = MOST, watch: Watch = unwatched,
) -> Iterator[tuple[Stand, Stand]]:  # fmt: skip
    """What heads learn on and are looked at by: kept in `folder`, which is gone afterwards, if that is `most` bytes.

    Otherwise it is computed in every epoch again. Heads learn on what `backbone` gives, and are looked at beside what
    `whole` gives: the last exit's own answers too.
    """
    learnt, seen = Computed(backbone, train, views), Computed(whole, validation)
    one = sum(found[0].numel() for found in seen.read(np.arange(1)).values())
    if 4 * one * (len(learnt.labels) + len(seen.labels)) > most:
        yield learnt, seen
        return
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        yield Kept(learnt, folder, watch, "training features"), Kept(seen, folder, watch, "validation features")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _first(head: nn.Module) -> nn.Module:
    return next(head.children()) if isinstance(head, nn.Sequential) else head
