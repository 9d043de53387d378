"""Links that change with time, each by a stated process and a seed: steps, ramps, an outage, and a mobile-like one.

The seeds were committed before anything was tuned to a link; tests and tuning draw by others.
"""

import math
import random

from offramp.link.shape import LinkShape

SEEDS = {"steps": 5101, "ramps": 5102, "outage": 5103, "mobile": 5104}
SLOWEST, FASTEST = 6e4, 3e7  # bits/s
Shapes = tuple[tuple[float, LinkShape | None], ...]


def made(name: str, seed: int, seconds: float) -> Shapes:
    """The shapes of a trace of this name, each with the second at which it begins."""
    return {"steps": steps, "ramps": ramps, "outage": outage, "mobile": mobile}[name](random.Random(seed), seconds)


def steps(drawn: random.Random, seconds: float) -> Shapes:
    """Rates and round trips log-uniform, each for 20 to 45 s: down is half as fast again as up."""
    found, at = [], 0.0
    while at < seconds:
        rate = math.exp(drawn.uniform(math.log(SLOWEST), math.log(FASTEST)))
        found.append((at, shape(rate, 1.5 * rate, 10 ** drawn.uniform(0.3, 2))))
        at += drawn.uniform(20, 45)
    return tuple(found)


def ramps(drawn: random.Random, seconds: float) -> Shapes:
    """The rate's logarithm goes up and down between 0.1 and 20 Mbit/s, each way in 20 to 40 s; the round trip stays."""
    half, low, high = drawn.uniform(20, 40), math.log(1e5), math.log(2e7)
    times = [step / 2 for step in range(math.ceil(2 * seconds))]
    rates = [math.exp(high + (low - high) * abs((at / half + 1) % 2 - 1)) for at in times]
    return tuple((at, shape(rate, rate, 10.0)) for at, rate in zip(times, rates, strict=True))


def outage(drawn: random.Random, seconds: float) -> Shapes:
    """12 Mbit/s and 8 ms, but for a time without, of a twelfth to an eighth of all, and a short one, of a thirtieth."""
    good = shape(1.2e7, 1.2e7, 8.0)
    first = seconds * drawn.uniform(0.2, 0.3)
    again = first + seconds * drawn.uniform(1 / 12, 1 / 8)
    second = again + seconds * drawn.uniform(0.2, 0.3)
    return ((0.0, good), (first, None), (again, good), (second, None), (second + seconds / 30, good))


def mobile(drawn: random.Random, seconds: float) -> Shapes:
    """A walker's: the rate's logarithm is an autoregressive process, AR(1), around 4 Mbit/s.

    Standard deviation 1.2, time constant 20 s, a new value every half second. The round trip's goes around 8 ms by
    another of them, of 0.3.
    """
    found, rate, trip, kept = [], 0.0, 0.0, math.exp(-0.5 / 20)
    for step in range(math.ceil(2 * seconds)):
        new = math.sqrt(1 - kept**2)
        rate = kept * rate + new * 1.2 * drawn.gauss(0, 1)
        trip = kept * trip + new * 0.3 * drawn.gauss(0, 1)
        up = min(max(4e6 * math.exp(rate), SLOWEST), 10 * FASTEST)
        found.append((step / 2, shape(up, 2 * up, 8 * math.exp(trip))))
    return tuple(found)


def shape(up: float, down: float, round_trip_ms: float) -> LinkShape:
    """A link of rates in bits/s."""
    return LinkShape(up=round(up), down=round(down), delay=round(round_trip_ms / 2000, 6))
