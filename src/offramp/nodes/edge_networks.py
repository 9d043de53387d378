"""The networks of an edge process and its ways to its clouds: what it answers by now, and by what it did before.

Takes settings, gives models to serve. Knows no server and no signal.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.plan import Plan
from offramp.errors import BusyError, InputError, UnknownModelError
from offramp.nodes.edge import Edge
from offramp.nodes.edge_model import EdgeModel
from offramp.nodes.edge_settings import AtLastExit, EdgeSettings
from offramp.nodes.failover import Failover
from offramp.nodes.generations import Generations
from offramp.nodes.remote_cloud import RemoteCloud
from offramp.nodes.route import Course
from offramp.nodes.serving import open_bundles
from offramp.nodes.steering import Steering
from offramp.nodes.ways import Network, Way, look
from offramp.protocol.served import Served
from offramp.runtime.choice import Choice

if TYPE_CHECKING:
    from offramp.artifacts.choices import Priced
    from offramp.nodes.between import Between

# What only some edges do is loaded where they do it: of the others it would be a twentieth of the time until ready.

log = logging.getLogger("offramp")


class EdgeNetworks:
    """Those of an edge's settings, and its ways. What is to be closed is handed to `held`."""

    def __init__(self, settings: EdgeSettings, held: ExitStack) -> None:
        self.settings, self.generations = settings, Generations[Network]({})
        self.between: Between | None = None  # what it has besides as a tier that others hand on to
        self.changing = threading.Lock()  # one change after another
        self.choice: Choice | None = None  # the node's runtime and precision: those of its first network
        bundles, (plan, choices) = open_bundles(settings), self._wanted()
        self.ways = [Way(address, settings, held, self._meet) for address in settings.clouds]
        self.steering = Steering(settings, self.ways, self.changing)
        self.generations, courses = self._turned(bundles, plan, choices)
        follower = self.steering.following(self.generations, choices)
        if self.ways:
            look(self.ways, courses, settings)
            for way in self.ways:
                way.watch.start()
                held.callback(way.watch.close)
        held.callback(self.steering.close)
        self.steering.follow(follower)
        self.steering.audit(self.generations.now.values())

    @property
    def edges(self) -> list[Edge]:
        """Those of now, in the order of their bundles."""
        return [network.edge for network in self.generations.now.values()]

    @property
    def models(self) -> list[Served]:
        """What there is to serve."""
        return _models(self.generations, self.between)

    def reload(self, serve: Callable[[Iterable[Served]], None]) -> None:
        """Follow what stands in the plan's file, and answer by what lies in the folders now.

        What lay there before answers who asks for it by its id, until the next time. Raises an OfframpError and changes
        nothing where one of them, or its cloud, cannot. Waits for the end of a change that is under way.
        """
        with self.changing:
            self._reload(serve)

    def change(self, network: Network, plan: Plan, by: str) -> Plan:
        """Have one of the networks of now follow another plan, until the next reload, and give it; `by` is who asks.

        Raises an OfframpError and changes nothing where it, or a cloud, cannot; BusyError while something is changed.
        """
        if not self.changing.acquire(blocking=False):
            raise BusyError(
                "plan: another change of this edge is under way, and nothing of this one was done. Look at what came "
                "of that one, and send it again."
            )
        try:
            now = list(self.generations.now.values())
            if network not in now:  # it was reloaded since somebody chose it
                raise UnknownModelError(f"plan: bundle {network.edge.bundle.id} is not what this edge answers by now.")
            if network.edge.course.takes is not None:
                raise InputError(
                    "plan: a chain follows the plan of its first tier, which goes along with what is handed on. Change "
                    "it there."
                )
            before, wanted = network.edge.plan, plan.check(network.edge.bundle.manifest)
            course = network.edge.ready(wanted) if wanted != before else network.edge.course
            courses = {one: course if one is network else one.edge.course for one in now}
            look(self.ways, courses, self.settings)
            if self.steering.follower is not None:
                self.steering.follow(None)
                log.info("course: the link is not followed until the next reload: a plan was asked for")
            network.edge.follow(course)
            log.info("plan: %s, as the token of %r asks", _follows(network.edge, before), by)
            return course.plan
        finally:
            self.changing.release()

    def _reload(self, serve: Callable[[Iterable[Served]], None]) -> None:
        follow = self.settings.follow
        file = self.settings.plan_file if follow is None else follow.choices
        plan, choices = self._wanted()
        shown = {way: way.peer.renew() for way in self.ways}
        try:
            turned, courses = self._turned(open_bundles(self.settings), plan, choices)
            follower = self.steering.following(turned, choices)
            look(self.ways, courses, self.settings)
        except BaseException:
            for way, earlier in shown.items():
                if way.peer.shown != earlier:
                    way.peer.show(earlier)
            raise
        serve(_models(turned, self.between))
        self.steering.follow(None)
        said = []
        for network, course in courses.items():
            before = network.edge.plan
            network.edge.follow(course)
            if before != course.plan:
                said.append(_follows(network.edge, before))
        said = said or ["the plan is the same" if file else "no --plan FILE to read again"]
        said += [
            f"cloud {way.peer.address} is shown other credentials" for way in shown if shown[way] != way.peer.shown
        ]
        said.append(turned.said(self.generations))
        self.generations = turned
        log.info("reload: %s", "; ".join(said))
        self.steering.follow(follower)
        self.steering.audit(turned.now.values())

    def _wanted(self) -> "tuple[Plan | AtLastExit, tuple[str, tuple[Priced, ...]] | None]":
        """The plan that stands in the settings' file now, or in them; of choices the first, and all of them."""
        settings = self.settings
        if settings.follow is None:
            return settings.plan if settings.plan_file is None else Plan.load(settings.plan_file), None
        choices = settings.follow.read()
        return choices[1][0].plan, choices

    def _turned(
        self, bundles: list[Bundle], plan: Plan | AtLastExit, choices: "tuple[str, tuple[Priced, ...]] | None"
    ) -> tuple[Generations[Network], dict[Network, Course]]:
        """The networks of these bundles beside those of before, and what the former are to run by a plan, ready."""
        self.settings.check_count(len(bundles))
        self.settings.check_audit(plan, choices)

        def opened(bundle: Bundle) -> Network:
            with _named(bundle, len(bundles)):
                return self._opened(bundle, plan.check(bundle.manifest))

        turned, courses = self.generations.turned(bundles, opened), {}
        for network in turned.now.values():
            with _named(bundle := network.edge.bundle, len(bundles)):
                wanted = plan.check(bundle.manifest)
                courses[network] = network.edge.ready(wanted) if wanted != network.edge.plan else network.edge.course
        return turned, courses

    def _opened(self, bundle: Bundle, plan: Plan) -> Network:
        settings = self.settings
        tier = settings.tier_of(plan)
        if plan.before(tier) is not None and self.between is None:
            from offramp.nodes.between import Between

            self.between = Between.of(settings, bundle, tier)
        between = self.between
        remotes = {way: RemoteCloud(bundle, way.peer, settings.cloud_version, way.watch) for way in self.ways}
        clouds = list(remotes.values())
        edge = Edge(
            bundle,
            plan,
            Failover(clouds) if len(clouds) > 1 else clouds[0] if clouds else None,
            threads=settings.threads,
            runtime=settings.runtime,
            precision=settings.precision,
            choice=self.choice,
            largest=settings.max_batch,
            cloud_timeout=settings.cloud_timeout,
            degraded=settings.degraded,
            in_flight=settings.in_flight,
            tier=tier,
            batcher=None if between is None else between.batcher,
        )
        self.choice = edge.choice = settings.settled(edge.choice)
        return Network(edge, remotes, (EdgeModel(edge),) if between is None else between.models(edge))

    def _meet(self, way: Way, wait: float) -> None:
        """Ask a cloud for what the networks of now hand on, by what the files of credentials hold now."""
        with suppress(InputError):  # half of them may have been changed: the cloud says what is wrong with the others
            way.peer.renew()
        way.ask(wait, {network: self.steering.uses(network) for network in self.generations.now.values()})


@contextmanager
def _named(bundle: Bundle, of: int) -> Iterator[None]:
    """Say of which bundle an error is, where there are several."""
    try:
        yield
    except InputError as error:
        if of == 1:
            raise
        raise InputError(f"{bundle.path}: {error}") from error


def _models(generations: Generations[Network], between: "Between | None") -> list[Served]:
    models: list[Served] = [model for network in generations.all.values() for model in network.models]
    return models if between is None else [*models, between.replies]


def _follows(edge: Edge, before: Plan) -> str:
    """What is said of an edge that follows another plan now."""
    plan, model = edge.plan.model_dump_json(), edge.bundle.manifest.model
    return f"{model} follows the plan {plan}, and before it {before.model_dump_json()}"
