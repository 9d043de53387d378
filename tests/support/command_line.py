"""Nodes as a user starts them, by the command line; those that measure start theirs by settings (`nodes.process`)."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from offramp.artifacts.engine import PORTABLE, Engine
from offramp.artifacts.plan import Plan
from offramp.children import Child
from offramp.nodes.edge_settings import EdgeSettings
from offramp.nodes.process import child_node
from offramp.nodes.settings import CloudSettings

Node = Child


def running(*arguments: str) -> Node:
    """Start a node, as `offramp serve` with these arguments; its context stops it."""
    return Child(f"offramp serve {arguments[0]}", ("-m", "offramp", "serve", *arguments), "", kept=True)


@contextmanager
def edge_and_cloud(bundle: Path, plan: Plan, *, engine: Engine = PORTABLE) -> Iterator[str]:
    """Run a cloud and an edge of the same bundle on free ports of this machine; give the edge's HOST:PORT."""
    common = {"bundles": (str(bundle),), "runtime": engine.runtime, "precision": engine.precision}
    with (
        child_node(CloudSettings(**common)) as cloud,
        child_node(EdgeSettings(**common, plan=plan, cloud=cloud.address())) as edge,
    ):
        yield edge.address()


def samples(node: Node, *holding: str) -> int:
    """How many samples a node says that it has answered, by its metrics; those whose labels hold all of these."""
    with urlopen(f"http://{node.http_address()}/metrics", timeout=60) as answer:
        lines = answer.read().decode().splitlines()
    counted = [line for line in lines if line.startswith("offramp_samples_total{")]
    return int(sum(float(line.split()[-1]) for line in counted if all(one in line for one in holding)))
