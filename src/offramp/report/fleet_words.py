"""What a simulated fleet is said to do, as a table and as a document: the word predicted stands over every figure."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from offramp.plan.fleet import Balance, Fleet, Simulated
from offramp.plan.replica import Replica
from offramp.plan.sizing import Bound


@dataclass(frozen=True)
class Sized:
    """What was asked, and what came of each number of replicas."""

    model: str
    fleet: Fleet
    replica: Replica
    balance: Balance
    tried: Mapping[int, Simulated]
    bound: Bound | None = None
    least: int | None = None

    @property
    def onward(self) -> float:
        """Share of the samples that go on."""
        return self.fleet.onward / (self.fleet.edges * self.fleet.rate)

    def overloaded(self, replicas: int) -> bool:
        """Whether one of so many is asked more than it can answer: what it takes is a matter of how long one looks."""
        return self.fleet.busiest(replicas, self.balance) > self.replica.most

    @property
    def percents(self) -> tuple[float, ...]:
        """Percentiles that are shown: the one that is asked for is among them."""
        return tuple(sorted({50.0, 95.0} | ({self.bound.percent} if self.bound else set())))


def fleet_table(sized: Sized) -> Table:
    """A row a number of replicas."""
    fleet = sized.fleet
    edges = f"{fleet.edges:,} edge{'s' * (fleet.edges != 1)}"
    table = Table(
        title=f"{sized.model}: {edges}, {fleet.rate:g} samples/s each, {sized.onward:.1%} go on. All predicted",
        caption=f"predicted, by simulation; ms. A replica is predicted to answer {sized.replica.most:,.0f} samples/s "
        f"at most, and {fleet.onward:,.1f} go on.",
    )
    times = [f"{what} p{percent:g}" for what in ("cloud", "whole") for percent in sized.percents]
    for name in ("replicas", "utilisation", *times, "refused"):
        table.add_column(name if name == "replicas" else f"{name}\n(predicted)", justify="right")
    for replicas, one in sorted(sized.tried.items()):
        cloud = (_ms(one.cloud, percent) for percent in sized.percents)
        whole = (_ms(one.whole, percent) for percent in sized.percents)
        busy = "overloaded" if sized.overloaded(replicas) else f"{one.utilisation:.0%}"
        style = "bold" if replicas == sized.least else None
        table.add_row(f"{replicas:,}", busy, *cloud, *whole, f"{one.refused:.2%}", style=style)
    return table


def verdict(sized: Sized) -> str | None:
    """The answer in a sentence; None where nothing was asked."""
    if sized.bound is None:
        return None
    wanted = f"{sized.bound.percent:g} % of the answers within {1000 * sized.bound.seconds:g} ms"
    if sized.least is None:
        return (
            f"predicted: no number of replicas keeps {wanted}. What is late is so at the edge, on the link or in one "
            "call of the cloud."
        )
    noun = "replica keeps" if sized.least == 1 else "replicas keep"
    return f"predicted: {sized.least:,} {noun} {wanted}"


def fleet_document(sized: Sized) -> dict[str, Any]:
    """The same for programs; times in milliseconds, None of what has none."""
    fleet, bound = sized.fleet, sized.bound
    return {
        "predicted": True,
        "model": sized.model,
        "edges": fleet.edges,
        "rate": fleet.rate,
        "onward": round(sized.onward, 6),
        "replica_most": round(sized.replica.most, 3),
        "bound": None if bound is None else {"percent": bound.percent, "ms": 1000 * bound.seconds},
        "least": sized.least,
        "replicas": [
            {
                "replicas": replicas,
                "overloaded": sized.overloaded(replicas),
                "utilisation": round(one.utilisation, 4),
                "refused": round(one.refused, 6),
                "cloud_ms": _quantiles(one.cloud, sized.percents),
                "whole_ms": _quantiles(one.whole, sized.percents),
            }
            for replicas, one in sorted(sized.tried.items())
        ],
    }


def _quantiles(seconds: Any, percents: Iterable[float]) -> dict[str, float | None]:
    found = {f"p{percent:g}": 1000 * Simulated.percentile(seconds, percent) for percent in percents}
    return {name: round(value, 4) if value < float("inf") else None for name, value in found.items()}


def _ms(seconds: Any, percent: float) -> str:
    value = 1000 * Simulated.percentile(seconds, percent)
    if math.isnan(value):  # of none
        return "–"
    return "refused" if value == float("inf") else f"{value:.3g}"
