"""The smallest things that can be trained: 160 digits of 8x8, and three blocks of eight channels."""

import pytest

from offramp.data.digits import digits as all_digits
from offramp.data.image_set import Splits, split
from offramp.models.architecture import Architecture, StandardCnn


@pytest.fixture(scope="session")
def few() -> Splits:
    """160 digits to train on and 80 in each other part, at their own size."""
    return split(all_digits().rows(slice(0, 400)), None, 0)


@pytest.fixture(scope="session")
def minute() -> Architecture:
    """Three narrow blocks, each with an exit."""
    return StandardCnn(
        channels=1,
        height=8,
        width=8,
        classes=tuple("0123456789"),
        widths=(8, 8, 8),
        pool_after=(1,),
        exits=(1, 2, 3),
    )
