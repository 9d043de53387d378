"""What is learnt of a link from how long answers took."""

import random

import pytest

from offramp.link.shape import LinkShape
from offramp.nodes.estimate import Estimate, Link, Reading

TRUE = Link(up=2e6, down=4e6, round_trip_ms=30.0, cloud_slower=2.0)


def reading(link: Link, when: float, sent: int, cloud_ms: float = 3.0, noise: float = 1.0, *, word: bool) -> Reading:
    """What a link makes of a message."""
    cloud = link.cloud_slower * cloud_ms
    took = link.round_trip_ms + 8000 * (sent / link.up + 200 / link.down) + cloud
    return Reading(when, noise * took, sent, 200, cloud_ms, cloud if word else None)


def taught(estimate: Estimate, link: Link, start: float = 0.0, *, word: bool = True, seed: int = 0) -> Estimate:
    """Forty readings of two sizes."""
    drawn = random.Random(seed)
    for step in range(40):
        size, work = (3000, 3.0) if step % 2 else (0, 0.0)
        estimate.heard(reading(link, start + step / 10, size, work, drawn.gauss(1, 0.03), word=word and work > 0))
    return estimate


@pytest.mark.parametrize("word", [True, False])
def test_messages_of_two_sizes_tell_the_rate_from_the_round_trip(word: bool) -> None:
    """From next to nothing known; the cloud's pace too, where it gives its word."""
    link = taught(Estimate(0.0), TRUE, word=word).link
    assert link.round_trip_ms == pytest.approx(TRUE.round_trip_ms, rel=0.1)
    assert link.up == pytest.approx(TRUE.up, rel=0.25 if word else 0.5)
    if word:
        assert link.cloud_slower == pytest.approx(TRUE.cloud_slower, rel=0.1)


def test_one_late_answer_is_a_lost_packet_and_two_are_another_link() -> None:
    """A fast answer is believed at once: nothing is faster than its link."""
    estimate = taught(Estimate(0.0), TRUE)
    before, slow = estimate.link, Link(up=2e5, down=4e5, round_trip_ms=30.0, cloud_slower=2.0)
    assert not estimate.heard(reading(slow, 5.0, 3000, word=True))
    assert estimate.link.up == pytest.approx(before.up, rel=0.05)
    assert estimate.heard(reading(slow, 5.1, 3000, word=True))
    now = estimate.link
    assert now.round_trip_ms + 24e6 / now.up == pytest.approx(30 + 120, rel=0.1)
    assert estimate.heard(reading(TRUE, 5.2, 3000, word=True))
    now = estimate.link
    assert now.round_trip_ms + 24e6 / now.up == pytest.approx(30 + 12, rel=0.2)


def test_what_is_not_there_yet_says_only_that_it_takes_longer() -> None:
    """Sooner than was expected it says nothing; an outage leaves what was known before."""
    estimate = taught(Estimate(0.0), TRUE)
    before = estimate.link
    assert estimate.heard(Reading(4.1, 10.0, 3000, 200, 3.0, least=True))
    assert estimate.link.up == pytest.approx(before.up, rel=0.01)
    for step in range(3):
        estimate.heard(Reading(4.2 + step, 2000.0 * 2**step, 3000, 200, 3.0, least=True))
    assert estimate.link.up < before.up / 5
    estimate.unsettle()
    assert estimate.link.up == pytest.approx(before.up, rel=0.01)


def test_a_stated_link_is_where_it_begins() -> None:
    """In bits/s and milliseconds there and back."""
    link = Estimate(0.0, LinkShape.parse("5mbit/50mbit,20ms")).link
    assert (link.up, link.down, link.round_trip_ms) == pytest.approx((5e6, 5e7, 40.0))
    assert str(link) == "up 5 Mbit/s, round trip 40 ms"
