"""A reproduction as the report looks at it: as an experiment for the figures, and its rows by what they are about.

Takes a reproduction, whole or partial. Knows nothing of how it is shown.
"""

import statistics
from collections.abc import Iterable

from offramp.artifacts.measurement import Measurement
from offramp.data.parquet import CIFAR10_CLASSES
from offramp.link.shape import LinkShape
from offramp.paper.experiment import Experiment
from offramp.paper.families import label
from offramp.paper.reproduction import Reproduction, Row, Section, Setup
from offramp.paper.view import Point, View, as_in_the_paper


def comparable(reproduction: Reproduction) -> bool:
    """Whether the paper's numbers are of the same data: CIFAR-10, told by its classes."""
    return reproduction.classes == CIFAR10_CLASSES


def as_experiment(reproduction: Reproduction) -> Experiment:
    """The paper's part as an experiment; every median in it is the median over repeats."""
    trained, recipe = reproduction.trained, reproduction.trained.recipe
    return Experiment(
        data=reproduction.data,
        test_samples=reproduction.test_samples,
        preset=trained.preset,
        recipe=str(recipe.get("name", "unnamed")),
        epochs=_whole(recipe.get("epochs")),
        seed=trained.seed,
        seconds=reproduction.seconds,
        models=reproduction.models,
        measurements=tuple(_measurement(reproduction, row) for row in as_in_the_paper(reproduction)),
        agreement=reproduction.agreement,
    )


def points(reproduction: Reproduction) -> dict[Point, Row]:
    """The paper's rows by family, exit and threshold."""
    return View.of(reproduction).rows


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
    found: dict[float, list[Row]] = {}
    for row in reproduction.section("bandwidth"):
        at = rate(row.setup.link)
        if at is not None:
            found.setdefault(at, []).append(row)
    return dict(sorted(found.items()))


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
    return f"{kind(setup)} at {setup.place}"


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


def _measurement(reproduction: Reproduction, row: Row) -> Measurement:
    found = row.measurement(reproduction.conditions.model_copy(update={"link": row.setup.link}))
    latencies = {over: latency.model_copy(update={"p50": row.p50(over)}) for over, latency in found.latency_ms.items()}
    return found.model_copy(update={"latency_ms": latencies})


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0
