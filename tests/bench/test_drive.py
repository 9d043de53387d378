"""Driving an edge in memory by each scenario."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bright import WAIT, Bright
from offramp.artifacts.measurement import Conditions
from offramp.artifacts.plan import Plan
from offramp.artifacts.scenario import Load
from offramp.bench.drive import Drive, drive, measurement
from offramp.bench.scenario import scenario
from offramp.client.conversation import Arrival
from offramp.data.image_set import ImageSet
from offramp.errors import InputError
from offramp.exits.answers import Answers, Tier
from offramp.machine import here
from offramp.nodes.replies import Replies
from offramp.protocol.peer import Peer
from offramp.protocol.server import Server

LIGHT = np.linspace(0, 1, 20, dtype=np.float32)
IMAGES = np.ones((20, 1, 2, 2), np.float32) * LIGHT[:, None, None, None]
CONDITIONS = Conditions(**here(), batch_size=1, link="none", runtime="none", dtype="fp32")


@pytest.fixture(scope="module")
def bright() -> Bright:
    """An edge's classifier."""
    return Bright("a" * 32, "bright", Replies("c" * 32))


@pytest.fixture(scope="module")
def edge(bright: Bright) -> Iterator[Peer]:
    """A client of an edge that serves it."""
    server = Server([bright], "127.0.0.1", 0, max_batch=64)
    server.start()
    with Peer(server.address) as peer:
        yield peer
    server.stop(0)


@pytest.mark.parametrize(
    ("name", "options", "queries"),
    [
        ("clients", {"batch_size": 8}, 3),
        ("clients", {"batch_size": 3, "clients": 4}, 7),
        ("single-stream", {"duration": 0.0, "count": 20}, 20),
        ("multi-stream", {"duration": 0.0, "count": 3}, 3),
        ("server", {"rate": 2_000.0, "duration": 0.0, "count": 20}, 20),
        ("offline", {"batch_size": 4}, 5),
    ],
)
def test_every_sample_is_answered_as_its_own(edge: Peer, name: str, options: dict[str, float], queries: int) -> None:
    """Whatever the scenario: a row for each sample that was sent, and its time."""
    driven = drive(edge, IMAGES, by=scenario(name, 20, **options))  # type: ignore[arg-type]
    assert sorted(driven.rows) == list(range(20))
    assert driven.answers.label.tolist() == (LIGHT > 0.5)[driven.rows].tolist()
    assert (driven.answers.tier == Tier.EDGE).tolist() == (LIGHT > 0.5)[driven.rows].tolist()
    assert len(driven.batch_ms) == queries
    assert (driven.latency_ms > 0).all()
    assert driven.batch_ms.max() == driven.latency_ms.max()
    assert driven.batch_ms.max() <= 1000 * driven.seconds + 1e-6


def test_without_a_scenario_it_is_the_papers_test_node(edge: Peer, bright: Bright) -> None:
    """The set once and in order, a batch after another; the first two go twice and are not counted."""
    bright.calls.clear()
    driven = drive(edge, IMAGES, batch_size=8, options={"threshold": 0.25})
    assert [len(call.inputs["image"]) for call in bright.calls] == [8, 8, 8, 8, 4]
    assert {call.number("threshold", float) for call in bright.calls} == {0.25}
    assert driven.rows.tolist() == list(range(20))
    assert driven.bytes_to_cloud == 7  # of the one batch that has dark images


def connections(port: int) -> int:
    """Open ones to a port of this machine, as the system counts them."""
    lines = [line for kind in ("tcp", "tcp6") for line in Path(f"/proc/self/net/{kind}").read_text().splitlines()[1:]]
    rows = [line.split() for line in lines]
    return sum(row[2].endswith(f":{port:04X}") and row[3] == "01" for row in rows)


def test_clients_have_connections_of_their_own(edge: Peer) -> None:
    """A node of several workers gives each connection to one of them."""
    port = int(edge.address.split(":")[1])
    edge.wait_ready(WAIT)
    before = connections(port)
    assert before >= 1
    with Peer(edge.address) as same, edge.again() as other:
        same.wait_ready(WAIT)
        assert connections(port) == before
        other.wait_ready(WAIT)
        assert connections(port) == before + 1


def test_a_percentile_is_held_against_its_bound(edge: Peer) -> None:
    """Over queries; what came of the load stands in the document with the scenario that asked for it."""
    found: dict[float, Load | None] = {}
    for bound in (0.001, 60_000.0):
        by = scenario("server", 20, rate=1_000.0, duration=0.0, count=40, percentile=90, bound_ms=bound)
        driven = drive(edge, IMAGES, by=by)
        labels = (LIGHT > 0.5).astype(np.int64)
        images = ImageSet(
            "light", np.zeros((20, 2, 2, 1), np.uint8), labels, ("no", "yes"), np.arange(20), mirrors=True
        )
        document = measurement("bright", Plan.of(3, 0.5), images, driven, CONDITIONS, by)
        assert (document.outcome.n, document.outcome.overall) == (40, 1.0)
        assert document.load is not None
        assert document.load.percentile_ms in driven.batch_ms
        assert (driven.batch_ms <= document.load.percentile_ms).sum() >= 36
        assert (document.load.scenario, document.load.queries) == (by, 40)
        assert type(document).parse(document.to_json(), "the test") == document
        found[bound] = document.load
    assert [load.passed for load in found.values() if load] == [False, True]


def test_nothing_to_send_is_said(edge: Peer) -> None:
    """An empty set has no measures."""
    with pytest.raises(InputError, match=r"images: there is nothing to send\."):
        drive(edge, IMAGES[:0])


def test_a_run_begins_with_whoever_sends_first() -> None:
    """Of two clients, the one that was given the later query may have sent its before the other did."""
    answers = Answers(*(np.zeros((1, 2) if name == "probabilities" else 1) for name in vars(Answers)["__match_args__"]))
    one = [Arrival(time=12.0, rows=np.array([0]), answers=answers, hops={"cloud": 3})]
    driven = Drive.of([(np.array([4]), 10.0, one), (np.array([7]), 9.0, one)])
    assert driven.seconds == 3.0
    assert driven.batch_ms.tolist() == [2000.0, 3000.0]
    assert (driven.rows.tolist(), driven.bytes_to_cloud) == ([4, 7], 6)
