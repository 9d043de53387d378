"""Which of several plans to answer by on the link of the moment: down at once, up when it has been shown to pay.

Takes readings of the link and gives switches, and says what to ask the cloud in order to know more. Pure: its time is
what it is told. Knows neither threads nor sockets.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from offramp.artifacts.choices import Priced
from offramp.artifacts.plan import Plan
from offramp.link.shape import LinkShape
from offramp.nodes.estimate import Estimate, Link, Reading

GAIN = 0.05  # of the time of the plan in force, below which another is not worth a switch
READINGS = 3  # in a row that speak for more use of the link, the last of them of that plan's own size
DWELL = 2.0  # seconds from a switch to one up
FRESH = 3.0  # seconds for which a reading of a plan's own size speaks for it
BURST, REFILL = 8, 8.0  # switches that may follow one another, and seconds until there may be one more
QUIET = 1.5  # seconds without a reading, after which the cloud is asked for one
PING = 2.0  # seconds without one of next to no bytes: it tells the round trip from the rate
RETRY = 0.5  # seconds between two of these while nothing is heard
SHARE = 0.05  # of the link that is spent on asking
RARELY = 30.0  # seconds after which it is asked all the same: it may be faster than it is taken to be
STALL, TIMES = 400.0, 6.0  # milliseconds, and times what it should take, after which the link is taken to stand still
LATE = 2.5  # times what it should take, and GRACE milliseconds, after which an answer that is not there says so
GRACE = 20.0


@dataclass(frozen=True)
class Switch:
    """From one plan to another, by their positions, and why."""

    before: int
    to: int
    why: str


@dataclass
class Waiting:
    """What has been asked and is not answered, and how long it may stay so, in milliseconds, by what was expected."""

    began: float
    size: Reading
    stalls: float  # from then on the link stands still
    tells: float  # from then on it says something of the link


def most_switches(seconds: float) -> int:
    """How many there are in so many seconds at most, whatever the link does: one more than the bucket gives."""
    return BURST + int(seconds / REFILL) + 1


class Controller:
    """Follows a link for plans that are all good enough, the one that uses the link least first.

    With `within`, in milliseconds, it takes the most accurate plan whose mean latency is no longer; without, the
    fastest. Begins by the first plan, and asks the cloud at once. To be used by one thread.
    """

    def __init__(
        self, plans: Sequence[Priced], now: float, *, stated: LinkShape | None = None, within: float | None = None
    ) -> None:
        self.plans, self.within = tuple(plans), within
        self.use = [plan.onward * (plan.bytes_up + plan.bytes_down) for plan in plans]
        assert self.use == sorted(self.use), "the one that uses the link least first"
        self.estimate = Estimate(now, stated)
        self.at = 0
        self.said = self.estimate.link  # when it last switched
        self.switched, self.tokens, self.filled = now - DWELL, float(BURST), now
        self.banned: set[int] = set()  # plans that do not hold what was promised of them
        self.gone: str | None = None  # why there is no cloud now
        self.stalled = False  # of that: nothing comes back, and nobody says so
        self.good, self.fresh = 0, False  # readings in a row that speak for a plan; one that did not count yet
        self.ways = [(plan.plan.cut, plan.plan.codec) for plan in self.plans]  # messages of one of them are alike
        self.shown = dict.fromkeys(self.ways, -FRESH)  # when each was last measured
        self.used = now - QUIET  # when a request, or what stood in for one, was last answered
        self.pinged = now - PING
        self.asked = now - RARELY  # when the cloud was last asked for a reading of a plan's size

    @property
    def link(self) -> Link:
        """What the link is taken to be like."""
        return self.estimate.link

    def predicted(self) -> list[float]:
        """The mean latency of each plan in milliseconds, on the link as it is taken to be."""
        link = self.link
        return [plan.mean_ms(link.up, link.down, link.round_trip_ms, link.cloud_slower) for plan in self.plans]

    def heard(self, reading: Reading, plan: int | None = None) -> None:
        """An answer has come, for a request by one of the plans or, where `plan` is None, one of next to no bytes."""
        if self.stalled and not reading.least:
            self.back()
        self.estimate.heard(reading)
        if reading.least:
            return
        if plan is None:
            self.pinged = reading.when
        else:
            self.used = self.shown[self.ways[plan]] = reading.when
            self.fresh = True

    def waits(self, began: float, size: Reading) -> "Waiting":
        """Something of this size has been asked since then."""
        expected = self.estimate.expected(size)
        return Waiting(began, size, max(STALL, TIMES * expected), LATE * expected + GRACE)

    def late(self, waiting: "Waiting", now: float) -> bool:
        """Hear that an answer is not there yet; whether the link is taken to stand still."""
        waited = 1000 * (now - waiting.began)
        if waited > waiting.stalls:
            self.lost(f"nothing has come back for {waited / 1000:.2g} s", stalled=True)
            return True
        if waited > waiting.tells:
            waiting.tells = 2 * waited
            self.heard(replace(waiting.size, when=now, took=waited, least=True))
        return False

    def lost(self, why: str, *, stalled: bool = False) -> None:
        """There is no cloud for now."""
        if self.gone is None:
            self.gone, self.stalled = why, stalled

    def back(self) -> None:
        """There is one again: it is not waited before more use is made of it, but for readings."""
        if self.gone is not None:
            self.gone, self.stalled, self.good = None, False, 0
            self.estimate.unsettle()
            self.switched = -DWELL
            self.asked = -RARELY

    def ban(self, plan: int) -> bool:
        """Take neither this plan nor one that is no more accurate from now on; false, and nothing, where none is left.

        Unlike all else it may be called from another thread.
        """
        banned = {i for i, one in enumerate(self.plans) if one.accuracy <= self.plans[plan].accuracy} | self.banned
        if len(banned) == len(self.plans):
            return False
        self.banned = banned
        return True

    def decide(self, now: float) -> Switch | None:
        """What to switch to now, if to anything."""
        self.tokens = min(BURST, self.tokens + (now - self.filled) / REFILL)
        self.filled = now
        if self.gone is not None:
            least = next(i for i in range(len(self.plans)) if i not in self.banned)
            return None if self.at == least else self._switch(least, now, self.gone)
        times, fresh = self.predicted(), self.fresh
        self.fresh = False
        to = self._best(times)
        if self.at in self.banned:
            return self._switch(to, now, "what was promised of the one before does not hold")
        if not self._worth(to, times):
            self.good = 0
            return None
        if to < self.at:
            return self._switch(to, now, self._why(to, times)) if self.tokens >= 1 else None
        self.good += fresh
        ready = self.good >= READINGS and now - self.shown[self.ways[to]] < FRESH
        if not (ready and now - self.switched >= DWELL and self.tokens >= 2):
            return None
        return self._switch(to, now, self._why(to, times))

    def asks(self, now: float) -> int | None:
        """The plan by whose size the cloud is to be asked for a reading, -1 for one of next to no bytes; None: none."""
        if self.gone is not None:
            return -1 if self.stalled and now - self.pinged >= RETRY and self._ping(now) else None
        doubts = self.estimate.suspect or self.pinged < self.estimate.changed
        if now - self.pinged >= (RETRY if doubts else PING):
            self._ping(now)
            return -1
        times = self.predicted()
        to = self._best(times)
        speaks = to > self.at and self._worth(to, times)
        if speaks and not now - self.switched >= DWELL:
            speaks = False
        if not speaks and now - self.used < QUIET:
            return None
        if not speaks:  # the most promising of those that use the link
            using = (i for i, use in enumerate(self.use) if use and i not in self.banned)
            to = min(using, key=lambda i: times[i], default=0)
        passes = 8 * self.plans[to].bytes_up / self.link.up  # seconds that it keeps the link busy
        if not self.use[to] or now - self.asked < min(passes / SHARE / (READINGS if speaks else 1), RARELY):
            return None
        self.asked = now
        return to

    def _ping(self, now: float) -> bool:
        self.pinged = now
        return True

    def _best(self, times: list[float]) -> int:
        every = [i for i in range(len(times)) if i not in self.banned]
        if self.within is None:
            return min(every, key=lambda i: (times[i], i))
        # The plan in force may be a little late, another must be a little early: else they would take turns.
        slack = [1 + GAIN if i == self.at else 1 - GAIN for i in every]
        good = [i for i in every if times[i] <= self.within * slack[i]]
        if not good:
            return min(every, key=lambda i: (times[i], i))
        return max(good, key=lambda i: (self.plans[i].accuracy, -times[i]))

    def _worth(self, to: int, times: list[float]) -> bool:
        if to == self.at:
            return False
        faster = times[to] < (1 - GAIN) * times[self.at]
        if self.within is None or times[self.at] > (1 + GAIN) * self.within:
            return faster
        return faster or self.plans[to].accuracy > self.plans[self.at].accuracy

    def _switch(self, to: int, now: float, why: str) -> Switch:
        switch = Switch(self.at, to, why)
        self.at, self.switched, self.good, self.said = to, now, 0, self.link
        self.tokens -= 1
        return switch

    def _why(self, to: int, times: list[float]) -> str:
        was = self.said
        return f"{self.link} (was {was}); {times[to]:.3g} ms a sample, and {times[self.at]:.3g} by the one before"


def said_of(plan: Plan) -> str:
    """A plan in a few words: `exit 3 at 0.3, cut 3 uint8`."""
    exits = ", ".join(f"exit {active.exit} at {active.threshold:g}" for active in plan.active) or "no exit"
    return f"{exits}, cut {plan.cut} {plan.codec}"
