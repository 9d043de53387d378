"""A link whose shape changes with time: when bytes have passed, and what it says of itself."""

import json
import math

import pytest

from offramp.errors import InputError
from offramp.link.shape import LinkShape
from offramp.link.trace import Trace, TracedLane

FAST, SLOW = LinkShape(up=8_000_000, down=16_000_000, delay=0.01), LinkShape(up=80_000, down=80_000, delay=0.1)
TRACE = Trace(100.0, ((0.0, FAST), (1.0, None), (3.0, SLOW), (4.0, FAST)))


def test_bytes_pass_at_the_rates_of_their_time() -> None:
    """What is under way when it changes goes on at the new rate; in an outage everything waits."""
    assert TRACE.passed(500_000, 100.0, up=True) == pytest.approx(100.5)
    assert TRACE.passed(500_000, 100.0, up=False) == pytest.approx(100.25)
    assert TRACE.passed(0, 101.5, up=True) == pytest.approx(103.0)
    # 0.25 s of a megabyte a second, two seconds of nothing, a second of ten kilobytes, and the rest.
    assert TRACE.passed(270_000, 100.75, up=True) == pytest.approx(104.01)
    assert [TRACE.delay(now) for now in (99.0, 101.0, 103.5)] == [0.01, 0.1, 0.1]


def test_a_lane_hands_over_in_order_and_no_faster_than_the_trace() -> None:
    """Each piece when all before it have passed, and the delay later."""
    lane = TracedLane(TRACE, up=True)
    pieces = list(lane.cross(300_000, 100.9))
    arrivals = [arrival for _, arrival in pieces]
    assert sum(size for size, _ in pieces) == 300_000
    assert arrivals == sorted(arrivals)
    assert arrivals[-1] == pytest.approx(TRACE.passed(300_000, 100.9, up=True) + 0.01)
    assert lane.backlog(101.0) == pytest.approx(arrivals[-1] - 0.01 - 101.0)


def test_it_travels_to_the_shaper_whole() -> None:
    """As JSON; one that never passes anything again, or does not begin, is refused."""
    assert Trace.read(*json.loads(json.dumps(TRACE.said()))) == TRACE
    assert str(TRACE) == "4 shapes in 4 s"
    with pytest.raises(InputError, match="at its end nothing passes"):
        Trace(0.0, ((0.0, FAST), (1.0, None)))
    with pytest.raises(InputError, match="times rise from 0"):
        Trace(0.0, ((1.0, FAST),))
    assert math.isfinite(TRACE.passed(1 << 40, 100.0, up=True))
