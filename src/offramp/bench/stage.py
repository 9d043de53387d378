"""The nodes that a reproduction is measured on: started for it as processes, or somebody else's by address."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from offramp.artifacts.link_shape import LinkShape
from offramp.bench.cores import limited
from offramp.bench.processes import link, running
from offramp.link.client import Client

THRESHOLD = 0.3  # of the edge as it starts; each request brings its own
TIMEOUT = 10.0  # seconds to wait for a node's statistics


@dataclass(frozen=True)
class Nodes:
    """Clients of running nodes that hold every network of the experiment, told apart by their bundles' ids."""

    edge: Client
    cloud: Client | None  # over the link: where answers may come straight from it
    front: Client | None = None  # the standard network as a classifier in the cloud, over the link
    counts: tuple[Client, ...] = ()  # of what computes in the cloud, not over the link: asked for statistics

    def cloud_seconds(self) -> float:
        """What the cloud's nodes have spent on answers since they started, by their own count."""
        return sum(found.seconds for node in self.counts for found in node.statistics(timeout=TIMEOUT).values())


class Stage(Protocol):
    """Gives nodes with a link between edge and cloud, the edge held to a number of cores."""

    def nodes(self, link_text: str, cores: float | None) -> AbstractContextManager[Nodes]:
        """Start what is not there yet; what was started stops with the context."""


@dataclass(frozen=True)
class Processes:
    """Nodes as processes of this machine, the link between them shaped. Each engine is onnxruntime in fp32."""

    bundles: Sequence[Path]
    whole: Path | None  # the bundle of the network that is run in the cloud alone

    @contextmanager
    def nodes(self, link_text: str, cores: float | None) -> Iterator[Nodes]:
        """Start a cloud, the link, an edge behind it; stop them at the end."""
        shape = LinkShape.parse(link_text)
        engine = ("--port", "0", "--no-http", "--runtime", "onnxruntime", "--precision", "fp32")
        folders = tuple(map(str, self.bundles))
        with ExitStack() as started:
            cloud = started.enter_context(running("cloud", *folders, *engine)).address()
            # The test node's own way to the cloud is the link too: that is where direct replies come along.
            over = _over(started, shape, cloud)
            arguments = ("--threshold", str(THRESHOLD), "--cloud", over)
            threads = () if cores is None else ("--threads", "1")
            edge = started.enter_context(running("edge", *folders, *arguments, *threads, *engine))
            address = edge.address()
            counted, front = [cloud], None
            if self.whole is not None:
                alone = started.enter_context(
                    running("edge", str(self.whole), "--cut", str(_last(self.whole)), *engine)
                )
                counted.append(alone.address())
                front = started.enter_context(Client(_over(started, shape, alone.address())))
            if cores is not None:
                started.enter_context(limited(edge.process.pid, cores))
            counts = tuple(started.enter_context(Client(at)) for at in counted)
            yield Nodes(started.enter_context(Client(address)), started.enter_context(Client(over)), front, counts)


@dataclass(frozen=True)
class Elsewhere:
    """Nodes that run already, in containers or on other machines; what lies between them is theirs."""

    edge: str
    cloud: str | None

    @contextmanager
    def nodes(self, link_text: str, cores: float | None) -> Iterator[Nodes]:
        """Connect."""
        with ExitStack() as opened:
            cloud = None if self.cloud is None else opened.enter_context(Client(self.cloud))
            counts = () if cloud is None else (cloud,)
            yield Nodes(opened.enter_context(Client(self.edge)), cloud, counts=counts)


def _over(started: ExitStack, shape: LinkShape, to: str) -> str:
    """The address by which a node is reached over a link; where nothing is shaped, nothing stands between."""
    return to if shape.unshaped else started.enter_context(link(shape, to))


def _last(bundle: Path) -> int:
    from offramp.artifacts.bundle import MANIFEST, Manifest

    return Manifest.read(bundle / MANIFEST).last
