"""The plans that an edge keeps ready, and what a link takes from its parts."""

import numpy as np
import pytest

from offramp.plan.goal import Goal
from offramp.plan.links import Over, over_links, priced
from offramp.plan.pricing import Prices
from offramp.plan.search import Scan, search
from offramp.plan.table import Crossing, Table
from on_paper import ByHand

GRID = np.array([0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0])


def test_the_parts_of_a_plan_add_up_to_its_mean(table: Table, prices: Prices) -> None:
    """What a controller makes of them over the link that they were priced on is what the planner says."""
    up = 8 / prices.costs.a_byte  # type: ignore[attr-defined]
    scan = Scan.of(table, Prices(prices.manifest, Over(ByHand(), up, up, 0.002), {}), GRID)
    for place in np.random.default_rng(3).choice(len(scan), 50, replace=False):
        found = scan.at(int(place))
        assert priced(found).mean_ms(up, up, 2.0) == pytest.approx(1000 * found.figures.mean)


def test_of_the_plans_kept_one_is_near_the_best_on_any_link(table: Table, prices: Prices) -> None:
    """Within 2 % of what the search finds there; without a link there is one that needs none; all lose little."""
    least = float(table.ends[Crossing(5, "fp32")].mean()) - 0.02
    goal = Goal(accuracy=least)
    scan = Scan.of(table, prices, GRID)
    kept = over_links(scan, table, prices, goal)
    assert 2 <= len(kept) <= 16
    assert kept[0].figures.onward == 0
    assert all(one.figures.accuracy >= least - 1e-9 for one in kept)
    for up, round_trip in ((2e5, 0.3), (1e6, 0.02), (4e7, 0.003), (1e9, 0.0003)):
        there = Prices(prices.manifest, Over(prices.costs, up, up, round_trip), {})
        best = search(Scan.of(table, there, GRID), table, there, goal)[0]
        mine = min(priced(one).mean_ms(up, up, 1000 * round_trip) for one in kept)
        assert mine <= 1000 * best.figures.mean * 1.02


def test_where_nothing_is_accurate_enough_there_are_none(table: Table, prices: Prices) -> None:
    """Nobody follows an empty list of plans: the caller says so."""
    assert over_links(Scan.of(table, prices, GRID), table, prices, Goal(accuracy=1.0)) == []
