"""One direction of a link: when bytes arrive that were handed over, in time that the test makes up."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.link.lane import PACKET, PIECE, Lane

rates = st.integers(1_000, 10**10)
handed = st.lists(st.tuples(st.floats(0, 10), st.integers(1, 1 << 18)), min_size=1, max_size=20)
ROUNDING = 1e-9


def crossed(lane: Lane, handed: list[tuple[float, int]]) -> list[tuple[float, int, float]]:
    """What was handed over, in order of time: when, the bytes of each piece, and when it arrives."""
    return [(now, *piece) for now, size in sorted(handed) for piece in lane.cross(size, now)]


@given(rates, handed, st.floats(0, 1), st.floats(0, 1), st.floats(0, 0.5))
def test_never_faster_than_the_rate_and_never_earlier_than_the_delay(
    rate: int, handed: list[tuple[float, int]], delay: float, jitter: float, loss: float
) -> None:
    """From the first byte handed over to any arrival, no more bytes arrive than pass at the rate, however they come."""
    lane = Lane(rate, delay=delay, jitter=jitter, loss=loss)
    pieces = crossed(lane, handed)
    start = pieces[0][0]
    for now, size, arrival in pieces:
        assert arrival >= now + size * 8 / rate + delay - ROUNDING
        arrived = sum(s for _, s, a in pieces if a <= arrival)
        assert arrived <= (arrival - delay - start) * rate / 8 * (1 + ROUNDING) + 1


@given(rates, st.integers(0, 1 << 18))
def test_every_byte_crosses_in_pieces_of_bounded_size(rate: int, size: int) -> None:
    """And the end of a stream, no bytes, is one."""
    pieces = [piece for piece, _ in Lane(rate).cross(size, 0.0)]
    assert sum(pieces) == size
    assert len(pieces) >= 1
    assert all(piece <= PIECE for piece in pieces)


@given(handed, st.floats(0, 1))
def test_without_jitter_and_loss_it_is_exact(handed: list[tuple[float, int]], delay: float) -> None:
    """A queue of one server: each byte passes as soon as those before it have."""
    free = -math.inf
    for now, size, arrival in crossed(Lane(10**6, delay=delay), handed):
        free = max(free, now) + size * 8 / 10**6
        assert arrival == pytest.approx(free + delay, abs=1e-6)


def test_the_delay_is_a_pipe() -> None:
    """A second's worth of bytes takes a second and the delay, not a delay for every piece."""
    *_, (_, arrival) = Lane(10**6, delay=0.5).cross(125_000, 0.0)
    assert arrival == pytest.approx(1.5)


def test_without_a_rate_nothing_waits() -> None:
    """Only the delay is left."""
    assert {arrival for _, arrival in Lane(None, delay=0.25).cross(1 << 24, 1.0)} == {1.25}


def test_jitter_is_between_none_and_all_of_it() -> None:
    """Evenly; drawn once for bytes that come together."""
    lane = Lane(None, delay=1.0, jitter=0.5)
    arrivals = [{arrival for _, arrival in lane.cross(3 * PIECE, 0.0)} for _ in range(1000)]
    assert all(len(together) == 1 for together in arrivals)
    drawn = sorted(together.pop() for together in arrivals)
    assert 1.0 <= drawn[0] < 1.01
    assert 1.49 < drawn[-1] <= 1.5
    assert drawn[500] == pytest.approx(1.25, abs=0.05)


@pytest.mark.parametrize(("loss", "size"), [(0.01, PACKET), (0.2, PACKET), (0.01, PIECE)])
def test_loss_is_a_share_of_packets(loss: float, size: int) -> None:
    """A piece of 45 packets is hit as often as one of them is lost."""
    lane, packets = Lane(None, loss=loss), size // PACKET
    stalled = sum(arrival > 0 for _ in range(40_000) for _, arrival in lane.cross(size, 0.0))
    assert stalled / 40_000 == pytest.approx(1 - (1 - loss) ** packets, rel=0.1)


def test_a_lost_packet_comes_a_time_out_later_and_twice_that_if_it_is_lost_again() -> None:
    """Linux's: the round trip and 200 ms, doubled each time, so 1, 3, 7 … of them in all."""
    lane = Lane(None, delay=0.05, loss=0.3)
    late = {round((arrival - 0.05) / 0.3, 6) for _ in range(2000) for _, arrival in lane.cross(1, 0.0)}
    assert late == {0, 1, 3, 7, 15, 31, 63}


@pytest.mark.parametrize("seed", [0, 1])
def test_the_same_seed_draws_the_same(seed: int) -> None:
    """Another one does not."""
    one, same, other = (
        [arrival for _ in range(20) for _, arrival in Lane(10**6, jitter=1, loss=0.1, seed=s).cross(9000, 0.0)]
        for s in (seed, seed, seed + 1)
    )
    assert one == same != other


@pytest.mark.parametrize("rate", [10**3, 10**6, 10**9, None])
def test_what_is_taken_at_once_and_on_the_way_is_bounded(rate: int | None) -> None:
    """By the rate, and in any case."""
    lane = Lane(rate, delay=10, jitter=10)
    assert PACKET <= lane.read <= 1 << 18
    assert lane.read <= lane.window <= (64 << 20) + (1 << 18)
    assert lane.piece % PACKET == 0


def test_backlog_is_the_time_until_what_waits_has_passed() -> None:
    """None before anything was handed over, and none after it has passed."""
    lane = Lane(8_000)
    assert lane.backlog(0.0) == 0.0
    list(lane.cross(2_000, 1.0))
    assert lane.backlog(1.5) == pytest.approx(1.5)
    assert lane.backlog(4.0) == 0.0
