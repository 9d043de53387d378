"""A cloud in the edge's own process."""

from concurrent.futures import Future

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.codec import Codec
from offramp.artifacts.engine import PORTABLE, Engine, Place
from offramp.errors import InputError
from offramp.nodes.cloud import Tail
from offramp.nodes.contract import Reply, place_of
from offramp.nodes.flight import Flight
from offramp.nodes.route import Course
from offramp.nodes.upstream import Finished, at_once
from offramp.runtime.choice import Choice


class LocalCloud:
    """The rest of the network in this process: for a machine that is edge and cloud in one, and for tests."""

    def __init__(self, bundle: Bundle, engine: Engine = PORTABLE) -> None:
        self.bundle, self.choice = bundle, Choice(engine)
        self.tails: dict[tuple[int, Codec], Tail] = {}

    def check(self, course: Course, timeout: float) -> Place | None:
        """Make the tail ready."""
        tail = self._tail(course.part.cut, course.part.codec)
        tail.open()
        return place_of(tail.config)

    def finish(
        self, flight: Flight, timeout: float, to: Reply | None = None, version: str | None = None
    ) -> Future[Finished]:
        """Run the tail here; a direct reply, or another network, needs a cloud of its own."""
        if to is not None:
            raise InputError(
                "reply_to: this edge's cloud is in the same process. Leave it out: the answer is as direct."
            )
        if version not in (None, self.bundle.id):
            raise InputError(f"cloud_version {version!r}: this edge's cloud is in the same process. Leave it out.")
        tail, last = self._tail(flight.course.part.cut, flight.course.part.codec), self.bundle.manifest.last
        return at_once(lambda: Finished.by_cloud(flight, tail.finish(*flight.features.values()), last))

    def _tail(self, cut: int, codec: Codec) -> Tail:
        return self.tails.setdefault((cut, codec), Tail(self.bundle, cut, codec, choice=self.choice))
