"""What an edge that follows its link makes of what it sends, by a clock that is handed in."""

from concurrent.futures import Future

import numpy as np
import pytest

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.choices import Priced
from offramp.artifacts.plan import Plan
from offramp.errors import UnreachableError
from offramp.link.shape import LinkShape
from offramp.nodes.edge import Edge
from offramp.nodes.flight import Flight
from offramp.nodes.follower import Follower, Ready
from offramp.nodes.route import Course
from offramp.nodes.upstream import Finished

SECOND = LinkShape(delay=0.5)  # a round trip takes one, and nothing else takes any time


class Slow:
    """A cloud that takes 4 samples in one request, and answers when it is told to."""

    def check(self, course: Course, timeout: float) -> None:
        """It is there."""

    def requests(self, rows: int) -> int:
        """How many it takes."""
        return -(-rows // 4)

    def finish(self, flight: Flight, timeout: float, *_: object) -> Future[Finished]:
        """Later."""
        return Future()

    def look(self, timeout: float) -> "Future[None]":
        """Later, too."""
        return Future()


@pytest.fixture
def follower(bundle: Bundle) -> Follower:
    """One that uses its cloud, on a link of one second a round trip."""
    there = Plan.checked(active=(), cut=0, codec="uint8")
    plans = (Priced(plan=there, accuracy=0.9, edge_ms=0.1, onward=1, bytes_up=1, bytes_down=1, cloud_ms=0.1),)
    cloud = Slow()
    edge = Edge(bundle, there, cloud, threads=1)
    return Follower(edge, cloud, Ready.of(edge, plans), stated=SECOND)


def sent(follower: Follower, rows: int) -> tuple[float, Future[Finished], Future[Finished]]:
    """Send a flight: when that was, the cloud's answer, and what the edge waits for."""
    course, began, answer = follower.ready.courses[0], follower.controller.estimate.now, Future[Finished]()
    flight = Flight(course, np.arange(rows), {"x": np.zeros((rows, 1), np.float32)}, rows)
    return began, answer, follower.sent(flight, began, answer, alone=True)


@pytest.mark.parametrize(("rows", "stalls"), [(4, 6), (20, 30)])
def test_a_link_stands_still_after_several_times_the_round_trips_of_a_flight(
    follower: Follower, rows: int, stalls: int
) -> None:
    """One for each of the requests that it takes, one behind the other."""
    began, _, waits = sent(follower, rows)
    follower._tick(began + 0.9 * stalls)
    assert not waits.done()
    assert follower.controller.gone is None
    follower._tick(began + 1.1 * stalls)
    assert isinstance(waits.exception(0), UnreachableError)
    assert follower.controller.stalled


def test_what_came_in_so_many_requests_tells_of_one_round_trip(follower: Follower) -> None:
    """The link is what it was said to be: it took as long as so many take, by what the answer says of them."""
    came: list[float] = []
    for _ in range(3):
        out = sent(follower, 20)[1]
        (pending,) = follower.out
        pending.began -= 5.0  # they began so long ago
        out.set_result(Finished(None, 1, 1, requests=5))
        follower._hear()
        came.append(follower.link.round_trip_ms)
    assert came == pytest.approx([1000.0] * 3, rel=0.2)
