"""What a replica of a cloud takes for what it is asked, by its device's profile: the service times of a simulation.

Takes a profile, a cut and a codec; gives seconds. Knows nothing of how many ask.
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from math import log
from typing import Self

from offramp.artifacts.codec import Codec
from offramp.artifacts.manifest import Manifest
from offramp.artifacts.profile import NodeWork, Profile, Spread, check_fits
from offramp.errors import InputError
from offramp.runtime.tier_spans import tail_span

QUARTILES = 1.349  # distance of the quartiles of a normal distribution, in standard deviations


def network(batches: Mapping[int, float], samples: int) -> float:
    """Seconds of a batch, by those of some sizes: between two on the line between them, beyond the last on its line.

    Of one size alone, a batch takes what as many samples take one after another.

    >>> network({1: 0.002, 8: 0.009}, 2), network({1: 0.002}, 3)
    (0.003, 0.006)
    """
    if samples in batches:
        return batches[samples]
    if len(batches) == 1:
        ((size, seconds),) = batches.items()
        return seconds * samples / size
    sizes = sorted(batches)
    place = min(max(bisect_left(sizes, samples), 1), len(sizes) - 1)
    low, high = sizes[place - 1], sizes[place]
    slope = (batches[high] - batches[low]) / (high - low)
    return batches[low] + slope * (samples - low)


@dataclass(frozen=True)
class Service:
    """Seconds of one replica. What it does for a request itself passes one after another; batches run beside that."""

    host: float  # of each request, around the network: messages, threads, the interpreter
    batches: Mapping[int, float]  # of the network, by samples in a batch; one sample at least is there
    beside: float = 0.0  # of each call that nobody else waits for: the wire, and the caller's own
    wake: float = (
        0.0  # on top of `host`, of a call that finds the replica idle: its caches are cold, its threads asleep
    )
    spread: float = 0.0  # standard deviation of the logarithm of what a batch takes: it varies from run to run
    around: float = 0.0  # the same of all that is done around it

    def run(self, samples: int) -> float:
        """Seconds of a batch."""
        return network(self.batches, samples)

    @classmethod
    def of(cls, profile: Profile, manifest: Manifest, cut: int, codec: Codec) -> Self:
        """What a device's profile says of the tail behind a cut; InputError where it is of another bundle or lacks it.

        What the node does itself for a call is the processor time of its process beyond the network's at the shortest
        tail, where it is alike; where that was not measured, or the network ran on several threads, all of the call
        beyond the network's, which is more than that.
        """
        check_fits(profile, manifest.id, "cloud profile")
        found = next((one for one in profile.crossings if (one.cut, one.codec) == (cut, codec)), None)
        if found is None:
            raise InputError(
                f"cloud profile: it has no times at cut {cut} in {codec}. Measure again, with this program: "
                "offramp profile BUNDLE"
            )
        tail, call = _tail(profile, manifest, cut, codec), found.call_ms.median / 1000
        batches = _batches(profile, manifest, cut, codec)
        if not profile.work or profile.threads > 1:
            return cls(max(0.0, call - batches[1]), batches, spread=spread(tail), around=spread(found.call_ms))
        longest, shortest = (Worked.of(profile, manifest, one) for one in (profile.work[0], profile.work[-1]))
        return cls.told(batches, call, shortest, longest, (spread(tail), spread(found.call_ms)))

    @classmethod
    def told(
        cls,
        batches: Mapping[int, float],
        call: float,
        shortest: "Worked",
        longest: "Worked",
        spreads: tuple[float, float] = (0.0, 0.0),
    ) -> Self:
        """Of what the network takes by batch size, a call of one sample, and the node's work at two tails; in seconds.

        What it does for each request is told by the shortest, where it is not lost beside the network. What a cold
        start adds grows with the network: between the two tails, on the line. `spreads`: the network's, the call's.

        >>> worked = Worked({1: 0.001}, 0.003, 0.002, 16)
        >>> service = Service.told({1: 0.001}, 0.005, worked, worked)
        >>> round(service.host, 6), round(service.wake, 6), round(service.beside, 6)
        (0.001, 0.001, 0.002)
        """
        host, one = shortest.host, batches[1]
        low, high = shortest.batches[1], longest.batches[1]
        share = min(1.0, max(0.0, (one - low) / (high - low))) if high > low else 0.0
        wake = max(0.0, (1 - share) * shortest.more(host) + share * longest.more(host))
        return cls(host, batches, max(0.0, call - host - wake - one), wake, *spreads)


@dataclass(frozen=True)
class Worked:
    """Seconds that a node's process is at work for a call, the network's in them."""

    batches: Mapping[int, float]  # of the network, by samples in a batch
    alone: float  # of a call that finds the node idle
    many: float  # of each of `count` at once
    count: int

    @classmethod
    def of(cls, profile: Profile, manifest: Manifest, work: NodeWork) -> Self:
        """As a profile has it."""
        batches = _batches(profile, manifest, work.cut, work.codec)
        return cls(batches, work.alone_ms.median / 1000, work.many_ms.median / 1000, work.many)

    @property
    def host(self) -> float:
        """The node's own for each of many: the first of them is run by itself, the others together."""
        return max(0.0, self.many - (self.batches[1] + network(self.batches, self.count - 1)) / self.count)

    def more(self, host: float) -> float:
        """What a call that finds it idle takes more than the network and `host`."""
        return self.alone - self.batches[1] - host


def _tail(profile: Profile, manifest: Manifest, cut: int, codec: Codec) -> Spread:
    """What one sample takes in the tail."""
    spec = tail_span(manifest.last, cut, codec)
    for one in profile.spans:
        where = one.start, one.end, one.head, one.takes, one.batch, one.threads
        if where == (spec.start, spec.end, True, spec.takes, 1, profile.threads):
            return one.ms
    raise InputError(
        f"cloud profile: it has no time of the tail behind cut {cut} in {codec}. Measure again, with this program: "
        "offramp profile BUNDLE"
    )


def spread(ms: Spread) -> float:
    """Standard deviation of the logarithm of a time, by its quartiles."""
    return log(ms.third / ms.first) / QUARTILES if 0 < ms.first < ms.third else 0.0


def _batches(profile: Profile, manifest: Manifest, cut: int, codec: Codec) -> dict[int, float]:
    """Seconds of the tail by batch size."""
    one = _tail(profile, manifest, cut, codec).median / 1000
    return {1: one} | {size: one * by for size, by in _grown(profile, manifest, cut).items()}


def _grown(profile: Profile, manifest: Manifest, cut: int) -> dict[int, float]:
    """How many times what one sample takes a batch takes, by its size: of the spans behind the cut, added up."""
    last = manifest.last
    sums: dict[int, dict[tuple[int, int], float]] = {}
    for one in profile.spans:
        behind = one.start >= cut and one.head == (one.end == last) and one.takes == "fp32"
        if behind and one.threads == profile.threads and (one.start, one.end) != (0, last):
            sums.setdefault(one.batch, {})[one.start, one.end] = one.ms.median
    return {
        size: sum(times.values()) / sum(sums[1][where] for where in times)
        for size, times in sums.items()
        if size > 1 and all(where in sums.get(1, {}) for where in times)
    }
