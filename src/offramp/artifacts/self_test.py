"""A few images that every program makes alike, to see whether two nodes compute the same network."""

import hashlib

import numpy as np
import numpy.typing as npt

from offramp.artifacts.preprocessing import Preprocessing

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
