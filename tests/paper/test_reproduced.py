"""What a reproduction's setups are called, and what is computed of its rows."""

from collections.abc import Callable

import pytest

from offramp.artifacts.plan import Plan
from offramp.paper.families import Family
from offramp.paper.reproduced import (
    by_rate,
    bytes_a_sample,
    cloud_ms,
    comparable,
    kind,
    name,
    rate,
    widest,
)
from offramp.paper.reproduction import Reproduction, Setup
from offramp.paper.view import Point, View

Build = Callable[..., Reproduction]


def test_the_papers_data_is_told_by_its_classes(reproduction: Reproduction) -> None:
    """Wherever it lies."""
    assert comparable(reproduction.model_copy(update={"data": "/somewhere/else"}))
    assert not comparable(reproduction.model_copy(update={"classes": tuple("0123456789")}))


@pytest.mark.parametrize(
    ("link", "expected"),
    [("10mbit,5ms", 10.0), ("1gbit", 1000.0), ("2.5mbit", 2.5), ("500kbit", 0.5), ("loopback", None), ("5ms", None)],
)
def test_the_rate_of_a_link(link: str, expected: float | None) -> None:
    """In Mbit/s."""
    assert rate(link) == expected


def test_rows_by_rate_rise(reproduction: Reproduction) -> None:
    """Whatever their order."""
    turned = reproduction.model_copy(update={"rows": reproduction.rows[::-1]})
    assert {at: len(rows) for at, rows in by_rate(turned).items()} == {1.0: 10, 1000.0: 10}
    assert list(by_rate(turned)) == [1.0, 1000.0]


@pytest.mark.parametrize(
    ("update", "expected"),
    [
        ({}, ("local exit", "SEM-3")),
        ({"model": "mem"}, ("local exit", "MEM at exit 3")),
        ({"model": "sem-2"}, ("local exit", "SEM-2 at exit 3")),
        ({"contender": "fixed split"}, ("fixed split", "fixed split at 3")),
        ({"contender": "cascade"}, ("cascade", "cascade at 3")),
        ({"contender": "all at the edge"}, ("all at the edge", "all at the edge")),
        ({"contender": "all in the cloud", "form": "jpeg"}, ("all in the cloud, JPEG", "all in the cloud, JPEG")),
        ({"contender": "all in the cloud", "form": "uint8"}, ("all in the cloud, uint8", "all in the cloud, uint8")),
    ],
)
def test_setups_are_named_by_what_is_deployed(update: dict[str, str], expected: tuple[str, str]) -> None:
    """With the exit where there is one to choose."""
    setup = Setup(section="baselines", model="sem-3", plan=Plan.of(3, 0.3), samples=64)
    changed = setup.model_copy(update=update)
    assert (kind(changed), name(changed)) == expected


def test_bytes_and_cloud_time_are_spread_over_all_samples(reproduction: Reproduction) -> None:
    """SEM-5 at T = 0.3 keeps 5,600 of 10,000; the cloud's time is the middle repeat's."""
    row = View.of(reproduction).rows[Point(Family.SEM, 5, 0.3)]
    assert (row.outcome.count("cloud"), bytes_a_sample(row)) == (4_400, 4_400 * (819 + 17) / 10_000)
    assert cloud_ms(row) == pytest.approx((0.1 * 4_400 + 1) / 10_000)


def test_the_widest_spread_is_a_share(reproduce: Build) -> None:
    """Of the median: 2, 4 and 6 ms lie apart by all of 4; of one repeat there is none."""
    assert widest(reproduce(side=0, sections=("paper",), thresholds=(0.3,)), "paper") == pytest.approx((1.0, 1.0))
    assert widest(reproduce(repeats=1, sections=("paper",)), "paper") is None
    assert widest(reproduce(sections=()), "paper") is None
