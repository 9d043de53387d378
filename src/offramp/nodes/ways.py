"""An edge's ways to its clouds, its networks as they use them, and how the clouds are looked for."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from offramp.errors import DeadlineError, LinkError, OverloadedError, UnreachableError
from offramp.nodes.edge import Edge
from offramp.nodes.edge_model import EdgeModel
from offramp.nodes.edge_settings import EdgeSettings
from offramp.nodes.remote_cloud import RemoteCloud
from offramp.nodes.route import Course
from offramp.nodes.watch import CloudWatch
from offramp.protocol.peer import Peer

if TYPE_CHECKING:
    from offramp.nodes.tier_model import TierModel

DEGRADED = "is answered here, and marked degraded."
FAILS = "fails, and the rest is answered."


def while_lost(settings: EdgeSettings) -> str:
    """Say what becomes of requests while a cloud is lost."""
    alone = DEGRADED if settings.degraded else FAILS
    several = len(settings.clouds) > 1  # and the others may be lost too
    return f"what needs it goes to another; where none is there, it {alone}" if several else f"what needs it {alone}"


class Way:
    """One of an edge's clouds: the connection to it, and the watch over it."""

    def __init__(
        self, address: str, settings: EdgeSettings, held: ExitStack, meet: Callable[["Way", float], None]
    ) -> None:
        via = None
        if settings.link is not None:
            from offramp.link.shaper_process import child_link

            via = held.enter_context(child_link(settings.link, address))
        self.peer = held.enter_context(closing(Peer(address, via, credentials=settings.credentials)))
        always, meanwhile = settings.ready_needs_cloud, while_lost(settings)
        self.watch = CloudWatch(address, partial(meet, self), always=always, meanwhile=meanwhile)

    def ask(self, wait: float, courses: "Mapping[Network, Course]") -> None:
        """Raise an error of ours unless the cloud is there, and is the one for what these networks hand on."""
        for network, course in courses.items():
            self.watch.called = course.next
            network.remotes[self].wait_ready(wait)
            network.edge.check(wait, network.remotes[self], course)


@dataclass(frozen=True, eq=False)
class Network:
    """The edge of a bundle, and what it asks of each cloud."""

    edge: Edge
    remotes: Mapping[Way, RemoteCloud]
    models: "tuple[EdgeModel | TierModel, ...]"


def look(ways: Sequence[Way], courses: Mapping[Network, Course], settings: EdgeSettings) -> None:
    """Look for the clouds, where any course needs one.

    Raises an error of ours where a cloud is not the one for them, or none is there and nothing is answered without.
    """
    each = [(network.edge, course) for network, course in courses.items()]
    if not settings.ready_needs_cloud and not any(course.part.hands_on(edge.last) for edge, course in each):
        return
    missing: list[LinkError] = []
    for way in ways:
        try:
            way.ask(settings.cloud_wait, courses)
        except (UnreachableError, DeadlineError, OverloadedError) as error:
            missing.append(error)
            way.watch.lost(UnreachableError(str(error)))
        else:
            way.watch.answered()  # it may have been lost, or another's, until now
    alone = all(edge.answers_alone(course) for edge, course in each)
    if missing and len(missing) == len(ways) and not alone:
        first = missing[0]
        raise type(first)(f"{first} By this edge's plan, nothing is answered without it.") from first
