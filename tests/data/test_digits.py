"""The digits that ship with scikit-learn."""

import numpy as np
from sklearn.datasets import load_digits

from offramp.data.digits import digits


def test_the_digits_are_the_published_ones() -> None:
    """1,797 grey images of 8 by 8 in ten classes, in scikit-learn's order."""
    found = digits()
    assert found.images.shape == (1797, 8, 8, 1)
    assert found.classes == tuple("0123456789")
    np.testing.assert_array_equal(found.labels, load_digits().target)
    np.testing.assert_array_equal(found.index, np.arange(1797))


def test_the_17_levels_become_8_bits_without_loss() -> None:
    """0 is black, 16 is white, and every level can be told from the 8-bit value."""
    found = digits()
    assert (found.images.min(), found.images.max()) == (0, 255)
    np.testing.assert_array_equal(np.rint(found.images[..., 0] / 255 * 16), load_digits().images)


def test_a_mirrored_digit_is_not_a_digit() -> None:
    """Augmentation must not mirror them."""
    assert not digits().mirrors
