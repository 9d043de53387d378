"""A reproduction's rows by what they are about, what their setups are called, and what is computed from one.

Takes a reproduction, whole or partial. Knows nothing of how it is shown.
"""

import statistics
from collections.abc import Iterable

from offramp.artifacts.outcome import Over
from offramp.artifacts.suite import Suite
from offramp.data.parquet import CIFAR10_CLASSES
from offramp.link.shape import LinkShape
from offramp.paper.families import label
from offramp.paper.reproduction import Reproduction, Row, Section, Setup

TIERS: tuple[Over, ...] = ("edge", "cloud", "overall")
FEW = 30  # an accuracy over fewer samples than this may well be chance


def percent(share: float | None) -> float | None:
    """A share as a percentage; None, where no sample was answered, stays None: it is not zero."""
    return None if share is None else 100 * share


def comparable(of: Reproduction | Suite) -> bool:
    """Whether the paper's numbers are of the same data: CIFAR-10, told by its classes."""
    return of.classes == CIFAR10_CLASSES


def links(rows: Iterable[Row]) -> tuple[str, ...]:
    """The links of some rows, in the order in which they come."""
    return tuple(dict.fromkeys(row.setup.link for row in rows))


def rate(link: str) -> float | None:
    """The rate of a link in Mbit/s, from edge to cloud; None where it is not shaped.

    >>> rate("10mbit,5ms"), rate("1gbit"), rate("loopback")
    (10.0, 1000.0, None)
    """
    up = LinkShape.parse(link).up
    return None if up is None else up / 1e6


def by_rate(reproduction: Reproduction) -> dict[float, list[Row]]:
    """The section on bandwidth by rate in Mbit/s, rising."""
    rates = [(rate(row.setup.link), row) for row in reproduction.section("bandwidth")]
    rising = sorted({at for at, _ in rates if at is not None})
    return {at: [row for its, row in rates if its == at] for at in rising}


def fastest_first(rows: Iterable[Row]) -> list[Row]:
    """The rows by their overall median; without those that have none."""
    return sorted((row for row in rows if row.p50("overall") is not None), key=lambda row: row.p50("overall") or 0.0)


def kind(setup: Setup) -> str:
    """What is deployed, without its exit: what a colour stands for."""
    if setup.contender == "all in the cloud":
        return f"all in the cloud, {'JPEG' if setup.form == 'jpeg' else setup.form}"
    return setup.contender


def name(setup: Setup) -> str:
    """What is deployed, with its exit where it has one.

    An edge that runs everything and a cloud that does have none: they run to the network's end.
    """
    if setup.contender in ("all at the edge", "all in the cloud"):
        return kind(setup)
    if setup.contender == "local exit":
        is_sem = setup.model == f"sem-{setup.exit}"
        return label(setup.model) if is_sem else f"{label(setup.model)} at exit {setup.exit}"
    if setup.contender == "planned":
        return f"the planner's choice, {label(setup.model)}"
    return f"{kind(setup)} at {setup.place}"


def mean_ms(row: Row) -> float | None:
    """Mean latency over all samples, in ms: the median over repeats; None where nothing was answered."""
    means = [repeat.latency_ms["overall"].mean for repeat in row.repeats if "overall" in repeat.latency_ms]
    return statistics.median(means) if means else None


def bytes_a_sample(row: Row) -> float | None:
    """Bytes over the link, spread over all samples."""
    return row.bytes_to_cloud / row.setup.samples if row.setup.samples else None


def cloud_ms(row: Row) -> float | None:
    """Milliseconds of the cloud's computing, spread over all samples: the median over repeats."""
    if not row.repeats or not row.setup.samples:
        return None
    return statistics.median(repeat.cloud_ms for repeat in row.repeats) / row.setup.samples


def widest(reproduction: Reproduction, section: Section) -> tuple[float, float] | None:
    """How far the repeats' overall medians lie apart, as a share of their median: over rows, median and largest."""
    apart = []
    for row in reproduction.section(section):
        middle, ends = row.p50("overall"), row.p50_range("overall")
        if middle and ends and len(row.repeats) > 1:
            apart.append((ends[1] - ends[0]) / middle)
    return (statistics.median(apart), max(apart)) if apart else None
