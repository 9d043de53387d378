"""The rows beside a choice, by their authors' rules."""

import numpy as np
import pytest

from offramp.plan.baselines import Jpeg, Row, baselines, edgent
from offramp.plan.goal import Goal
from offramp.plan.pricing import Finish, Prices
from offramp.plan.search import Scan, search
from offramp.plan.table import Crossing, Table
from on_paper import ByHand

GRID = np.array([0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0])
PIXELS, LOCAL = Crossing(0, "uint8"), Crossing(5, "fp32")


def rows(table: Table, prices: Prices, goal: Goal, jpeg: Jpeg | None = None) -> dict[str, Row]:
    return {row.name.partition(":")[0]: row for row in baselines(table, prices, goal, GRID, jpeg)}


def test_none_of_them_is_better_than_the_choice(table: Table, prices: Prices) -> None:
    """Of those that lose as little and can be deployed; the oracle is below all."""
    whole = float(table.ends[LOCAL].mean())
    goal = Goal(accuracy=whole - 0.02)
    scan = Scan.of(table, prices, GRID)
    best = search(scan, table, prices, goal)[0]
    found = rows(table, prices, goal)
    assert set(found) == {
        "everything at the edge", "everything in the cloud, pixels", "Neurosurgeon", "the paper",
        "BranchyNet", "oracle",
    }  # fmt: skip
    for row in found.values():
        if row.candidate is not None and goal.met(row.figures):
            assert best.figures.mean <= row.figures.mean + 1e-12
    assert found["oracle"].candidate is None
    assert found["oracle"].figures.mean <= best.figures.mean
    assert found["oracle"].figures.accuracy >= best.figures.accuracy


def test_neurosurgeon_cuts_where_it_is_fastest_and_nobody_leaves(table: Table, prices: Prices) -> None:
    """By hand: the image takes 1.48 ms on the way and 0.6 ms else; the edge alone 5.25 ms."""
    for a_byte, cut in ((1e-5, 0), (1e-3, 5)):
        there = Prices(prices.manifest, ByHand(a_byte, 1e-4), {})
        found = rows(table, there, Goal())["Neurosurgeon"].candidate
        assert found is not None
        assert (found.exits, found.crossing.cut) == ((), cut)


def test_edgent_takes_the_latest_exit_that_is_in_time(table: Table, prices: Prices) -> None:
    """Exit k takes k + 0.25 ms; and where nothing is in time, it is said."""
    assert edgent(table, prices, 0.1)[0].exits == ()
    found, remark = edgent(table, prices, 0.0034)
    assert (found.exits, found.thresholds, remark) == ((3,), (1.0,), "")
    assert edgent(table, prices, 1e-4)[1] == "misses the deadline"


def test_jpeg_is_pixels_with_fewer_bytes_and_no_plan_of_an_edge(table: Table, prices: Prices) -> None:
    """And says what to run in its place."""
    row = rows(table, prices, Goal(), Jpeg(bytes=40, seconds=1e-5, accuracy=0.5))["everything in the cloud, JPEG"]
    pixels = rows(table, prices, Goal())["everything in the cloud, pixels"]
    assert row.candidate is None
    assert row.remark.endswith("(serve edge --cut 5)")
    assert row.figures.mean == pytest.approx(pixels.figures.mean - (148 - 40) * 1e-5)


def test_a_cascade_pays_for_the_other_network_where_it_is_asked(table: Table, prices: Prices) -> None:
    """The image crosses as pixels, and the other's seconds and multiply-adds stand in for the cloud's own."""
    way = Crossing(0, "uint8", "other")
    both = table.with_end(way, np.ones(len(table), np.bool_))
    there = Prices(prices.manifest, prices.costs, {"other": Finish(cloud=0.05, macs=7000)})
    row = rows(both, there, Goal(accuracy=0.9))["cascade of two models"]
    assert row.candidate is not None
    assert row.candidate.crossing == way
    (exit_,) = row.candidate.exits
    macs = prices.manifest.macs(exit_, (exit_,)) + row.figures.onward * 7000
    assert row.figures.macs == pytest.approx(macs)
    assert row.figures.cloud == pytest.approx(row.figures.onward * 0.05)
