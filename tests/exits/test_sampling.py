"""How far the choice of samples moves a difference of shares."""

import pytest

from offramp.exits.sampling import difference_error


def test_two_standard_errors_of_each_share_by_its_own_number() -> None:
    """sqrt(0.09 / 100 + 0.16 / 400), twice."""
    assert difference_error(0.9, 100, 0.8, 400) == pytest.approx(0.072111025509, abs=1e-12)
    assert difference_error(0.8, 400, 0.9, 100) == difference_error(0.9, 100, 0.8, 400)


def test_a_share_of_all_or_none_does_not_move() -> None:
    """There is nothing to choose."""
    assert difference_error(1.0, 10, 0.0, 10) == 0
