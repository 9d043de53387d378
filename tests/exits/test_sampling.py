"""How far the choice of samples moves a difference of shares."""

import pytest
from scipy.stats import binomtest

from offramp.exits.sampling import difference_error, wilson


def test_two_standard_errors_of_each_share_by_its_own_number() -> None:
    """sqrt(0.09 / 100 + 0.16 / 400), twice."""
    assert difference_error(0.9, 100, 0.8, 400) == pytest.approx(0.072111025509, abs=1e-12)
    assert difference_error(0.8, 400, 0.9, 100) == difference_error(0.9, 100, 0.8, 400)


def test_a_share_of_all_or_none_does_not_move() -> None:
    """There is nothing to choose."""
    assert difference_error(1.0, 10, 0.0, 10) == 0


@pytest.mark.parametrize(("right", "of"), [(0, 1), (1, 1), (3, 7), (0, 359), (351, 359), (8460, 10_000)])
def test_the_interval_of_a_share_is_wilsons(right: int, of: int) -> None:
    """As SciPy has it; it stays in [0, 1] where all or none are right."""
    theirs = binomtest(right, of).proportion_ci(0.95, method="wilson")
    assert wilson(right / of, of) == pytest.approx((theirs.low, theirs.high), abs=1e-6)
