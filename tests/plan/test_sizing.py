"""How many replicas keep a bound, and which ways a plan's samples go."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("simpy", reason="simpy is not installed")

from made_up_profile import made_up_profile
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.artifacts.profile import LinkProfile
from offramp.errors import InputError
from offramp.exits.evaluation import route
from offramp.link.shape import LinkShape
from offramp.plan.cost import Costs
from offramp.plan.fleet import Fleet, Simulated, Way, simulate
from offramp.plan.replica import Replica
from offramp.plan.service import Service
from offramp.plan.sizing import Bound, fewest, least, shares_of, shares_said, ways_of


def made_up(seconds: float) -> Simulated:
    """As if all answers took so long."""
    return Simulated(np.full(20, seconds), np.full(20, seconds), 0.5, 1.0, np.ones(20, np.int64))


@given(st.integers(1, 300), st.integers(1, 300))
def test_the_least_that_keeps_a_bound_is_found(first: int, needed: int) -> None:
    """Whatever is begun with; few numbers are tried."""
    found, tried = least(first, Bound(1.0), lambda n: made_up(0.5 if n >= needed else 2.0))
    assert found == max(first, needed)
    assert len(tried) <= 2 * 10
    assert min(tried) == first


def test_a_bound_that_nothing_keeps_is_said() -> None:
    """The most is looked at before any between."""
    found, tried = least(3, Bound(1.0), lambda n: made_up(2.0), most=20)
    assert found is None
    assert sorted(tried) == [3, 20]


def test_refused_samples_are_late() -> None:
    """Six of a hundred are too many for 95 %."""
    whole = np.full(100, 0.5)
    whole[:6] = math.inf
    assert not Bound(1.0).holds(Simulated(whole, whole, 0.5, 1.0, np.ones(1, np.int64)))
    whole[0] = 0.5
    assert Bound(1.0).holds(Simulated(whole, whole, 0.5, 1.0, np.ones(1, np.int64)))


def test_fewer_than_the_work_needs_are_not_tried() -> None:
    """At 1,000 samples a second of a replica, 2,500 need three."""
    replica = Replica(Service(0.0, {1: 0.001}), batch=1, cores=2)
    assert fewest(Fleet(100, 25, (Way(1.0, 0, onward=True),)), replica) == 3
    assert fewest(Fleet(100, 25, (Way(1.0, 0, onward=True),)), replica, "request") == 3
    assert fewest(Fleet(1, 1, (Way(1.0, 0, onward=True),)), Replica(Service(0.0, {1: 0.0}), cores=2)) == 1


def test_edges_that_stay_with_a_replica_are_not_spread_evenly() -> None:
    """At 40 samples a second of an edge and 100 of a replica, one bears two edges: seven need four."""
    replica, fleet = Replica(Service(0.0, {1: 0.01}), batch=1, cores=2), Fleet(7, 40, (Way(1.0, 0, onward=True),))
    assert (fewest(fleet, replica), fewest(fleet, replica, "request")) == (4, 3)
    assert [fleet.busiest(3, balance) for balance in ("connection", "request")] == [120, pytest.approx(280 / 3)]
    assert fewest(Fleet(2, 500, (Way(1.0, 0, onward=True),)), replica) == 2
    with pytest.raises(InputError, match="edges 9000: 360,000 samples a second go on, for which 4,500 replicas are"):
        fewest(Fleet(9000, 40, (Way(1.0, 0, onward=True),)), replica)


def test_more_edges_need_more_replicas() -> None:
    """In proportion, and a little less: many edges come more evenly."""
    replica, bound = Replica(Service(0.001, {1: 0.004})), Bound(0.02)
    needed = []
    for edges in (100, 400):
        fleet = Fleet(edges, 2.0, (Way(1.0, 0, onward=True),))
        found, _ = least(fewest(fleet, replica), bound, lambda n, f=fleet: simulate(f, replica, n, requests=2_000))
        needed.append(found)
    few, many = needed
    assert few is not None
    assert many is not None
    assert few + 1 < many <= 4 * few


PLAN = Plan.of(3, 0.3, codec="uint8")


def test_shares_are_those_of_the_evaluation(predictions: Predictions, bundle: Bundle) -> None:
    """Of each exit, then of what goes on; those of another network, or of no samples, say nothing of it."""
    plan = Plan.checked(active=[{"exit": 2, "threshold": 0.2}, {"exit": 4, "threshold": 0.3}], cut=4, codec="uint8")
    shares, answers = shares_of(plan, predictions, bundle.manifest), route(predictions, plan.but(codec="fp32"))
    assert shares == pytest.approx([(answers.exit == k).mean() for k in (2, 4, 9)])
    assert min(shares) > 0
    other = bundle.manifest.model_copy(update={"model": "other"})
    with pytest.raises(InputError, match=r"predictions: of mem, bundle:.*, and the bundle is other, "):
        shares_of(plan, predictions, other)
    with pytest.raises(InputError, match="predictions: no samples"):
        shares_of(plan, predictions.rows(slice(0)), bundle.manifest)


def test_a_share_that_is_said_is_of_a_plan_with_one_exit() -> None:
    """Without an exit all goes on; with several nobody knows where the rest leaves."""
    assert shares_said(PLAN, 0.25) == (0.75, 0.25)
    assert shares_said(Plan.checked(active=(), cut=3), 0.25) == (1.0,)
    several = Plan.checked(active=[{"exit": 2, "threshold": 0.2}, {"exit": 4, "threshold": 0.3}], cut=4)
    with pytest.raises(InputError, match="the plan has 2 exits"):
        shares_said(several, 0.25)


def test_ways_cost_what_the_planner_says(bundle: Bundle) -> None:
    """One that leaves at its exit, and one that goes on over the link."""
    costs = Costs.of(bundle.manifest, made_up_profile(bundle), LinkProfile.stated(LinkShape.parse("wifi")))
    local, onward = ways_of(PLAN, costs, (0.7, 0.3))
    assert (local.share, local.onward, local.edge) == (0.7, False, costs.exits(PLAN.first)[0])
    assert (onward.share, onward.onward, onward.edge) == (0.3, True, costs.edge(PLAN.first))
    assert onward.link == costs.way(PLAN.first)
    with pytest.raises(InputError, match="answers everything at the edge"):
        ways_of(Plan.of(3, 0.3, cut=9), costs, (0.7, 0.3))
    chain = Plan.model_validate({"tiers": {"device": {"active": [], "cut": 2}, "edge": {"active": [], "cut": 3}}})
    with pytest.raises(InputError, match="it has the tiers device, edge"):
        ways_of(chain, costs, (0.7, 0.3))
