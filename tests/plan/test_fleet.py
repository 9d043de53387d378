"""The simulation of a fleet, held against closed forms of queueing theory, and against what must not be lost."""

import math

import numpy as np
import pytest

pytest.importorskip("simpy", reason="simpy is not installed")

from offramp.errors import InputError
from offramp.plan.fleet import Fleet, Loops, Simulated, Way, simulate
from offramp.plan.replica import Replica
from offramp.plan.service import Service

ONWARD = (Way(1.0, 0.0, onward=True),)
SECONDS = 0.01  # of one sample in the network
REQUESTS = 8_000


def alone(seconds: float = SECONDS, **but: int) -> Replica:
    """A replica whose network takes so long a sample, batched or not, and that does nothing else."""
    return Replica(Service(0.0, {1: seconds}), **{"batch": 1, "queue": 4096, "cores": 2} | but)


def waiting(found: Simulated, seconds: float = SECONDS) -> float:
    """Mean seconds that a call waited."""
    return float(found.cloud.mean()) - seconds


def poisson(busy: float, seconds: float = SECONDS) -> Fleet:
    """Edges that keep a server busy for such a share of its time, at random."""
    return Fleet(10, busy / seconds / 10, ONWARD)


@pytest.mark.parametrize("busy", [0.3, 0.6, 0.8])
def test_one_runner_waits_as_a_queue_with_one_server_and_one_service_time(busy: float) -> None:
    """M/D/1: ρ s / 2 (1 - ρ)."""
    found = simulate(poisson(busy), alone(), 1, requests=REQUESTS)
    assert waiting(found) == pytest.approx(busy * SECONDS / (2 * (1 - busy)), rel=0.06)
    assert found.utilisation == pytest.approx(busy, rel=0.02)


@pytest.mark.parametrize("busy", [0.3, 0.7])
def test_a_nodes_own_work_waits_so_too(busy: float) -> None:
    """The same of a node that does nothing but handle, in turns that are as long as the work."""
    replica = Replica(Service(0.001, {1: 0.0}), cores=2)
    found = simulate(poisson(busy, 0.001), replica, 1, requests=REQUESTS)
    # Each request is handled in two halves, and between them stands in line once more.
    assert 0.001 <= found.cloud.mean() <= 0.001 * (1 + busy / (1 - busy))
    assert found.utilisation == pytest.approx(busy, rel=0.03)


@pytest.mark.parametrize("busy", [0.3, 0.6])
def test_samples_wait_at_their_edge(busy: float) -> None:
    """Each edge is a queue of its own, with one server: M/D/1, whatever the others do."""
    fleet = Fleet(4, busy / SECONDS, (Way(1.0, SECONDS, onward=False),))
    found = simulate(fleet, alone(), 1, requests=REQUESTS)
    assert found.whole.mean() == pytest.approx(SECONDS * (1 + busy / (2 * (1 - busy))), rel=0.05)
    assert len(found.cloud) == 0
    assert math.isnan(Simulated.percentile(found.cloud, 50))


def test_service_times_that_vary_wait_longer() -> None:
    """M/G/1 (Pollaczek and Khinchine): λ E[s²] / 2 (1 - ρ), of a lognormal s."""
    spread, busy = 0.8, 0.6
    mean, square = SECONDS * math.exp(spread**2 / 2), SECONDS**2 * math.exp(2 * spread**2)
    replica = Replica(Service(0.0, {1: SECONDS}, spread=spread), batch=1, queue=4096, cores=2)
    found = simulate(poisson(busy, mean), replica, 1, requests=2 * REQUESTS)
    assert waiting(found, mean) == pytest.approx(busy / mean * square / (2 * (1 - busy)), rel=0.1)


def test_replicas_share_the_work() -> None:
    """Half of the edges are connected to each of two: as one replica with half of them."""
    both, half = (simulate(poisson(busy), alone(), n, requests=REQUESTS) for busy, n in ((1.2, 2), (0.6, 1)))
    assert both.cloud.mean() == pytest.approx(half.cloud.mean(), rel=0.05)
    assert both.utilisation == pytest.approx(0.6, rel=0.02)


def test_a_proxy_that_deals_out_requests_evens_them() -> None:
    """One edge alone would keep one of two replicas busy, and the other would never be asked."""
    one = Fleet(1, 0.9 / SECONDS, ONWARD)
    pinned, dealt = (
        simulate(one, alone(), 2, requests=REQUESTS, balance=balance) for balance in ("connection", "request")
    )
    assert pinned.utilisation == pytest.approx(dealt.utilisation, rel=0.01)
    assert dealt.cloud.mean() < pinned.cloud.mean() / 2


@pytest.mark.parametrize("clients", [1, 4, 16])
def test_clients_that_wait_for_their_answer_see_littles_law(clients: int) -> None:
    """N = X W: as many are under way as there are clients, whatever is batched and however long it takes."""
    service = Service(0.0003, {1: 0.002, 8: 0.01}, beside=0.001, wake=0.0005, spread=0.2)
    found = simulate(Loops(clients, 0.0002), Replica(service), 1, requests=4_000)
    rate = len(found.whole) / (found.seconds * 0.9)  # a tenth is not counted
    assert rate * found.whole.mean() == pytest.approx(clients, rel=0.03)


def test_full_batches_answer_as_many_as_a_replica_can() -> None:
    """With more clients than fit a batch, a batch is full, and a sample comes as fast as one of it."""
    replica = Replica(Service(0.0, {1: 0.004, 8: 0.011}), batch=8, cores=2)
    found = simulate(Loops(64), replica, 1, requests=4_000)
    assert len(found.whole) / (found.seconds * 0.9) == pytest.approx(replica.most, rel=0.02)
    assert replica.most == pytest.approx(8 / 0.011)
    assert set(found.sizes[1:-8].tolist()) == {8}


def test_a_core_that_is_shared_is_as_busy_as_all_that_is_done_on_it() -> None:
    """Of one core, handling and the network add up; of two they go on beside each other."""
    service, fleet = Service(0.004, {1: 0.005}), Fleet(8, 80 / 8, ONWARD)
    shared, apart = (simulate(fleet, Replica(service, batch=1, cores=cores), 1, requests=2_000) for cores in (1, 2))
    assert shared.utilisation == pytest.approx(80 * 0.009, rel=0.05)
    assert apart.utilisation == pytest.approx(80 * 0.005, rel=0.05)
    assert shared.cloud.mean() > apart.cloud.mean()


def test_what_finds_a_node_idle_takes_longer() -> None:
    """Threads wake once for many that come together, and for each that comes alone."""
    replica = Replica(Service(0.001, {1: 0.001}, wake=0.004), cores=2)
    rare = simulate(Fleet(1, 1.0, ONWARD), replica, 1, requests=1_000)
    assert Simulated.percentile(rare.whole, 50) == pytest.approx(0.006)
    crowd = simulate(Loops(64), replica, 1, requests=4_000)
    assert len(crowd.whole) / (crowd.seconds * 0.9) > 800  # and of those that each wake it 167


def test_a_queue_that_is_full_refuses_what_comes_on_top() -> None:
    """Twice of what it can answer: half is refused, nothing is lost, and who is let in waits for the queue at most."""
    found = simulate(poisson(2.0), alone(queue=4), 1, requests=REQUESTS)
    assert found.refused == pytest.approx(0.5, abs=0.02)
    assert found.cloud[np.isfinite(found.cloud)].max() <= (4 + 1) * SECONDS + 1e-9
    assert len(found.whole) == len(found.cloud) == REQUESTS * 9 // 10
    assert Simulated.percentile(found.whole, 95) == math.inf


def test_every_sample_is_answered_once_by_its_own_way() -> None:
    """Shares, times and the cloud's work are those of the ways."""
    ways = (Way(0.6, 0.001, onward=False), Way(0.4, 0.002, onward=True, link=0.05))
    fleet = Fleet(100, 0.5, ways)
    found = simulate(fleet, alone(0.001), 3, requests=5_000)
    gone = len(found.cloud) / len(found.whole)
    assert fleet.onward == pytest.approx(20)
    assert gone == pytest.approx(0.4, abs=0.02)
    assert found.sizes.sum() == pytest.approx(2_000, rel=0.05)
    assert (found.whole >= 0.052).sum() == pytest.approx(len(found.cloud), abs=25)
    assert found.whole.min() == pytest.approx(0.001)


def test_the_same_seed_gives_the_same_figures() -> None:
    """And another one others."""
    one, again, other = (simulate(poisson(0.6), alone(), 1, requests=500, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.whole, again.whole)
    assert one.whole.mean() != other.whole.mean()


@pytest.mark.parametrize(("edges", "rate", "said"), [
    (0, 1.0, "edges 0: expected at least 1."),
    (1, 0.0, "rate 0: expected samples a second of each edge, above 0."),
    (1, math.inf, "rate inf: expected samples a second of each edge, above 0."),
])  # fmt: skip
def test_a_fleet_that_cannot_be_is_refused(edges: int, rate: float, said: str) -> None:
    """In words."""
    with pytest.raises(InputError) as caught:
        Fleet(edges, rate, ONWARD)
    assert str(caught.value) == said


def test_a_replica_that_cannot_be_is_refused() -> None:
    """In words."""
    with pytest.raises(InputError) as caught:
        alone(batch=0)
    assert str(caught.value) == "batch 0: of a replica, expected at least 1."
