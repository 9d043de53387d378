"""A fleet in made-up time: edges that sample, links, replicas of a cloud that batch; what that is predicted to do.

A discrete-event simulation (simpy), deterministic by its seed. Knows neither profiles nor bundles, nor what a replica
does with what it is asked: `plan.replica` does.
"""

import math
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Literal

import numpy as np
import numpy.typing as npt
import simpy

from offramp.errors import InputError
from offramp.plan.replica import Node, Replica, Steps
from offramp.plan.service import Service

Balance = Literal["connection", "request"]
WARM_UP = 0.1  # of what is asked is not counted: it finds everything idle


@dataclass(frozen=True)
class Way:
    """One of the ways of a sample through an edge: how often it is gone, and what it takes before the cloud."""

    share: float
    edge: float  # seconds, one sample after another on each edge
    onward: bool
    link: float = 0.0  # seconds there and back, that nobody else waits for


@dataclass(frozen=True)
class Fleet:
    """Who asks: edges on which samples come at random (Poisson), each its own processor and link."""

    edges: int
    rate: float  # samples a second of each
    ways: tuple[Way, ...]

    def __post_init__(self) -> None:
        if self.edges < 1:
            raise InputError(f"edges {self.edges}: expected at least 1.")
        if not 0 < self.rate < math.inf:
            raise InputError(f"rate {self.rate:g}: expected samples a second of each edge, above 0.")
        if (takes := sum(way.share * way.edge for way in self.ways)) * self.rate >= 1:
            raise InputError(
                f"rate {self.rate:g}: an edge takes {1000 * takes:.3g} ms a sample by this plan, in the mean, so it "
                f"keeps up with less than {1 / takes:.3g} a second; of more, the wait grows for as long as one looks, "
                "whatever the cloud does. Ask for a lower rate, or have the edge do less."
            )

    @property
    def onward(self) -> float:
        """Samples a second that the cloud is asked, by all of them."""
        return self.edges * self.rate * sum(way.share for way in self.ways if way.onward)

    def busiest(self, replicas: int, balance: Balance) -> float:
        """Samples a second that the one of so many replicas is asked which is asked the most."""
        if balance == "request":
            return self.onward / replicas
        return self.onward * -(-self.edges // replicas) / self.edges


@dataclass(frozen=True)
class Loops:
    """Who asks, where it is a load driver: clients that send their next when they have their answer."""

    clients: int
    driver: float = 0.0  # seconds that the driver itself takes a request, one after another for all clients


@dataclass(frozen=True)
class Simulated:
    """What came of it. All of it is predicted; times in seconds, `inf` of a sample that was refused."""

    whole: npt.NDArray[np.float64]  # from the sample to its answer, wherever it was answered
    cloud: npt.NDArray[np.float64]  # of those that went on: the call of the cloud
    utilisation: float  # share of the time that a replica's busiest part was busy, mean of the replicas
    seconds: float  # that were counted
    sizes: npt.NDArray[np.int64]  # of the batches that were run

    @property
    def refused(self) -> float:
        """Share of what the cloud was asked."""
        return float(np.isinf(self.cloud).mean()) if len(self.cloud) else 0.0

    @staticmethod
    def percentile(seconds: npt.NDArray[np.float64], percent: float) -> float:
        """The nearest rank, as of measured latencies; nan of none."""
        if not len(seconds):
            return math.nan
        return float(np.percentile(seconds, percent, method="inverted_cdf"))


@dataclass
class _Run:
    """One simulation under way."""

    env: simpy.Environment
    nodes: list[Node]
    service: Service
    draw: np.random.Generator
    balance: Balance
    whole: list[float] = field(default_factory=list)
    cloud: list[tuple[float, float]] = field(default_factory=list)  # when it was asked, seconds
    turns: "count[int]" = field(default_factory=count)

    def call(self, edge: int) -> Steps:
        """Ask the cloud for one sample, on the edge's connection; gives the seconds, or inf."""
        start = self.env.now
        number = edge if self.balance == "connection" else next(self.turns)
        yield self.env.timeout(self.service.beside * float(self.draw.lognormal(0.0, self.service.around)))
        answered = yield from self.nodes[number % len(self.nodes)].answer()
        took = self.env.now - start if answered else math.inf
        self.cloud.append((start, took))
        return took


def simulate(
    who: Fleet | Loops,
    replica: Replica,
    replicas: int,
    *,
    requests: int = 20_000,
    balance: Balance = "connection",
    seed: int = 0,
) -> Simulated:
    """Have a fleet, or a driver's clients, ask so many replicas until `requests` samples are answered.

    An edge's connection leads to one replica, as a node's or a Kubernetes service's does, unless `balance` is
    `request`: a proxy in front deals every request out in turn. The first tenth is not counted.
    """
    env = simpy.Environment()
    draw, varied = np.random.default_rng(seed).spawn(2)
    nodes = [Node(env, replica, varied) for _ in range(replicas)]
    run = _Run(env, nodes, replica.service, varied, balance)
    if isinstance(who, Fleet):
        env.process(_arrivals(run, who, requests, draw))
        env.run()
    else:
        driver = simpy.Resource(env)
        for client in range(who.clients):
            env.process(_client(run, client, who.driver, driver, requests))
        env.run()
    skipped = int(WARM_UP * len(run.whole))
    later = sorted(run.cloud)[int(WARM_UP * len(run.cloud)) :]
    return Simulated(
        whole=np.array(run.whole[skipped:]),
        cloud=np.array([seconds for _, seconds in later]),
        utilisation=float(np.mean([node.utilisation(env.now) for node in run.nodes])) if env.now else 0.0,
        seconds=float(env.now),
        sizes=np.array([size for node in run.nodes for size in node.sizes], np.int64),
    )


def _client(run: _Run, number: int, own: float, driver: simpy.Resource, requests: int) -> Steps:
    """One closed loop of a driver, whose own work for all its clients is done one after another."""
    while len(run.whole) < requests:
        start = run.env.now
        yield from _hold(run.env, driver, own / 2)
        yield from run.call(number)
        yield from _hold(run.env, driver, own / 2)
        run.whole.append(run.env.now - start)


def _hold(env: simpy.Environment, resource: simpy.Resource, seconds: float) -> Steps:
    with resource.request() as turn:
        yield turn
        yield env.timeout(seconds)


def _arrivals(run: _Run, fleet: Fleet, requests: int, draw: np.random.Generator) -> Steps:
    """Samples that come to edges at random, and the way that each goes."""
    edges = defaultdict[int, simpy.Resource](partial(simpy.Resource, run.env))  # those that a sample comes to
    shares = np.array([way.share for way in fleet.ways])
    gaps = draw.exponential(1 / (fleet.edges * fleet.rate), requests)
    whose, ways = draw.integers(fleet.edges, size=requests), draw.choice(len(shares), requests, p=shares / shares.sum())
    for gap, edge, way in zip(gaps, whose, ways, strict=True):
        yield run.env.timeout(gap)
        run.env.process(_sample(run, int(edge), edges[int(edge)], fleet.ways[way]))


def _sample(run: _Run, number: int, edge: simpy.Resource, way: Way) -> Steps:
    """One sample's way through its edge, and on."""
    start = run.env.now
    yield from _hold(run.env, edge, way.edge)
    took = 0.0
    if way.onward:
        yield run.env.timeout(way.link)
        took = yield from run.call(number)
    run.whole.append(took if took == math.inf else run.env.now - start)
