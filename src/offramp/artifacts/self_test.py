"""A few samples that every program makes alike, and what a bundle's graphs made of them where it was exported."""

import hashlib
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from offramp.artifacts.document import Document
from offramp.artifacts.inputs import Input
from offramp.artifacts.preprocessing import Preprocessing
from offramp.artifacts.text import Text
from offramp.errors import ArtifactDamagedError

SAMPLES = 4  # images, or what else it takes: a small request even where a batch of features is large
CELLS = 4  # patches of one colour along each side
SEED = b"offramp self-test"


def self_test_images(takes: Input) -> npt.NDArray[np.float32]:
    """Samples `(4, …)` as the network takes them, of its kind: the same ones everywhere and always.

    Drawn by SHAKE-256, whose bytes a standard fixes. Images are of random patches, which set a network's classes
    further apart than noise does; values lie between -2 and 2; texts are of random ids, each shorter than the one
    before it.
    """
    if isinstance(takes, Preprocessing):
        channels, height, width = takes.shape
        patches = _drawn(SAMPLES * CELLS * CELLS * channels).reshape(SAMPLES, CELLS, CELLS, channels)
        rows, columns = (np.arange(size) * CELLS // size for size in (height, width))
        return takes.from_uint8(patches[:, rows][:, :, columns])
    size = SAMPLES * int(np.prod(takes.shape))
    if not isinstance(takes, Text):
        spread = (_drawn(size).astype(np.float32) - np.float32(127.5)) / np.float32(64)
        return spread.reshape(SAMPLES, *takes.shape)
    ids = _drawn(4 * size).view("<u4").reshape(SAMPLES, takes.length).astype(np.int64) % takes.vocabulary
    ids[ids == takes.pad] = (takes.pad + 1) % takes.vocabulary
    for row in range(1, SAMPLES):
        long = max(1, takes.length * (SAMPLES - row) // SAMPLES)
        ids[row, slice(takes.length - long) if takes.pad_left else slice(long, None)] = takes.pad
    return ids.astype(np.float32)


def _drawn(size: int) -> npt.NDArray[np.uint8]:
    return np.frombuffer(hashlib.shake_256(SEED).digest(size), np.uint8)


class SelfTest(Document):
    """`self-test.json` of a bundle: the logits that a node must find again on the same images before it serves."""

    FORMAT: ClassVar[str] = "offramp.self-test"
    VERSION: ClassVar[int] = 1

    # Of the fp32 graph, and of the int8 graph where there is one: for each exit, a row of logits for each image.
    logits: dict[Literal["fp32", "int8"], dict[int, tuple[tuple[float, ...], ...]]]

    def check(self, origin: str, precisions: set[str], exits: tuple[int, ...], classes: int) -> None:
        """Raise ArtifactDamagedError where it is not of such a network."""
        for precision, by_exit in self.logits.items():
            for exit_, rows in by_exit.items():
                if [len(row) for row in rows] != [classes] * SAMPLES:
                    raise ArtifactDamagedError(
                        f"{origin}: logits.{precision}.{exit_}: expected {SAMPLES} rows of {classes}. Export it again."
                    )
        found = {(precision, exit_) for precision, by_exit in self.logits.items() for exit_ in by_exit}
        if found != {(precision, exit_) for precision in precisions for exit_ in exits}:
            raise ArtifactDamagedError(
                f"{origin}: expected logits of {' and '.join(sorted(precisions))} at exits "
                f"{', '.join(map(str, exits))}, and no others. Export it again."
            )
