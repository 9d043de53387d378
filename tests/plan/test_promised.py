"""A choice that is promised: from which candidates, and what is said of it."""

import numpy as np
import pytest

from offramp.artifacts.manifest import Manifest
from offramp.artifacts.predictions import Predictions
from offramp.errors import InputError
from offramp.exits.guarantees import digest, gaps
from offramp.plan.choose import Extent, Wanted, choose
from offramp.plan.goal import Goal, Minimised
from offramp.plan.inputs import Samples
from offramp.plan.jointly import before, costs_by, jointly, leaves
from offramp.plan.pricing import Prices
from offramp.plan.promised import promised
from offramp.plan.table import Crossing, Table
from on_paper import LAST, drawn


def test_candidates_of_each_crossing_keep_within_the_bounds(samples: Predictions, table: Table, prices: Prices) -> None:
    """No exit lies behind the cut, and none sends more than is allowed; there are cheap ones and accurate ones."""
    crossings = [Crossing(2, "fp32"), Crossing(0, "uint8"), Crossing(LAST, "fp32")]
    found = list(jointly(samples, table, prices, Goal("latency", up=200.0), crossings))
    assert {one.crossing for one in found} == set(crossings)
    for one in found:
        assert one.crossing.cut == 0 or max(one.exits, default=0) <= one.crossing.cut
        assert one.figures == one.on(prices, table).figures
        assert one.figures.up <= 200
    accuracies = [one.figures.accuracy for one in found]
    assert max(accuracies) - min(accuracies) > 0.05


@pytest.mark.parametrize("minimise", ["latency", "macs"])
def test_the_cost_that_is_searched_by_is_the_cost_of_the_plan(
    minimise: Minimised, samples: Predictions, table: Table, prices: Prices
) -> None:
    """Exits, heads that are passed and the end, as the figures have them."""
    goal, crossing = Goal(minimise), Crossing(LAST, "fp32")
    costs = costs_by(prices, goal, crossing)
    searched = leaves(table, np.zeros_like(table.scores), before(table, crossing), costs)
    for one in list(jointly(samples, table, prices, goal, [crossing]))[::7]:
        at = np.zeros(len(table.exits))
        at[[table.row(k) for k in one.exits]] = one.thresholds
        assert searched.mean(at)[0] == pytest.approx(float(goal.cost(one.figures)))


def test_what_is_deployed_says_what_was_shown_of_it(paper: Manifest, prices: Prices) -> None:
    """Of samples that the candidates were not chosen on; too few of them show nothing."""
    wanted, extent = Wanted("macs", 0.05), Extent(alone=True)
    chosen = choose(Samples(drawn(paper, 0, 2000)), prices, wanted, "margin", extent)
    calibration = drawn(paper, 1, 3000, "calibration", 10**6)
    candidate, plan = promised(chosen, wanted, Samples(calibration), 0.95, "accuracy")
    assert plan.promise is not None
    assert (plan.promise.samples, plan.promise.data_sha256) == (3000, digest(calibration))
    assert plan.model_copy(update={"promise": None}) == candidate.plan("margin")
    whole = prices.manifest.macs(LAST)
    assert candidate.figures.macs < 0.9 * whole
    laxer = promised(chosen, wanted, Samples(calibration), 0.5, "accuracy")[0]
    assert laxer.figures.macs <= candidate.figures.macs  # of less that is asked for
    population = drawn(paper, 2, 20000, "test", 10**7)
    assert gaps(population, population, plan).mean() < 0.05
    with pytest.raises(InputError, match="40 samples to calibrate on do not show it of any plan"):
        promised(chosen, wanted, Samples(calibration.rows(slice(0, 40))), 0.95, "accuracy")


def test_what_leaves_nothing_to_a_cloud_is_promised_without_one(paper: Manifest, prices: Prices) -> None:
    """Of other samples, too, it needs none: whoever deploys it has read that there is no cloud in it."""
    wanted = Wanted("latency", 0.6)
    chosen = choose(Samples(drawn(paper, 0, 2000)), prices, wanted, "margin")
    calibration = Samples(drawn(paper, 1, 3000, "calibration", 10**6))
    candidate, plan = promised(chosen, wanted, calibration, 0.95, "accuracy")
    assert not candidate.figures.onward
    assert not plan.first.hands_on(LAST)
