"""The few of many plans that are best on some link."""

import numpy as np
import pytest

from offramp.artifacts.choices import Priced
from offramp.artifacts.plan import Plan
from offramp.plan.envelope import envelope, use_of


def some(count: int) -> list[Priced]:
    """So many plans drawn by lot, one of which needs no link; what is less accurate is faster."""
    drawn = np.random.default_rng(1)
    plans = [Priced(plan=Plan.of(3, 0.3, cut=9), accuracy=0.95, edge_ms=40.0, onward=0.0)]
    for _ in range(count):
        onward, accuracy = drawn.random(), 0.9 + 0.1 * drawn.random()
        plans.append(
            Priced(
                plan=Plan.of(3, 0.3),
                accuracy=accuracy,
                edge_ms=30 * (1 - onward) * drawn.random() + 100 * (accuracy - 0.9),
                onward=onward,
                bytes_up=10 ** drawn.uniform(2.5, 4.5),
                bytes_down=200,
                cloud_ms=5 * drawn.random(),
            )
        )
    return plans


@pytest.mark.parametrize("most", [3, 6, 16])
def test_what_is_left_out_is_missed_little(most: int) -> None:
    """The least use of the link is first, nothing is lost by more than a little, less by more plans."""
    plans = some(300)
    kept = envelope(plans, most=most)
    uses = [use_of(plan) for plan in kept]
    assert len(kept) <= most
    assert uses == sorted(uses)
    assert uses[0] == 0
    assert max(plan.accuracy for plan in kept) == max(plan.accuracy for plan in plans)
    lost = []
    for rate, trip in ((1e5, 20), (1e6, 5), (1e7, 1), (1e7, 60), (1e9, 0.3)):
        best, found = (min(plan.mean_ms(rate, rate, trip) for plan in some) for some in (plans, kept))
        lost.append(found / best - 1)
    assert max(lost) < {3: 1.5, 6: 0.5, 16: 0.05}[most]


def test_with_a_target_the_accurate_ones_that_meet_it_stay() -> None:
    """On a link of the grid or near it."""
    plans = some(300)
    kept = envelope(plans, within=25.0)
    for rate, trip in ((1e6, 5), (1e7, 1), (1e9, 0.3)):
        best, found = (
            max((plan.accuracy for plan in some if plan.mean_ms(rate, rate, trip) <= 25.0), default=0.0)
            for some in (plans, kept)
        )
        assert found > best - 0.01
