"""How many replicas a fleet needs: the ways of its samples by a plan, and the least number that keeps a bound.

Takes a plan, costs, predictions or a share; gives what `plan.fleet` simulates. Pure, and all it gives is predicted.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.errors import InputError
from offramp.exits.evaluation import check_route, route
from offramp.plan.cost import Costs
from offramp.plan.fleet import Fleet, Simulated, Way
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


def shares_of(plan: Plan, predictions: Predictions) -> tuple[float, ...]:
    """Shares of the samples that leave at each active exit of an edge, in their order, then of those that go on."""
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


def fewest(fleet: Fleet, replica: Replica) -> int:
    """Replicas below which work piles up, whatever the bound."""
    return max(1, math.ceil(fleet.onward / replica.most)) if math.isfinite(replica.most) else 1


def least(
    first: int, bound: Bound, simulate: Callable[[int], Simulated], most: int = MOST
) -> tuple[int | None, Mapping[int, Simulated]]:
    """The least number of replicas, from `first` on, that keeps a bound, and all that was tried.

    None where even `most` of them do not help: what is late is late elsewhere. More replicas are taken
    never to be worse, so it is looked for by doubling, then by halving what is between.
    """
    tried: dict[int, Simulated] = {}

    def holds(replicas: int) -> bool:
        tried[replicas] = simulate(replicas)
        return bound.holds(tried[replicas])

    low, high = first - 1, first  # none is known to hold at `low`
    while not holds(high):
        if high >= most:
            return None, tried
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high, tried
