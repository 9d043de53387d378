"""Thresholds for scores that changed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from offramp.errors import InputError
from offramp.exits.rethreshold import same_share

scores = st.integers(1, 50).flatmap(
    lambda n: st.tuples(*(arrays(np.float64, n, elements=st.floats(0, 1), unique=True) for _ in range(2)))
)
thresholds = st.floats(0, 1.1)


@given(scores, thresholds)
def test_as_many_samples_leave_as_before(pair: tuple[np.ndarray, np.ndarray], threshold: float) -> None:
    """Whatever the scores, so long as no two are equal."""
    before, after = pair
    found = same_share(before, after, threshold)
    assert (after < found).sum() == (before < threshold).sum()


@given(scores, thresholds)
def test_scores_that_did_not_change_keep_their_threshold(pair: tuple[np.ndarray, np.ndarray], threshold: float) -> None:
    """In whatever order they come."""
    assert same_share(pair[0], pair[0][::-1], threshold) == threshold


@given(scores, thresholds, thresholds)
def test_a_higher_threshold_lets_no_fewer_leave(pair: tuple[np.ndarray, np.ndarray], one: float, other: float) -> None:
    """The new thresholds keep the order of the old."""
    low, high = sorted((one, other))
    after = pair[1]
    assert (after < same_share(*pair, low)).sum() <= (after < same_share(*pair, high)).sum()


def test_equal_scores_stay_together() -> None:
    """Two of three were to leave, and the second is as sure as the third: both stay."""
    assert same_share(np.array([0.1, 0.2, 0.9]), np.array([0.3, 0.6, 0.6]), 0.5) == 0.6


def test_neighbouring_numbers_are_divided() -> None:
    """Between two scores that no number lies between."""
    low = 0.5
    high = float(np.nextafter(low, 1))
    found = same_share(np.array([0.1, 0.9]), np.array([high, low]), 0.3)
    assert ([low, high] < np.array(found)).tolist() == [True, False]


BEFORE, AFTER = np.array([0.1, 0.2, 0.6, 0.9]), np.array([0.7, 0.2, 0.8, 0.45])


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        (0.3, 0.575),  # two leave: half-way between the second and the third
        (0.15, 0.325),
        (0.05, 0.05),  # nobody leaves by it as before
        (0.95, 0.95),  # and everybody
        (0.85, 0.75),
    ],
)
def test_the_threshold_is_half_way_between_the_two_that_it_divides(threshold: float, expected: float) -> None:
    """And the old one where it does."""
    assert same_share(BEFORE, AFTER, threshold) == pytest.approx(expected, abs=1e-12)


def test_where_nobody_left_the_surest_stays_and_where_all_did_the_least_sure_leaves() -> None:
    """By the nearest number there is."""
    assert same_share(BEFORE + 0.5, AFTER, 0.5) == 0.2
    assert same_share(BEFORE, AFTER + 1, 0.95) == np.nextafter(1.8, 2)


def test_the_two_must_be_of_the_same_samples() -> None:
    """Other numbers of samples cannot be compared, and none say nothing."""
    with pytest.raises(InputError) as caught:
        same_share(np.zeros(3), np.zeros(2), 0.5)
    assert str(caught.value) == "scores: expected two equal numbers of them and at least one, got (3,), (2,)."
    with pytest.raises(InputError, match=r"at least one, got \(0,\), \(0,\)\.$"):
        same_share(np.zeros(0), np.zeros(0), 0.5)
    with pytest.raises(InputError, match=r"got \(2, 2\), \(2, 2\)\.$"):
        same_share(np.zeros((2, 2)), np.zeros((2, 2)), 0.5)
