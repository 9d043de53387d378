"""A replica of a cloud in made-up time: one node, that handles requests, batches them, and refuses some.

It does what `nodes.batching` does: who finds a runner free and nobody waiting runs at once and alone; else what waits
is run together, up to a batch, in order of arrival; what finds the queue full is refused. Of one tail, and samples come
one a request. Knows nothing of who asks.
"""

import math
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import simpy

from offramp.errors import InputError
from offramp.plan.service import Service

Steps = Generator[Any, Any, Any]
SLICE = 0.0015  # seconds that one of several gets of a core that they share: Linux's, on few cores


@dataclass(frozen=True)
class Replica:
    """One node, or as many of them as are asked for, all alike. Sizes are in samples, as of `nodes.batching.Limits`."""

    service: Service
    batch: int = 64
    queue: int = 256
    runners: int = 1
    cores: int = 1  # 1: the network and the node's own work share it; more: they go on beside each other

    def __post_init__(self) -> None:
        for name in ("batch", "queue", "runners", "cores"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} {getattr(self, name)}: of a replica, expected at least 1.")

    @property
    def most(self) -> float:
        """Samples a second that it can answer at most, if all batches are full."""
        host, network = self.service.host, self.service.run(self.batch) / self.batch
        busiest = host + network if self.cores == 1 else max(host, network / self.runners)
        return 1 / busiest if busiest else math.inf


@dataclass
class Node:
    """A running replica."""

    env: simpy.Environment
    of: Replica
    draw: np.random.Generator
    host: simpy.Resource = field(init=False)
    waiting: deque[simpy.Event] = field(default_factory=deque)
    running: int = 0
    handled: int = 0  # requests that its own work is done for at this moment
    busy_host: float = 0.0
    busy_runners: float = 0.0
    sizes: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.host = simpy.Resource(self.env)

    def answer(self) -> Steps:
        """Answer one sample; gives whether it was not refused."""
        yield from self._handle()
        if not self.waiting and self.running < self.of.runners:
            self.running += 1
            yield from self._run(1)
        elif self.waiting and len(self.waiting) + 1 > self.of.queue:
            return False
        else:
            self.waiting.append(done := self.env.event())
            yield done
        yield from self._handle()
        return True

    def _handle(self) -> Steps:
        """Half of its own work for a request: of reading it, or of answering. What finds none other has more of it."""
        service = self.of.service
        seconds = (service.host + (0.0 if self.handled else service.wake)) / 2
        seconds *= float(self.draw.lognormal(0.0, service.around))
        self.handled += 1
        yield from self._work(seconds)
        self.handled -= 1

    def _work(self, seconds: float) -> Steps:
        """Be at work on the core that all of this node's own work is done on, in turns with others."""
        self.busy_host += seconds
        while seconds > 1e-12:
            with self.host.request() as turn:
                yield turn
                took = min(seconds, SLICE)
                yield self.env.timeout(took)
            seconds -= took

    def _run(self, size: int) -> Steps:
        """Run a batch, and then what waits."""
        self.sizes.append(size)
        service = self.of.service
        seconds = service.run(size) * float(self.draw.lognormal(0.0, service.spread))  # its median is as measured
        self.busy_runners += seconds
        if self.of.cores == 1:
            self.busy_host -= seconds  # it is in the other one
            yield from self._work(seconds)
        else:
            yield self.env.timeout(seconds)
        self.running -= 1
        if self.waiting:
            self.env.process(self._serve())
            self.running += 1

    def _serve(self) -> Steps:
        """A runner takes what waits, up to a batch."""
        taken = [self.waiting.popleft() for _ in range(min(self.of.batch, len(self.waiting)))]
        yield from self._run(len(taken))
        for done in taken:
            done.succeed()

    def utilisation(self, seconds: float) -> float:
        """Share of the time that its busiest part was busy."""
        if self.of.cores == 1:
            return (self.busy_host + self.busy_runners) / seconds
        return max(self.busy_host, self.busy_runners / self.of.runners) / seconds
