"""An edge that follows its link: what it sends is timed, its cloud is asked now and then, and its course is switched.

The thread and the futures around a `Controller`, which decides. Knows neither files nor how a cloud is found.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.choices import Priced
from offramp.artifacts.codec import Codec
from offramp.errors import OfframpError, UnreachableError
from offramp.link.shape import LinkShape
from offramp.nodes.controller import Controller, Switch, Waiting, said_of
from offramp.nodes.edge import Edge
from offramp.nodes.estimate import Link, Reading
from offramp.nodes.flight import Flight
from offramp.nodes.route import Course
from offramp.nodes.upstream import Finished, Looked, give
from offramp.runtime.tier_spans import tail_span

TICK = 0.05  # seconds from one look at what has come to the next
HEARD = 8  # answers that are learnt from in one, the last ones: more say the same
PATIENCE = 10.0  # seconds for an answer to what it asks by itself
REST = 5.0  # seconds after the cloud could not show that it finishes what a plan hands on
KEPT = 0.02  # seconds of a deadline that are not counted on

Way = tuple[int, Codec]  # cut and codec

log = logging.getLogger("offramp")


@dataclass(eq=False)
class Out:
    """Something that the cloud was asked and has not answered."""

    began: float  # by the monotonic clock
    plan: int | None  # whose size it is; None: of next to no bytes
    rows: int
    answer: "Future[Any]"
    requests: int = 1  # one behind the other
    outer: Future[Finished] | None = None  # what a request waits for, where the edge can answer in the cloud's place
    ended: bool = False
    waiting: Waiting | None = None


@dataclass(frozen=True)
class Ready:
    """Plans to choose among, the one that uses the link least first, with what an edge runs by each, open and warm."""

    plans: tuple[Priced, ...]
    courses: tuple[Course, ...]

    @classmethod
    def of(cls, edge: Edge, plans: Sequence[Priced]) -> "Ready":
        """Open them; InputError where the edge cannot follow one, ParityError where it computes something else."""
        courses: list[Course] = []
        for priced in plans:
            courses.append(edge.ready(priced.plan))
            edge.hold({*edge.held, *courses})  # else the first would be let go while the last are opened
        return cls(tuple(plans), tuple(courses))


@dataclass(eq=False)
class Asked:
    """What is sent of a plan's size to time the link: noise, as what it computes is the same for any."""

    bundle: Bundle
    made: dict[int, Flight] = field(default_factory=dict)

    def flight(self, position: int, course: Course) -> Flight:
        """A sample at the cut of a course."""
        if position not in self.made:
            part, manifest = course.part, self.bundle.manifest
            noise = tail_span(manifest.last, part.cut, part.codec).noise(self.bundle, 1)
            features = dict(zip(manifest.tensors(part.cut), noise, strict=True))
            self.made[position] = Flight(course, np.arange(1), features, 1)
        return self.made[position]


class Follower:
    """Has an edge follow the link to its cloud, from `start` to `close`.

    `gone` says why the cloud cannot be used now, where somebody knows. `stated` is what the link is said to be.
    """

    def __init__(
        self,
        edge: Edge,
        cloud: Looked,
        ready: Ready,
        *,
        gone: Callable[[], str | None] = lambda: None,
        stated: LinkShape | None = None,
        within: float | None = None,
    ) -> None:
        self.edge, self.cloud, self.ready, self.gone = edge, cloud, ready, gone
        self.controller = Controller(ready.plans, time.monotonic(), stated=stated, within=within)
        self.places = {course: position for position, course in enumerate(ready.courses)}
        self.out: dict[Out, None] = {}  # in the order of their sending
        self.came: deque[tuple[Out, float, Finished | None]] = deque(maxlen=HEARD)
        self.asked, self.asking = Asked(edge.bundle), False
        self.met: set[Way] = set()  # what the cloud has shown that it can finish
        self.rests = 0.0  # until when nothing is asked
        self.free = 0.0  # when the link has passed what was sent, by what it is taken to be
        self.switches = 0
        self.longest = self._longest()
        self.changing, self.closed = threading.Lock(), threading.Event()
        self.thread = threading.Thread(target=self._run, name="follow", daemon=True)

    def start(self) -> None:
        """Have the edge answer by the plan that uses its link least, and go on from there."""
        self.edge.hold(self.ready.courses)
        self.edge.follow(self.ready.courses[0])
        self.edge.follower = self
        self.thread.start()

    def close(self) -> None:
        """Leave the edge at what it answers by now."""
        if self.edge.follower is self:
            self.edge.follower = None
        self.closed.set()
        if self.thread.is_alive():
            self.thread.join()

    @property
    def link(self) -> Link:
        """What the link is taken to be like."""
        return self.controller.link

    def within(self, timeout: float) -> Course | None:
        """The fastest plan that answers in so many seconds what goes on by it, where the one in force does not."""
        times, at = self.longest, self.controller.at
        if times[at] <= timeout - KEPT or not times:
            return None
        banned = self.controller.banned
        good = [i for i, longest in enumerate(times) if longest <= timeout - KEPT and i not in banned]
        return self.ready.courses[min(good, key=times.__getitem__)] if good else None

    def ban(self, course: Course) -> bool:
        """Answer neither by this course nor by one that is no more accurate; false where it has no other."""
        position = self.places.get(course)
        return position is not None and self.controller.ban(position)

    def sent(self, flight: Flight, began: float, answer: Future[Finished], *, alone: bool) -> Future[Finished]:
        """Time a flight, and where the edge can answer it itself, give what ends early should the link stand still."""
        plan = self.places.get(flight.course)
        if plan is None or answer.done():  # asked for by a plan of its own, or not sent at all
            return answer
        rows = len(flight.rows)
        out = Out(began, plan, rows, answer, self.cloud.requests(rows), Future() if alone else None)
        if out.outer is not None:
            out.outer.add_done_callback(lambda outer: outer.cancelled() and answer.cancel())
        self._send(out)
        return answer if out.outer is None else out.outer

    def _send(self, out: Out) -> None:
        with self.changing:
            self.out[out] = None
        out.answer.add_done_callback(partial(self._answered, out))

    def _answered(self, out: Out, answer: "Future[Any]") -> None:
        """Something has come, on the connection's own thread: note it, and hand it on."""
        now = time.monotonic()
        with self.changing:
            self.out.pop(out, None)
            released, out.ended = out.ended, True
        if answer.cancelled():  # nobody waits for it any more
            return
        error = answer.exception()
        found = None if error else answer.result()
        if error is None:
            self.came.append((out, now, found if isinstance(found, Finished) else None))
        if out.outer is not None and not released:
            give(out.outer, answer.result() if error is None else error)

    def _run(self) -> None:
        while not self.closed.wait(TICK):
            try:
                self._tick(time.monotonic())
            except Exception:  # the edge answers on, by the course that it has
                log.exception("a defect while following the link")

    def _tick(self, now: float) -> None:
        controller = self.controller
        heard = self._hear()
        oldest = self._oldest()
        if oldest is not None and self._late(oldest, now):
            self._release()
        why = self.gone()
        if why is not None:
            controller.lost(why)
            self.met.clear()
        elif controller.gone is not None and not controller.stalled:
            controller.back()
        switch = controller.decide(now)
        if switch is not None:
            self._switch(switch)
        if heard or switch:
            self.longest = self._longest()
        if not self.asking and now >= self.rests and (plan := controller.asks(now)) is not None:
            self._ask(None if plan < 0 else plan)

    def _hear(self) -> bool:
        """Learn from what has come since the last look, what was sent first first: it was in front on the link."""
        with self.changing:
            came = sorted(self.came, key=lambda one: one[0].began)
            self.came.clear()
        for out, when, finished in came:
            reading = self._size(out, finished, when, 1000 * (when - out.began))
            self.controller.heard(reading, out.plan)
        return bool(came)

    def _size(self, out: Out, finished: Finished | None, when: float, took: float) -> Reading:
        """What there was of a request, and in front of it."""
        if out.plan is None:
            return Reading(when, took)
        priced = self.ready.plans[out.plan]
        sent = finished.bytes_sent if finished else out.rows * priced.bytes_up
        received = finished.bytes_received if finished else out.rows * priced.bytes_down
        rate = self.link.up / 8
        waits = max(0.0, self.free - out.began)
        if finished:
            self.free = max(self.free, out.began) + sent / rate
        word = None if finished is None or finished.took is None else 1000 * finished.took
        requests = finished.requests if finished else out.requests
        return Reading(when, took, sent + waits * rate, received, out.rows * priced.cloud_ms, word, requests=requests)

    def _oldest(self) -> Out | None:
        with self.changing:
            return next(iter(self.out), None)

    def _late(self, out: Out, now: float) -> bool:
        if out.waiting is None:
            out.waiting = self.controller.waits(out.began, self._size(out, None, now, 0.0))
        return self.controller.late(out.waiting, now)

    def _release(self) -> None:
        """The link stands still: have the edge answer what waits for it."""
        with self.changing:
            waiting = [out for out in self.out if out.outer is not None]
            for out in waiting:
                out.ended = True
                del self.out[out]
        for out in waiting:
            assert out.outer is not None  # those alone were taken
            give(out.outer, UnreachableError("the link stands still: nothing comes back from the cloud."))
            out.answer.cancel()

    def _switch(self, switch: Switch) -> None:
        before, to = (self.ready.plans[i].plan for i in (switch.before, switch.to))
        self.switches += 1  # counted and said first: who sees the course in force finds why it is
        log.info("course: %s → %s: %s", said_of(before), said_of(to), switch.why)
        self.edge.follow(self.ready.courses[switch.to])

    def _longest(self) -> list[float]:
        """Seconds that a sample takes by each plan where it goes on, or where it ends at the edge if none does."""
        link = self.controller.link
        each = (priced.model_copy(update={"onward": float(priced.onward > 0)}) for priced in self.ready.plans)
        return [one.mean_ms(link.up, link.down, link.round_trip_ms, link.cloud_slower) / 1000 for one in each]

    def _ask(self, plan: int | None) -> None:
        """Ask the cloud for a reading, whatever comes of it; one at a time."""
        self.asking = True
        if plan is not None and self.controller.ways[plan] not in self.met:
            threading.Thread(target=self._meet, args=(plan,), name="follow-meet", daemon=True).start()
            return
        now = time.monotonic()
        try:
            answer: Future[Any]
            if plan is None:
                answer = self.cloud.look(PATIENCE)
            else:
                answer = self.cloud.finish(self.asked.flight(plan, self.ready.courses[plan]), PATIENCE)
        except Exception:
            self.asking = False
            raise
        answer.add_done_callback(self._was_asked)
        self._send(Out(now, plan, 1, answer))

    def _was_asked(self, _: object) -> None:
        self.asking = False

    def _meet(self, plan: int) -> None:
        """See that the cloud can finish what a plan hands on, before anything is handed on by it."""
        try:
            self.cloud.check(self.ready.courses[plan], PATIENCE)
            self.met.add(self.controller.ways[plan])
        except OfframpError as error:
            self.rests = time.monotonic() + REST
            if self.gone() is None:
                log.warning("course: %s cannot be followed now: %s", said_of(self.ready.plans[plan].plan), error)
        except Exception:  # of a connection that is closed; of any other it is a defect
            if not self.closed.is_set():
                log.exception("a defect while asking the cloud")
        finally:
            self.asking = False
