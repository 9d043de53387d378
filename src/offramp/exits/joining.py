"""Join what several devices send of the same samples: max, mean or concatenation (DDNN's aggregators).

Pure arithmetic of numpy; what the network of several views does in training is the same (`models.views_net`), and a
test holds the two together.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from offramp.artifacts.views import Join

Floats = npt.NDArray[np.float32]


def join(views: Sequence[Floats], had: npt.NDArray[np.bool_], how: Join) -> Floats:
    """Join features `(N, *shape)` of each of V views into one batch; `had` `(N, V)` says which are there of a sample.

    At least one is, of each sample. What is in a row that is not there does not matter: it is left out of a maximum or
    mean, and counts as zeros in a concatenation.

    >>> a, b = np.float32([[1.0]]), np.float32([[3.0]])
    >>> join([a, b], np.array([[True, True]]), "mean"), join([a, b], np.array([[True, False]]), "concat")
    (array([[2.]], dtype=float32), array([[1., 0.]], dtype=float32))
    """
    assert had.any(axis=1).all(), "a view of every sample"
    masks = [mask.reshape(-1, *[1] * (view.ndim - 1)) for mask, view in zip(had.T, views, strict=True)]
    if how == "concat":
        kept = [np.where(mask, view, np.float32(0)) for mask, view in zip(masks, views, strict=True)]
        return np.concatenate(kept, axis=1)
    if how == "max":
        kept = [np.where(mask, view, np.float32(-np.inf)) for mask, view in zip(masks, views, strict=True)]
        largest: Floats = np.maximum.reduce(kept)
        return largest
    kept = [np.where(mask, view, np.float32(0)) for mask, view in zip(masks, views, strict=True)]
    total: Floats = np.add.reduce(kept)
    mean: Floats = total / sum(mask.astype(np.float32) for mask in masks)
    return mean
