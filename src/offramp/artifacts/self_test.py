"""A few images that every program makes alike, and what a bundle's graphs made of them where it was exported."""

import hashlib
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from offramp.artifacts.document import Document
from offramp.artifacts.preprocessing import Preprocessing
from offramp.errors import ArtifactDamagedError

SAMPLES = 4  # images: a small request even where a batch of features is large
CELLS = 4  # patches of one colour along each side


def self_test_images(preprocessing: Preprocessing) -> npt.NDArray[np.float32]:
    """Images `(4, C, H, W)` of random patches, as the network takes them: the same ones everywhere and always.

    Drawn by SHAKE-256, whose bytes a standard fixes. Patches set a network's classes further apart than noise does.
    """
    channels, height, width = preprocessing.shape
    drawn = hashlib.shake_256(b"offramp self-test").digest(SAMPLES * CELLS * CELLS * channels)
    patches = np.frombuffer(drawn, np.uint8).reshape(SAMPLES, CELLS, CELLS, channels)
    rows, columns = (np.arange(size) * CELLS // size for size in (height, width))
    return preprocessing.from_uint8(patches[:, rows][:, :, columns])


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
