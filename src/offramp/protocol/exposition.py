"""A node's metrics as Prometheus reads them, by its own library, which is loaded when they are first asked for."""

from collections.abc import Iterable
from itertools import accumulate
from typing import TYPE_CHECKING

from offramp.protocol.counts import Key
from offramp.protocol.metrics import FAMILIES, Family, Metrics

if TYPE_CHECKING:
    from prometheus_client import Metric


def exposition(metrics: Metrics, accept: str) -> tuple[bytes, str]:
    """The text of all of them in the format that a scraper accepts, and its content type."""
    from prometheus_client.exposition import choose_encoder

    encode, content_type = choose_encoder(accept)
    return encode(_Collected(metrics)), content_type


class _Collected:
    """What stands in for a registry: the families as they are now."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics

    def collect(self) -> "Iterable[Metric]":
        """Every family that has numbers."""
        found = self.metrics.read()
        for family in FAMILIES.values():
            if own := {key[1:]: numbers for key, numbers in sorted(found.items()) if key[0] == family.name}:
                yield _metric(family, own)


def _metric(family: Family, numbers: dict[Key, list[float]]) -> "Metric":
    from prometheus_client import core

    if family.kind == "histogram":
        histogram = core.HistogramMetricFamily(family.name, family.text, labels=family.labels)
        bounds = [*map(str, family.bounds), "+Inf"]
        for labels, (*counts, total) in numbers.items():
            histogram.add_metric(labels, list(zip(bounds, accumulate(counts), strict=True)), total)
        return histogram
    if family.kind == "info":
        info = core.InfoMetricFamily(family.name, family.text)
        for labels in numbers:
            info.add_metric((), dict(zip(family.labels, labels, strict=True)))
        return info
    kind = core.CounterMetricFamily if family.kind == "counter" else core.GaugeMetricFamily
    metric = kind(family.name, family.text, labels=family.labels)
    for labels, (value,) in numbers.items():
        metric.add_metric(labels, value)
    return metric
