"""The nodes that a reproduction is measured on: started for it as processes, or somebody else's by address."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from offramp.artifacts.bundle import MANIFEST
from offramp.artifacts.manifest import Manifest
from offramp.artifacts.plan import Plan
from offramp.bench.cores import limited
from offramp.link.shape import LinkShape
from offramp.link.shaper_process import child_link
from offramp.nodes.edge_settings import AtLastExit, EdgeSettings
from offramp.nodes.process import child_node
from offramp.nodes.settings import CloudSettings
from offramp.paper.stated import THRESHOLD
from offramp.protocol.credentials import Credentials
from offramp.protocol.peer import Peer

TIMEOUT = 10.0  # seconds to wait for a node's statistics
ENGINE: dict[str, Any] = {"runtime": "onnxruntime", "precision": "fp32"}


@dataclass(frozen=True)
class Nodes:
    """Clients of running nodes that hold every network of the experiment, told apart by their bundles' ids."""

    edge: Peer
    cloud: Peer | None  # over the link: where answers may come straight from it
    front: Peer | None = None  # the standard network as a classifier in the cloud, over the link
    planned: Peer | None = None  # an edge that follows a plan of its own
    counts: tuple[Peer, ...] = ()  # of what computes in the cloud, not over the link: asked for statistics

    def cloud_seconds(self) -> float:
        """What the cloud's nodes have spent on answers since they started, by their own count."""
        return sum(model.seconds for node in self.counts for model in node.statistics(timeout=TIMEOUT).values())


@dataclass(frozen=True)
class Own:
    """A network by a plan that no request can bring along, as one of several exits: an edge of its own follows it."""

    bundle: Path
    plan: Plan


class Stage(Protocol):
    """Gives nodes with a link between edge and cloud, the edge held to a number of cores."""

    def nodes(self, link_text: str, cores: float | None, own: Own | None = None) -> AbstractContextManager[Nodes]:
        """Start what is not there yet; what was started stops with the context."""


@dataclass(frozen=True)
class Processes:
    """Nodes as processes of this machine: a cloud for all, and for each link an edge behind it."""

    bundles: Sequence[Path]
    cloud: str
    front: str | None

    @contextmanager
    def nodes(self, link_text: str, cores: float | None, own: Own | None = None) -> Iterator[Nodes]:
        """Start the link and an edge behind it, and another where a plan asks for one."""
        shape = LinkShape.parse(link_text)
        with ExitStack() as started:
            # The test node's own way to the cloud is the link too: that is where direct replies come along.
            over = _over(started, shape, self.cloud)
            # Each request brings a plan of its own: what the edge starts with only has to be one.
            begin = AtLastExit(threshold=THRESHOLD)
            bundles, threads = tuple(map(str, self.bundles)), 0 if cores is None else 1
            settings = EdgeSettings(bundles=bundles, plan=begin, cloud=over, threads=threads, degraded=False, **ENGINE)
            edge = started.enter_context(child_node(settings))
            address = edge.address()
            if cores is not None:
                started.enter_context(limited(edge.process.pid, cores))

            def client(at: str) -> Peer:
                return started.enter_context(Peer(at))

            front = None if self.front is None else client(_over(started, shape, self.front))
            planned = None
            if own is not None:
                alone = EdgeSettings(
                    bundles=(str(own.bundle),), plan=own.plan, cloud=over, threads=threads, degraded=False, **ENGINE
                )
                planned = client(started.enter_context(child_node(alone)).address())
            counts = tuple(client(at) for at in (self.cloud, self.front) if at is not None)
            yield Nodes(client(address), client(over), front, planned, counts)


@contextmanager
def processes(bundles: Sequence[Path], whole: Path | None) -> Iterator[Processes]:
    """Run a cloud with every bundle, and beside it `whole`, a network that answers everything there, if any."""
    with ExitStack() as started:
        settings = CloudSettings(bundles=tuple(map(str, bundles)), **ENGINE)
        cloud = started.enter_context(child_node(settings)).address()
        front = None
        if whole is not None:
            plan = Plan.checked(active=(), cut=Manifest.read(whole / MANIFEST).last)
            alone = EdgeSettings(bundles=(str(whole),), plan=plan, **ENGINE)
            front = started.enter_context(child_node(alone)).address()
        yield Processes(bundles, cloud, front)


@dataclass(frozen=True)
class Elsewhere:
    """Nodes that run already, in containers or on other machines; what lies between them is theirs."""

    edge: str
    cloud: str | None
    credentials: Credentials | None = None

    @contextmanager
    def nodes(self, link_text: str, cores: float | None, own: Own | None = None) -> Iterator[Nodes]:
        """Connect. A plan of its own these nodes were not started with, so that none is measured here."""
        by = self.credentials
        with ExitStack() as opened:
            cloud = None if self.cloud is None else opened.enter_context(Peer(self.cloud, credentials=by))
            counts = () if cloud is None else (cloud,)
            yield Nodes(opened.enter_context(Peer(self.edge, credentials=by)), cloud, counts=counts)


def _over(started: ExitStack, shape: LinkShape, to: str) -> str:
    """The address by which a node is reached over a link; where nothing is shaped, nothing stands between."""
    return to if shape.unshaped else started.enter_context(child_link(shape, to))
