"""Two measured numbers held against each other, and the verdict on a claim that several such comparisons give.

A comparison speaks for a claim if its difference has the claim's side and is larger than the noise, against it if it
has the other side and is larger; else it says nothing. The noise of shares and accuracies is their sampling error, that
of latencies how far the repeats' medians lie apart.
"""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from math import hypot
from typing import Literal, NamedTuple

from offramp.artifacts.outcome import Over
from offramp.exits.sampling import difference_error
from offramp.paper.reproduced import FEW
from offramp.paper.reproduction import Row

Side = Literal["for", "against", "within noise"]
Verdict = Literal["holds", "does not hold", "depends", "not measured"]


class Share(NamedTuple):
    """A share in [0, 1] of `n` samples."""

    name: str
    value: float
    n: int


class Time(NamedTuple):
    """A median latency in ms; how far the repeats' medians lie apart, None where there is one alone."""

    name: str
    value: float
    apart: float | None


class Comparison(NamedTuple):
    """A difference, above zero on the claim's side, in `unit` as its noise."""

    where: str
    found: str
    difference: float
    noise: float | None  # None: not known
    unit: str

    @property
    def outcome(self) -> Side:
        """What it says on the claim."""
        if self.noise is None or abs(self.difference) <= self.noise:
            return "within noise"
        return "for" if self.difference > 0 else "against"


def verdict(comparisons: Sequence[Comparison]) -> Verdict:
    """Whether a claim holds: none against and more than half for it; or does not: the other way round; or depends."""
    if not comparisons:
        return "not measured"
    counted = Counter(comparison.outcome for comparison in comparisons)
    if not counted["against"] and 2 * counted["for"] > len(comparisons):
        return "holds"
    if not counted["for"] and 2 * counted["against"] > len(comparisons):
        return "does not hold"
    return "depends"


def shares(where: str, larger: Share | None, smaller: Share | None, *, moved: int | None = None) -> Comparison | None:
    """Compare two shares, in points; the claim is that the first is larger. None where one of them is not known.

    `moved`: both are of the same samples, and only so many of them may have changed. Each changes the count by one at
    most, so their sum has a standard error of at most the root of their number.
    """
    if larger is None or smaller is None:
        return None
    noise: float | None = None
    if min(larger.n, smaller.n) >= FEW:
        noise = 100 * difference_error(larger.value, larger.n, smaller.value, smaller.n)
        if moved is not None:
            noise = min(noise, 100 * 2 * moved**0.5 / larger.n)
    return Comparison(
        where,
        f"{larger.name} {100 * larger.value:.2f} %, {smaller.name} {100 * smaller.value:.2f} %",
        100 * (larger.value - smaller.value),
        noise,
        "points",
    )


def times(where: str, longer: Time | None, shorter: Time | None) -> Comparison | None:
    """Compare two medians, in ms; the claim is that the first is longer. None where one of them is not known."""
    if longer is None or shorter is None:
        return None
    known = longer.apart is not None and shorter.apart is not None
    return Comparison(
        where,
        f"{longer.name} {longer.value:.2f} ms, {shorter.name} {shorter.value:.2f} ms",
        longer.value - shorter.value,
        max(longer.apart or 0.0, shorter.apart or 0.0) if known else None,
        "ms",
    )


def gaps(where: str, larger: Comparison, smaller: Comparison) -> Comparison:
    """Compare two differences, in points; the claim is that the first is larger. They are taken as independent."""
    known = larger.noise is not None and smaller.noise is not None
    return Comparison(
        where,
        f"{larger.difference:+.2f} at {larger.where}, {smaller.difference:+.2f} at {smaller.where}",
        larger.difference - smaller.difference,
        hypot(larger.noise or 0.0, smaller.noise or 0.0) if known else None,
        "points",
    )


def time(name: str, row: Row, tier: Over) -> Time | None:
    """A row's median latency of a tier; None where it answered nothing."""
    middle, ends = row.p50(tier), row.p50_range(tier)
    if middle is None or ends is None:
        return None
    return Time(name, middle, ends[1] - ends[0] if len(row.repeats) > 1 else None)


overall_time = partial(time, tier="overall")


def exited(name: str, row: Row) -> Share | None:
    """The share of a row's samples that left at the local exit."""
    n = row.setup.samples
    return Share(name, row.outcome.local / n, n) if n else None


def accuracy(name: str, row: Row, tier: Over) -> Share | None:
    """A row's accuracy of a tier; None where it answered nothing."""
    value, n = row.outcome.right(tier), row.outcome.count(tier)
    return None if value is None or not n else Share(name, value, n)
