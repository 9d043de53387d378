"""Two standard errors of a difference."""

import pytest

from offramp.exits.sampling import difference_error


def test_it_is_the_binomial_formula_of_both_sides() -> None:
    """Each with its own number of samples; what is always right or always wrong has no error."""
    assert difference_error(0.9, 400, 0.8, 100) == pytest.approx(2 * (0.09 / 400 + 0.16 / 100) ** 0.5)
    assert difference_error(1.0, 10, 0.0, 10) == 0
