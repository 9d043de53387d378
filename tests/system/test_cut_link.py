"""An edge and its cloud in two network namespaces, and the link between them cut: every request has one answer."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection

import numpy as np
import pytest

from command_line import Node
from load import CLIENTS, WAIT, ClosedLoop
from namespaces import Namespace, cable, why_none
from offramp.artifacts.bundle import Bundle
from offramp.data.image_set import Splits
from offramp.link.kernel import shaped_by
from offramp.link.shape import LinkShape
from offramp.sockets import split_address
from until import until

ENGINE = ("--runtime", "onnxruntime", "--precision", "fp32", "--threads", "1")
PLAN = ("--exit", "3", "--threshold", "0", "--cloud-timeout", "0.5")
NOBODY = "02:00:00:00:00:99"  # a card that no machine has
ROWS = 4


@dataclass(frozen=True)
class Nodes:
    """An edge, its cloud at the other end of the cable, and a request's body."""

    near: Namespace
    far: Namespace
    edge: Node
    images: list[float]


class Load(ClosedLoop):
    """Clients in the edge's namespace. An answer says whose it is: one too many would be another request's."""

    def __init__(self, nodes: Nodes) -> None:
        super().__init__()
        self.nodes, self.tiers, self.changing = nodes, Counter[str](), threading.Lock()

    @contextmanager
    def client(self, number: int) -> Iterator[Callable[[], object]]:
        """One of HTTP, on one connection."""
        self.nodes.near.enter()
        with closing(HTTPConnection(*split_address(self.nodes.edge.http_address()), timeout=WAIT)) as connection:
            asked = iter(range(10**9))
            yield lambda: self._ask(connection, f"{number}-{next(asked)}")

    def _ask(self, connection: HTTPConnection, name: str) -> None:
        shape = [ROWS, 1, 16, 16]
        image = {"name": "image", "datatype": "FP32", "shape": shape, "data": self.nodes.images}
        outputs = [{"name": "tier"}, {"name": "degraded"}]
        connection.request(
            "POST", "/v2/models/classifier/infer", json.dumps({"id": name, "inputs": [image], "outputs": outputs})
        )
        answer = json.loads((response := connection.getresponse()).read())
        assert (response.status, answer.get("id")) == (200, name), answer
        tier, degraded = (output["data"] for output in answer["outputs"])
        assert len(tier) == ROWS
        assert degraded == [one == "edge" for one in tier]  # whole, it leaves all to its cloud
        with self.changing:
            self.tiers[tier[0]] += 1

    def goes_on(self, tier: str) -> None:
        """Wait until each client may have been answered twice by this tier."""
        with self.changing:
            before = self.tiers[tier]
        until(lambda: bool(self.errors) or self.tiers[tier] >= before + 2 * CLIENTS)
        assert self.errors == []


@pytest.fixture(scope="module")
def nodes(bundle: Bundle, digits: Splits) -> Iterator[Nodes]:
    """Both, running, with a whole link between them."""
    if why := why_none():
        pytest.skip(why)
    images = bundle.manifest.preprocessing.from_uint8(digits.test.images[:ROWS])
    with cable() as (near, far), far.node("cloud", str(bundle.path), *ENGINE, "--no-http") as cloud:
        where = ("--cloud", cloud.address(), "--http-port", "0")
        with near.node("edge", str(bundle.path), *PLAN, *ENGINE, *where) as edge:
            edge.address()
            yield Nodes(near, far, edge, np.round(images, 4).ravel().tolist())


@contextmanager
def unplugged(nodes: Nodes) -> Iterator[None]:
    """Both ends see that there is no link."""
    nodes.far.ip("link", "set", "far", "down")
    try:
        yield
    finally:
        nodes.far.ip("link", "set", "far", "up")


@contextmanager
def to_nobody(nodes: Nodes) -> Iterator[None]:
    """What is sent to the cloud is lost without a word: it goes to a card that nobody has."""
    entry = (nodes.far.address, "dev", "near")
    nodes.near.ip("neigh", "replace", *entry, "lladdr", NOBODY, "nud", "permanent")
    try:
        yield
    finally:
        nodes.near.ip("neigh", "del", *entry)


@contextmanager
def netem(nodes: Nodes) -> Iterator[None]:
    """The kernel drops all that the cloud sends."""
    by = shaped_by(LinkShape(loss=0.5), "far")
    if by.how != "kernel":
        pytest.skip(by.why)
    nodes.far.run("tc", "qdisc", "add", "dev", "far", "root", "netem", "loss", "100%")
    try:
        yield
    finally:
        nodes.far.run("tc", "qdisc", "del", "dev", "far", "root")


@pytest.mark.parametrize("cut", [unplugged, to_nobody, netem])
def test_while_a_link_is_cut_each_request_has_one_degraded_answer_and_whole_ones_afterwards(
    nodes: Nodes, cut: Callable[[Nodes], AbstractContextManager[None]]
) -> None:
    """Whether or not anybody says that it is cut."""
    with Load(nodes) as load:
        load.goes_on("cloud")
        with cut(nodes):
            load.goes_on("edge")
        load.goes_on("cloud")
