"""The documents of a device and of a link."""

import pytest

from offramp.artifacts.profile import LinkProfile, Spread
from offramp.link.shape import LinkShape


def test_a_stated_link_is_its_shape() -> None:
    """Rates as they are, two delays and the jitter's mean a round trip, a lost packet's time-out."""
    found = LinkProfile.stated(LinkShape.parse("5mbit/50mbit,20ms,4ms,1%"))
    assert (found.up, found.down, found.round_trip_ms, found.loss) == (5e6, 50e6, 44.0, 0.01)
    assert found.loss_ms == pytest.approx(244)
    assert found.jitter_ms == pytest.approx(2.343, abs=1e-3)
    assert not found.measured
    assert LinkProfile.parse(found.to_json(), "it") == found


def test_a_spread_is_of_the_middle_half() -> None:
    """Quartiles and median, and never below nothing when something is taken off."""
    spread = Spread.of([1.0, 2.0, 3.0, 4.0, 100.0])
    assert (spread.first, spread.median, spread.third, spread.rounds) == (2.0, 3.0, 4.0, 5)
    assert spread.less(2.5).first == 0.0
