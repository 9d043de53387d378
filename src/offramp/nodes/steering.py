"""What has an edge follow other plans by itself: its link, and the audit of what it answers.

Knows networks and ways. Takes the lock under which plans are changed; knows no reload.
"""

import logging
import threading
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from offramp.artifacts.plan import Plan
from offramp.errors import InputError
from offramp.nodes.edge_settings import EdgeSettings
from offramp.nodes.failover import Failover
from offramp.nodes.generations import Generations
from offramp.nodes.route import Course
from offramp.nodes.ways import Network, Way

if TYPE_CHECKING:
    from offramp.artifacts.choices import Priced
    from offramp.nodes.auditor import Auditor
    from offramp.nodes.follower import Follower

# What only some edges do is loaded where they do it: of the others it would be a twentieth of the time until ready.

log = logging.getLogger("offramp")


class Steering:
    """The follower of the one network's link, and an auditor for each network, where the settings ask for them."""

    def __init__(self, settings: EdgeSettings, ways: Sequence[Way], changing: threading.Lock) -> None:
        self.settings, self.ways, self.changing = settings, ways, changing
        self.follower: Follower | None = None
        self.auditors: list[Auditor] = []

    def following(
        self, turned: Generations[Network], choices: "tuple[str, tuple[Priced, ...]] | None"
    ) -> "Follower | None":
        """What has the one network follow its link, with all of its plans ready; nothing is followed yet."""
        settings = self.settings
        if choices is None or settings.follow is None:
            return None
        from offramp.nodes.follower import Follower, Ready

        (network,), (bundle, plans) = turned.now.values(), choices
        edge = network.edge
        if bundle != edge.bundle.id:
            raise InputError(
                f"follow {settings.follow.choices}: its plans are of bundle {bundle}, and this edge holds "
                f"{edge.bundle.id} ({edge.bundle.path}). Make them of this one: offramp plan --choices FILE."
            )
        clouds = list(network.remotes.values())
        return Follower(
            edge,
            Failover(clouds) if len(clouds) > 1 else clouds[0],
            Ready.of(edge, plans),
            gone=self._gone,
            stated=settings.link,
            within=settings.follow.within,
        )

    def follow(self, follower: "Follower | None") -> None:
        """Have the link followed by this one from now on, or by none."""
        if self.follower is not None:
            self.follower.close()
        self.follower = follower
        if follower is not None:
            follower.start()

    def audit(self, networks: Iterable[Network]) -> None:
        """Have the answers of these looked at from now on, and of no others."""
        for auditor in self.auditors:
            auditor.close()
        self.auditors, audited = [], self.settings.audit
        if audited is None:
            return
        from offramp.nodes.auditor import Auditor

        for network in networks:
            edge = network.edge
            assert edge.cloud is not None  # the settings saw to it
            auditor = Auditor(
                edge,
                edge.cloud,
                audited.share,
                lambda course: audited.promised(course.plan),
                partial(self._alarm, network),
            )
            auditor.start()
            self.auditors.append(auditor)

    def close(self) -> None:
        """Follow and audit nothing any more."""
        self.audit(())
        self.follow(None)

    def uses(self, network: Network) -> Course:
        """The course by which a network uses its cloud: that in force, or of those that are followed the last."""
        follower = self.follower
        if follower is None or follower.edge is not network.edge:
            return network.edge.course
        return follower.ready.courses[-1]

    def _alarm(self, network: Network, course: Course, said: str) -> None:
        """What was promised of a course does not hold: answer by a stricter one, or by the last exit alone."""
        edge = network.edge
        with self.changing:
            follower = self.follower
            if follower is not None and follower.ban(course):
                log.error("audit: %s. No plan is followed any more that is not more accurate.", said)
                return
            if follower is not None:
                self.follow(None)
            elif edge.course is not course:
                log.error("audit: %s, by a plan that is not in force any more.", said)
                return
            part = course.part
            strict = Plan.checked(active=(), cut=part.cut, codec=part.codec, score=course.plan.score)
            course = edge.ready(strict)
            log.error("audit: %s. Until the next reload every sample is answered by the last exit.", said)
            edge.follow(course)

    def _gone(self) -> str | None:
        """Why none of the clouds can be used now; None where one can."""
        reasons = [way.watch.why_not() for way in self.ways]
        return None if None in reasons else "; ".join(filter(None, reasons))
