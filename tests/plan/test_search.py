"""The search against walks through every sample, every plan, and the evaluation that nodes are held against."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from offramp.artifacts.manifest import Manifest
from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.exits.evaluation import route
from offramp.plan.candidate import Candidate
from offramp.plan.goal import Goal
from offramp.plan.pricing import Prices, figures_of
from offramp.plan.search import Scan, at_the_edge, chain, search
from offramp.plan.table import Crossing, Table, bins

GRID = np.array([0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0])


@pytest.fixture(scope="module")
def scan(table: Table, prices: Prices) -> Scan:
    """All plans with one threshold."""
    return Scan.of(table, prices, GRID)


def walked(samples: Predictions, manifest: Manifest, prices: Prices, plan: Plan) -> tuple[float, float, float, float]:
    """Accuracy, mean and 95th percentile of seconds, and multiply-adds, a sample at a time, as `route` answers it."""
    answers, part, costs = route(samples, plan), plan.first, prices.costs
    exits = tuple(one.exit for one in part.active)
    seconds_at = dict(zip(exits, costs.exits(part), strict=True))
    macs_at = {exit_: manifest.macs(exit_, exits) for exit_ in (*exits, 5)}
    seconds_at[5] = costs.local(part) if part.cut == 5 else costs.onward(part)
    if part.cut == 0 and exits:  # computed again
        macs_at[5] = macs_at[exits[-1]] + manifest.macs(5)
    seconds = np.sort([seconds_at[int(exit_)] for exit_ in answers.exit])
    macs = np.mean([macs_at[int(exit_)] for exit_ in answers.exit])
    late = float(seconds[int(np.ceil(0.95 * len(seconds))) - 1])
    return float((answers.label == samples.labels).mean()), float(seconds.mean()), late, float(macs)


def test_every_plan_of_the_scan_is_what_the_evaluation_says(
    scan: Scan, table: Table, samples: Predictions, paper: Manifest, prices: Prices
) -> None:
    """Accuracy, latencies and multiply-adds of a tenth of the plans, drawn at random; bytes are of who goes on."""
    for place in np.random.default_rng(1).choice(len(scan), len(scan) // 10, replace=False):
        found = scan.at(int(place))
        # The image as 8-bit pixels is the image: the evaluation has no route of it, and the same answers by fp32.
        crossing = Crossing(0, "fp32") if found.crossing.cut == 0 else found.crossing
        as_fp32 = replace(found, crossing=crossing)
        figures = figures_of(prices, with_image(table), found.exits, found.thresholds, crossing)
        by_hand = walked(samples, paper, prices, as_fp32.plan())
        assert (figures.accuracy, figures.mean, figures.p95, figures.macs) == pytest.approx(by_hand)
        assert (found.figures.accuracy, found.figures.macs) == pytest.approx((by_hand[0], by_hand[3]))
        assert found.figures.up == pytest.approx(found.figures.onward * bytes_up(found, prices))


def with_image(table: Table) -> Table:
    return table.with_end(Crossing(0, "fp32"), table.ends[Crossing(5, "fp32")])


def bytes_up(found: Candidate, prices: Prices) -> float:
    return prices.costs.bytes_up(found.plan().first) if found.crossing.cut != 5 else 0


def test_what_the_scan_leaves_out_is_beaten(scan: Scan, table: Table, prices: Prices) -> None:
    """Of every set, threshold and crossing, none is better in accuracy and mean latency than all that were kept."""
    kept = [np.round((scan.figures.accuracy[k], scan.figures.mean[k]), 12) for k in range(len(scan))]
    best = np.array(kept)
    for exits in ((), (2,), (1, 4), (1, 2, 3, 4)):
        for way, threshold in product(table.ends, GRID):
            if way.cut and exits and way.cut < exits[-1]:
                continue
            one = figures_of(prices, table, exits, [threshold] * len(exits), way)
            assert ((best[:, 0] >= one.accuracy - 1e-9) & (best[:, 1] <= one.mean + 1e-9)).any()
    assert len(scan.sets) == 16


def test_scan_and_single_plan_agree(scan: Scan, table: Table, prices: Prices) -> None:
    """To the last figure, cut 0 with heads before it included."""
    for place in np.random.default_rng(2).choice(len(scan), 40, replace=False):
        found = scan.at(int(place))
        assert found.figures == pytest.approx(figures_of(prices, table, found.exits, found.thresholds, found.crossing))


@pytest.mark.parametrize("exits", [(1, 3), (1, 2, 4)])
def test_thresholds_of_their_own_are_close_to_every_choice_tried(
    table: Table, prices: Prices, exits: tuple[int, ...]
) -> None:
    """Within 2 % of the cheapest of all combinations of a coarse grid that lose at most a point."""
    whole = float(table.ends[Crossing(5, "fp32")].mean())
    goal, least = Goal("macs", accuracy=whole - 0.01), np.inf
    only = Table(table.exits, 5, table.scores, table.right, {Crossing(5, "fp32"): table.ends[Crossing(5, "fp32")]})
    for thresholds in product(GRID, repeat=len(exits)):
        one = figures_of(prices, only, exits, thresholds, Crossing(5, "fp32"))
        least = min(least, one.macs) if goal.met(one) else least
    rows = [only.row(k) for k in exits]
    few = Table(exits, 5, only.scores[rows], only.right[rows], only.ends)
    scan = Scan.of(few, prices, GRID)
    best = search(scan, few, prices, goal)[0]
    one_for_all = scan.at(int(goal.ranked(scan.figures)[0]))
    assert goal.met(best.figures)
    assert least * (1 - 1e-9) <= best.figures.macs <= least * 1.02
    assert best.figures.macs <= one_for_all.figures.macs


def test_labels_of_the_samples_move_no_sample(samples: Predictions, paper: Manifest, prices: Prices) -> None:
    """With the labels shuffled every plan sends the same samples the same way: only accuracies differ."""
    shuffled = Predictions(samples.header, samples.index, np.roll(samples.labels, 7), samples.logits)
    one, other = (Scan.of(Table.of(each, paper), prices, GRID) for each in (samples, shuffled))
    columns = {tuple(map(int, row)): k for k, row in enumerate(other.which)}
    both = [(k, columns[key]) for k, row in enumerate(one.which) if (key := tuple(map(int, row))) in columns]
    assert len(both) > 400
    for mine, theirs in both[::7]:
        assert one.figures.mean[mine] == other.figures.mean[theirs]
    assert not np.array_equal(one.figures.accuracy[:100], other.figures.accuracy[:100])


def test_a_lossy_crossing_has_its_own_accuracy(samples: Predictions, paper: Manifest) -> None:
    """And is no choice where nobody has measured it."""
    assert Crossing(3, "uint8") not in Table.of(samples, paper).ends
    header = samples.header.model_copy(update={"cut": 3, "codec": "uint8"})
    wrong = Predictions(header, samples.index, samples.labels, {**samples.logits, 5: -samples.logits[5]})
    ends = Table.of(samples, paper, [wrong]).ends
    assert ends[Crossing(3, "uint8")].mean() < 0.5 < ends[Crossing(3, "fp32")].mean()


def test_a_goal_that_nothing_meets_gives_the_nearest(scan: Scan, table: Table, prices: Prices) -> None:
    """The fastest, where the deadline is short of all."""
    goal = Goal(deadline=1e-4)
    best = search(scan, table, prices, goal)[0]
    assert not goal.met(best.figures)
    assert best.figures.p95 == scan.figures.p95.min()


def test_a_chain_falls_in_accuracy_and_cost_together(scan: Scan, table: Table, prices: Prices) -> None:
    """From strict to lax, and no plan on it is beaten by another."""
    plans = chain(scan, table, prices, Goal(), np.linspace(0.6, 0.9, 5))
    accuracies = [one.figures.accuracy for one in plans]
    costs = [one.figures.mean for one in plans]
    assert len(plans) > 10
    assert accuracies == sorted(accuracies, reverse=True)
    assert costs == sorted(costs, reverse=True)


def test_a_score_equal_to_a_threshold_stays() -> None:
    """As at a running exit."""
    assert list(bins(np.array([0.0, 0.1, 0.3, 0.9]), np.array([0.1, 0.3, 0.5]))) == [0, 1, 2, 3]


def test_a_plan_that_leaves_nothing_to_a_cloud_needs_none(table: Table, prices: Prices) -> None:
    """Whoever is told so serves it without one: the rest, if there ever is any, runs to the end at the edge."""
    sends = Candidate.of(prices, table, (3,), (1.0,), Crossing(3, "fp32"))
    some = Candidate.of(prices, table, (3,), (0.05,), Crossing(3, "fp32"))
    assert not sends.figures.onward
    first = at_the_edge(sends, table, prices)
    assert first.crossing == Crossing(5, "fp32")
    assert first.figures.mean == pytest.approx(sends.figures.mean)
    assert not first.plan().first.hands_on(5)
    assert at_the_edge(some, table, prices) is some
    assert at_the_edge(first, table, prices) is first
    assert (sends.brief(5), first.brief(5)) == ("3:1 → cut 3 fp32", "3:1 → end at the edge")
    assert sends.said(5) == "exit 3 at T = 1; the rest cut at 3 in fp32"
    assert first.said(5) == "exit 3 at T = 1; the rest run to the end at the edge"
