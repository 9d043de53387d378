"""An edge on a link that is made up, in time that is made up: what a controller makes of a trace, and an oracle.

One camera, an image every tenth of a second, the next one when the last is answered. The link is a queue at the trace's
rate and a delay behind it; what is asked only to know the link goes over it too. Answers are noisy, and one of two
hundred comes 30 ms late.
"""

import random
from dataclasses import dataclass, field

from offramp.artifacts.choices import Priced
from offramp.artifacts.plan import Plan
from offramp.link.trace import Trace
from offramp.nodes.controller import Controller, Switch, Waiting
from offramp.nodes.estimate import Reading

PERIOD, TICK = 0.1, 0.05
FALLBACK = 8.0  # milliseconds of an edge that answers what the cloud does not


def plans() -> list[Priced]:
    """Of an edge that takes 14 ms for all of its network, and a cloud that takes 2."""

    def of(plan: Plan, edge_ms: float, onward: float = 0.0, up: float = 0.0, cloud_ms: float = 0.0) -> Priced:
        down = 200.0 if onward else 0.0
        return Priced(
            plan=plan, accuracy=0.9, edge_ms=edge_ms, onward=onward, bytes_up=up, bytes_down=down, cloud_ms=cloud_ms
        )

    return [
        of(Plan.of(3, 0.2, cut=9), 14.0),
        of(Plan.of(6, 0.3, cut=6, codec="uint8"), 8.5, 0.25, 2200, 0.8),
        of(Plan.of(4, 0.3, cut=4, codec="uint8"), 6.0, 0.4, 4200, 1.2),
        of(Plan.of(2, 0.3, cut=0, codec="uint8"), 3.0, 0.7, 3200, 2.0),
        of(Plan.checked(active=(), cut=0, codec="uint8"), 0.3, 1.0, 3200, 2.0),
    ]


@dataclass
class Wire:
    """The way to the cloud and back."""

    trace: Trace
    drawn: random.Random
    free: float = 0.0

    def answered(self, now: float, up: float, down: float, cloud_ms: float) -> float:
        """When the answer to something that is sent now is there."""
        self.free = self.trace.passed(round(up), max(self.free, now), up=True)
        there = self.free + self.trace.delay(self.free) + cloud_ms / 1000
        back = self.trace.passed(round(down), there, up=False)
        late = 0.03 if self.drawn.random() < 0.005 else 0.0
        return back + self.trace.delay(back) + abs(self.drawn.gauss(0, 3e-4)) + late


@dataclass
class Asked:
    """Something that was sent."""

    began: float
    done: float
    plan: int  # -1: of next to no bytes
    waiting: Waiting | None = None
    request: float = 0.0  # when the image was there


@dataclass
class Ran:
    """What came of it."""

    milliseconds: list[float] = field(default_factory=list)
    switches: list[tuple[float, Switch]] = field(default_factory=list)
    asked: int = 0

    @property
    def mean(self) -> float:
        """Mean latency in milliseconds."""
        return sum(self.milliseconds) / len(self.milliseconds)


def best(plans: list[Priced], trace: Trace, now: float) -> int:
    """What who knows the trace answers by."""
    shape = trace.at(now)
    if shape is None:
        return 0
    times = [plan.mean_ms(shape.up or 1e12, shape.down or 1e12, 2000 * shape.delay) for plan in plans]
    return times.index(min(times))


def run(trace: Trace, plans: list[Priced], seed: int, seconds: float, *, knows: bool = False, word: bool = True) -> Ran:
    """Answer for so many seconds, by a controller or by who `knows` the trace; the cloud gives its `word` or not."""
    return _Run(trace, plans, seed, knows, word).through(seconds)


class _Run:
    def __init__(self, trace: Trace, plans: list[Priced], seed: int, knows: bool, word: bool) -> None:
        self.trace, self.plans, self.knows, self.word = trace, plans, knows, word
        self.drawn, self.wire = random.Random(seed), Wire(trace, random.Random(seed + 1))
        self.controller, self.ran = Controller(plans, 0.0), Ran()
        self.out: Asked | None = None
        self.asked: Asked | None = None
        self.next = 0.0

    def through(self, seconds: float) -> Ran:
        now = 0.0
        while now < seconds:
            while self.next < now + TICK and self.out is None:
                self._image()
            now += TICK
            self._look(now)
            if not self.knows:
                self._control(now)
        return self.ran

    def _image(self) -> None:
        came = self.next
        at = best(self.plans, self.trace, came) if self.knows else self.controller.at
        plan, sent = self.plans[at], came + self.plans[at].edge_ms / 1000
        if self.drawn.random() < plan.onward:
            self.out = self._send(at, sent, came)
        else:
            self._answer(came, sent)

    def _answer(self, came: float, now: float) -> None:
        self.ran.milliseconds.append(1000 * (now - came))
        self.next = max(self.next + PERIOD, now)

    def _send(self, at: int, now: float, came: float = 0.0) -> Asked:
        size = self._size(at)
        done = self.wire.answered(now, size.sent or 60, size.received or 60, size.cloud_ms)
        return Asked(now, done, at, None if self.knows else self.controller.waits(now, size), came)

    def _size(self, at: int) -> Reading:
        if at < 0:
            return Reading(0.0, 0.0)
        plan = self.plans[at]
        return Reading(0.0, 0.0, plan.bytes_up, plan.bytes_down, plan.cloud_ms)

    def _heard(self, asked: Asked) -> None:
        size = self._size(asked.plan)
        took, word = 1000 * (asked.done - asked.began), size.cloud_ms if self.word and size.cloud_ms else None
        reading = Reading(asked.done, took, size.sent, size.received, size.cloud_ms, word)
        self.controller.heard(reading, asked.plan if asked.plan >= 0 else None)

    def _look(self, now: float) -> None:
        out = self.out
        if out is None:
            return
        if out.done <= now:
            self.out = None
            self._answer(out.request, out.done)
            if not self.knows:
                self._heard(out)
        elif out.waiting is not None and self.controller.late(out.waiting, now):
            self.out = None
            self._answer(out.request, now + FALLBACK / 1000)

    def _control(self, now: float) -> None:
        asked, controller = self.asked, self.controller
        if asked is not None and asked.done <= now:
            self.asked = None
            self._heard(asked)
        elif asked is not None and asked.waiting is not None:
            controller.late(asked.waiting, now)
        if (switch := controller.decide(now)) is not None:
            self.ran.switches.append((now, switch))
        if self.asked is None and (at := controller.asks(now)) is not None:
            self.asked = self._send(at, now)
            self.ran.asked += 1
