"""How many replicas a fleet needs: the ways of its samples by a plan, and the least number that keeps a bound.

Takes a plan, costs, predictions or a share; gives what `plan.fleet` simulates. Pure, and all it gives is predicted.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from offramp.artifacts.manifest import Manifest
from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.errors import InputError
from offramp.exits.evaluation import check_route, route
from offramp.plan.cost import Costs
from offramp.plan.fleet import Balance, Fleet, Simulated, Way
from offramp.plan.replica import Replica

MOST = 4096  # replicas that are looked at


def one_tier(plan: Plan) -> Plan:
    """Give back a plan of an edge and a cloud; an InputError for another."""
    if len(plan.tiers) != 1:
        raise InputError(
            f"plan: it has the tiers {', '.join(plan.tiers)}. A fleet is simulated of edges and one cloud: give the "
            "plan of one edge."
        )
    return plan


def shares_of(plan: Plan, predictions: Predictions, manifest: Manifest) -> tuple[float, ...]:
    """Shares of the samples that leave at each active exit of an edge, in their order, then of those that go on.

    An InputError for predictions of another bundle, or of no samples.
    """
    header = predictions.header
    if header.source != f"bundle:{manifest.id}":
        raise InputError(
            f"predictions: of {header.model}, {header.source[:24]}…, and the bundle is {manifest.model}, "
            f"{manifest.id[:16]}…. Measure its own: offramp predict BUNDLE --split {header.split}"
        )
    if not len(predictions):
        raise InputError("predictions: no samples, and so nothing says which of them go on. Measure some.")
    try:
        check_route(predictions, plan)
    except InputError:  # of the network in one piece: a codec changes what the cloud says, and not who asks it
        plan = plan.but(codec="fp32")
    answers = route(predictions, plan)
    local = [float(np.mean(answers.exit == active.exit)) for active in plan.active]
    return (*local, max(0.0, 1 - sum(local)))


def shares_said(plan: Plan, onward: float) -> tuple[float, ...]:
    """The same, where the share that goes on is all that is known; InputError where the plan has several exits."""
    if len(plan.active) > 1:
        raise InputError(
            f"onward {onward:g}: the plan has {len(plan.active)} exits, and where the others leave is not said by it. "
            "Give predictions: offramp predict BUNDLE, and --predictions FILE"
        )
    return (*([1 - onward] if plan.active else []), onward if plan.active else 1.0)


def ways_of(plan: Plan, costs: Costs, shares: tuple[float, ...]) -> tuple[Way, ...]:
    """The ways of a sample through an edge, with what each takes there; InputError for a plan that never goes on."""
    part, last = one_tier(plan).first, costs.manifest.last
    if not part.hands_on(last):
        raise InputError("plan: it answers everything at the edge, so no fleet of it needs a cloud.")
    local = [Way(share, seconds, onward=False) for share, seconds in zip(shares, costs.exits(part), strict=False)]
    return (*local, Way(shares[-1], costs.edge(part), onward=True, link=costs.way(part)))


@dataclass(frozen=True)
class Bound:
    """What is wanted: so many percent of the whole answers within so many seconds. A refused sample is late."""

    seconds: float
    percent: float = 95.0

    def __post_init__(self) -> None:
        if not 0 < self.percent <= 100:
            raise InputError(f"percentile {self.percent:g}: expected a number above 0, at most 100.")

    def holds(self, simulated: Simulated) -> bool:
        """Whether what was simulated keeps it."""
        return Simulated.percentile(simulated.whole, self.percent) <= self.seconds


def fewest(fleet: Fleet, replica: Replica, balance: Balance = "connection") -> int:
    """Replicas below which work piles up, whatever the bound; InputError where these are more than are looked at.

    Where one edge asks more than a replica answers and stays with it, a replica for each edge is the most there is.
    """
    if not (math.isfinite(replica.most) and fleet.onward):
        return 1
    if balance == "request":
        needed = math.ceil(fleet.onward / replica.most)
    else:
        needed = math.ceil(fleet.edges / max(1, math.floor(fleet.edges * replica.most / fleet.onward)))
    if needed > MOST:
        raise InputError(
            f"edges {fleet.edges}: {fleet.onward:,.0f} samples a second go on, for which {needed:,} replicas are the "
            f"least, and {MOST:,} the most that are looked at. Ask for fewer edges, or for a lower rate."
        )
    return needed


def least(
    first: int, bound: Bound, simulate: Callable[[int], Simulated], most: int = MOST
) -> tuple[int | None, Mapping[int, Simulated]]:
    """The least number of replicas, from `first` on, that keeps a bound, and what was tried.

    None where even `most` of them do not help: what is late is late elsewhere. More replicas are taken
    never to be worse, so it is looked for by doubling, then by halving what is between; `most` are tried before that.
    """
    tried: dict[int, Simulated] = {}

    def holds(replicas: int) -> bool:
        tried[replicas] = simulate(replicas)
        return bound.holds(tried[replicas])

    if not holds(first) and (most <= first or not holds(most)):
        return None, tried
    low, high = first - 1, first  # none is known to hold at `low`
    while not (bound.holds(tried[high]) if high in tried else holds(high)):
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high, {number: one for number, one in tried.items() if number < most or number == high}
