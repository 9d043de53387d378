"""Comparisons and the verdict that several of them give."""

from collections.abc import Callable

import pytest

from offramp.paper.comparison import Comparison, Share, Time, gaps, shares, time, times, verdict
from offramp.paper.reproduced import FEW
from offramp.paper.reproduction import Reproduction

FOR = Comparison("here", "", 2.0, 1.0, "ms")
AGAINST = Comparison("there", "", -2.0, 1.0, "ms")
NOISE = Comparison("nowhere", "", 0.5, 1.0, "ms")


@pytest.mark.parametrize(
    ("difference", "noise", "outcome"),
    [
        (1.1, 1.0, "for"),
        (-1.1, 1.0, "against"),
        (1.0, 1.0, "within noise"),
        (-1.0, 1.0, "within noise"),
        (0.0, 0.0, "within noise"),
        (0.1, 0.0, "for"),
        (9.0, None, "within noise"),
    ],
)
def test_a_difference_speaks_beyond_its_noise_alone(difference: float, noise: float | None, outcome: str) -> None:
    """Where the noise is not known, nothing is beyond it."""
    assert Comparison("", "", difference, noise, "ms").outcome == outcome


@pytest.mark.parametrize(
    ("comparisons", "expected"),
    [
        ([], "not measured"),
        ([FOR], "holds"),
        ([FOR, FOR, NOISE], "holds"),
        ([FOR, NOISE], "depends"),
        ([FOR, FOR, FOR, AGAINST], "depends"),
        ([AGAINST, AGAINST, NOISE], "does not hold"),
        ([AGAINST, NOISE], "depends"),
        ([NOISE, NOISE], "depends"),
    ],
)
def test_a_verdict_takes_more_than_half_and_none_against(comparisons: list[Comparison], expected: str) -> None:
    """Else it depends: on where, or on noise."""
    assert verdict(comparisons) == expected


def test_shares_have_their_sampling_error() -> None:
    """Two standard errors of a difference of independent shares, in points."""
    found = shares("T = 0.3", Share("SEM", 0.9, 400), Share("MEM", 0.8, 100))
    assert found is not None
    assert found.difference == pytest.approx(10)
    assert found.noise == pytest.approx(200 * (0.09 / 400 + 0.16 / 100) ** 0.5)
    assert found.found == "SEM 90.00 %, MEM 80.00 %"


def test_of_the_same_samples_only_those_that_moved_can_change_a_share() -> None:
    """Four of 400 samples: two standard errors of at most one point; none moved: no error at all."""
    pair = Share("low", 0.9, 400), Share("high", 0.8, 400)
    four, none, all_of = (shares("", *pair, moved=moved) for moved in (4, 0, 400))
    free = shares("", *pair)
    assert four is not None
    assert none is not None
    assert all_of is not None
    assert free is not None
    assert (four.noise, none.noise, all_of.noise) == (pytest.approx(1.0), 0.0, free.noise)


def test_few_samples_speak_for_neither_side() -> None:
    """However far apart."""
    few, enough = (shares("", Share("", 1.0, n), Share("", 0.0, 10_000)) for n in (FEW - 1, FEW))
    assert few is not None
    assert enough is not None
    assert (few.outcome, enough.outcome) == ("within noise", "for")


def test_the_noise_of_latencies_is_the_wider_of_both_sides() -> None:
    """And unknown where either was measured once."""
    wide, narrow, once = Time("a", 5.0, 2.0), Time("b", 4.0, 0.5), Time("c", 4.0, None)
    for pair, noise in (((wide, narrow), 2.0), ((narrow, wide), 2.0), ((wide, once), None), ((once, narrow), None)):
        found = times("", *pair)
        assert found is not None
        assert found.noise == noise
        assert found.difference == pytest.approx(pair[0].value - pair[1].value)


def test_what_was_not_measured_is_not_compared() -> None:
    """Of two sides, both are needed."""
    assert shares("", None, Share("", 0.5, 100)) is None
    assert shares("", Share("", 0.5, 100), None) is None
    assert times("", None, Time("", 1.0, 0.1)) is None


def test_gaps_are_independent() -> None:
    """Their noises add as squares."""
    found = gaps("all", Comparison("exit 2", "", 5.0, 3.0, "points"), Comparison("exit 4", "", 1.0, 4.0, "points"))
    assert (found.difference, found.noise) == (4.0, 5.0)
    assert gaps("all", FOR, FOR._replace(noise=None)).noise is None


def test_a_rows_time_is_its_median_and_range(reproduce: Callable[..., Reproduction]) -> None:
    """Over three repeats, one millisecond apart from the next; one repeat has no range."""
    many, one = (
        reproduce(exits=(3,), mem=False, thresholds=(0.3,), sections=("paper",), side=0, repeats=n).rows[0]
        for n in (3, 1)
    )
    assert time("it", many, "overall") == Time("it", 4.0, 4.0)
    assert time("it", one, "overall") == Time("it", 2.0, None)
