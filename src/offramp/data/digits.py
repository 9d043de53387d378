"""The 1,797 handwritten digits that ship with scikit-learn: 8x8, grey, ten classes. The embedded default."""

from dataclasses import replace

import numpy as np

from offramp.data.image_set import ImageSet
from offramp.errors import MissingExtraError


def digits() -> ImageSet:
    """Give the digits as 8-bit images (1797, 8, 8, 1), in scikit-learn's order."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingExtraError(
            "the digits ship with scikit-learn. Install it with: pip install 'offramp[data]'"
        ) from error
    source = load_digits()
    levels = 16.0  # the set's own range is 0 to 16
    found = ImageSet(
        name="digits",
        images=np.rint(source.images * (255 / levels)).astype(np.uint8)[..., None],
        labels=source.target.astype(np.int64),
        classes=tuple(str(name) for name in source.target_names),
        index=np.arange(len(source.target), dtype=np.int64),
        mirrors=False,
    )
    return replace(found, digests=found.content())  # of the pixels as they are, before any network's size
