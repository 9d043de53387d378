"""What the link to a cloud is like now, and how fast the cloud is, learnt from how long its answers took.

An answer takes a round trip for each of its requests, the time of its bytes up and down, and the cloud's work: a
Kalman filter over what these four cost (R. Kalman, "A new approach to linear filtering and prediction problems", 1960).
What one reading cannot tell apart stays unsure until another, of another size, does. Pure: the time is what it is told.
Knows no plan and no socket.
"""

import math
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from offramp.link.shape import LinkShape

Floats = npt.NDArray[np.float64]

# Of the four, in their order: the round trip in milliseconds, milliseconds a byte up, a byte down, and how much slower
# the cloud is than was measured beforehand.
UNKNOWN = (20.0, 8e-4, 8e-4, 1.0)  # to begin with, where nothing is known of a link: 10 Mbit/s
UNSURE = (4.0, 4.0, 2.0, 0.5)  # standard deviation to begin with and at most, as a share of each
STATED = 0.3  # to begin with, where a link was stated
DRIFT = (0.1, 0.17, 0.05, 0.05)  # what each goes by in a second, as a share of it (standard deviation)
GRAINS = (0.2, 8e-6, 8e-6, 0.01)  # and at least
BLAME = (0.5, 1.0, 0.2, 0.2)  # of each, for an answer that takes another time from one moment to the next
LEAST, MOST = np.array([0.02, 8e-8, 8e-8, 0.02]), np.array([30_000.0, 8.0, 8.0, 1000.0])  # 100 Gbit/s, 1 kbit/s
NOISE = 0.12  # of a reading, as a share of it, until it is seen how large it is here
LEAST_NOISE, MOST_NOISE, WEIGHT = 0.03, 0.5, 0.05
CLOUD_NOISE = 0.1  # of the cloud's own word
GRAIN = 0.3  # milliseconds by which clocks and threads are off, whatever the link
GATE = 3.0  # standard deviations beyond which a reading is no noise


@dataclass(frozen=True)
class Reading:
    """An answer of the cloud's: how much was sent and received for it, and how long it took."""

    when: float  # it was there, in seconds of a clock
    took: float  # milliseconds since it was asked for
    sent: float = 0.0  # bytes up, and those that were in front of them
    received: float = 0.0  # bytes down
    cloud_ms: float = 0.0  # that the cloud's work takes as measured beforehand; 0: it computed nothing
    cloud_took: float | None = None  # milliseconds by the cloud's own word
    least: bool = False  # it is not there yet: it takes at least so long
    requests: int = 1  # in which it was asked for, one behind the other: a round trip each

    @property
    def sizes(self) -> Floats:
        """How much there was of each of the four."""
        return np.array([float(self.requests), self.sent, self.received, self.cloud_ms])


@dataclass(frozen=True)
class Link:
    """What a link and the cloud behind it are like: what `Priced.mean_ms` takes."""

    up: float  # bits/s
    down: float  # bits/s
    round_trip_ms: float
    cloud_slower: float = 1.0

    def __str__(self) -> str:
        return f"up {_rate(self.up)}, round trip {self.round_trip_ms:.3g} ms"


class Estimate:
    """What is known of a link. Begins by what is stated of it, or by next to nothing."""

    def __init__(self, now: float, stated: LinkShape | None = None) -> None:
        self.state, share = np.array(UNKNOWN), np.array(UNSURE)
        if stated is not None:
            self.state[0] = max(2000 * (stated.delay + stated.jitter / 2), 0.5)
            self.state[1:3] = [8000 / (rate or 1e9) for rate in (stated.up, stated.down)]
            share[:3] = STATED
        self.spread: Floats = np.diag((share * self.state) ** 2)  # covariance
        self.now, self.noise = now, NOISE
        self.suspect = False  # the last reading took much longer than expected: one more, and the link is another
        self.changed = now  # when it last was
        self.answered = self.state  # as it was by the last answer that was there

    @property
    def link(self) -> Link:
        """What it is most likely like."""
        round_trip, up, down, slower = self.state.tolist()
        return Link(8000 / up, 8000 / down, round_trip, slower)

    def expected(self, reading: Reading) -> float:
        """How long a reading of this size should take, in milliseconds."""
        return float(reading.sizes @ self.state)

    def heard(self, reading: Reading) -> bool:
        """Learn from a reading; whether it was believed.

        One that took much longer than can be is believed once the next one did too: a packet may be lost. Nothing is
        faster than its link, so one that took much shorter is believed at once.
        """
        self._pass(reading.when)
        if reading.cloud_took is not None and reading.cloud_ms > 0:
            self._learn(np.array([0, 0, 0, reading.cloud_ms]), reading.cloud_took, CLOUD_NOISE * reading.cloud_took)
            # What is left is the link's, and is not the cloud's a second time.
            reading = replace(reading, took=max(reading.took - reading.cloud_took, 0.0), cloud_ms=0.0)
        sizes, took = reading.sizes, reading.took
        expected = float(sizes @ self.state)
        off, grain = took - expected, math.hypot(self.noise * took, GRAIN)
        if reading.least and off <= 0:
            return True
        if abs(off) > GATE * math.sqrt(float(sizes @ self.spread @ sizes) + grain**2):
            if off > 0 and not self.suspect:
                self.suspect = True
                return False
            self._change(sizes, off)
        elif not reading.least:
            seen = min(off / max(took, expected), 2 * self.noise)
            noise = math.sqrt(self.noise**2 + WEIGHT * (seen**2 - self.noise**2))
            self.noise = min(max(noise, LEAST_NOISE), MOST_NOISE)
        if not reading.least:
            self.suspect = False
        self._learn(sizes, took, grain)
        if not reading.least:
            self.answered = self.state
        return True

    def unsettle(self) -> None:
        """It has been away: what was not answered meanwhile says nothing of it, and it may be another now."""
        self.changed, self.state = self.now, self.answered
        self.spread = self.spread + np.diag((np.array(UNSURE) * self.state) ** 2)

    def _change(self, sizes: Floats, off: float) -> None:
        """It is another: each of the four may have changed by as much as the reading is off, or to nothing."""
        self.changed = self.now
        most = np.divide(off, sizes, out=np.zeros(len(sizes)), where=sizes > 0)
        self.spread = self.spread + np.diag((np.array(BLAME) * np.maximum(most, -self.state)) ** 2)

    def _pass(self, now: float) -> None:
        """Be less sure for the time that went by, but not less than of any link."""
        if now <= self.now:
            return
        drift = np.maximum(np.array(DRIFT) * self.state, GRAINS)
        self.spread = self.spread + np.diag(drift**2 * (now - self.now))
        most = np.maximum(np.array(UNSURE) * self.state, 10 * np.array(GRAINS))
        shrink = np.minimum(1.0, most / np.sqrt(np.diag(self.spread)))
        self.spread = self.spread * np.outer(shrink, shrink)
        self.now = now

    def _learn(self, sizes: Floats, took: float, noise: float) -> None:
        """The filter's own step."""
        along = self.spread @ sizes
        gain = along / (sizes @ along + noise**2)
        self.state = np.clip(self.state + gain * (took - sizes @ self.state), LEAST, MOST)
        self.spread = self.spread - np.outer(gain, along)

    @classmethod
    def of(cls, link: Link, now: float = 0.0) -> Self:
        """One that is sure of a link."""
        found = cls(now)
        found.state = np.array([link.round_trip_ms, 8000 / link.up, 8000 / link.down, link.cloud_slower])
        found.spread = np.diag((STATED * found.state) ** 2)
        return found


def _rate(bits: float) -> str:
    unit, size = ("Gbit/s", 1e9) if bits >= 1e9 else ("Mbit/s", 1e6) if bits >= 1e6 else ("kbit/s", 1e3)
    return f"{bits / size:.3g} {unit}"
