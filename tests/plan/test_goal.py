"""Which plan is better, of few and of very many."""

import numpy as np
import pytest

from offramp.plan.goal import LOOKED_AT, Goal, front
from offramp.plan.pricing import Columns, Figures


def drawn(count: int) -> Columns:
    """Percentiles are of three paths; the few plans that are soonest answered are dear, and often wrong."""
    columns = Columns(*np.random.default_rng(4).uniform(0.0, 0.05, (len(Figures._fields), count)))
    late = np.resize([0.3, 0.2, 0.3], count)
    late[::500] = 0.1
    dear = {name: getattr(columns, name) + 1.1 - late for name in ("mean", "up")}
    return columns._replace(p95=late, accuracy=columns.accuracy + 0.9 * late, **dear)


@pytest.mark.parametrize("minimise", ["latency", "bytes", "loss"])
@pytest.mark.parametrize("deadline", [0.9, 0.25, 0.15, 0.01])
def test_the_first_is_the_best_within_the_bounds_or_else_the_nearest(minimise: str, deadline: float) -> None:
    """Of more plans than are put in order, and of which few or none are within them."""
    columns, goal = drawn(6 * LOOKED_AT), Goal(minimise, deadline=deadline)  # type: ignore[arg-type]
    first = int(goal.ranked(columns)[0])
    missed, cost = goal.missed(columns), goal.cost(columns)
    assert missed[first] == missed.min()
    assert cost[first] == cost[missed == missed.min()].min()


def test_the_order_is_that_of_all_plans_as_far_as_it_goes() -> None:
    """Bounds first, then cost."""
    columns, goal = drawn(3 * LOOKED_AT), Goal(accuracy=0.25)
    every = np.lexsort((goal.cost(columns), goal.missed(columns)))
    assert list(goal.ranked(columns)[:1000]) == list(every[:1000])


def test_the_front_is_what_no_other_beats() -> None:
    """Against a look at all pairs."""
    columns = drawn(300)
    kept = set(map(int, front(columns.mean, columns.accuracy)))
    for k in range(300):
        beaten = (columns.mean < columns.mean[k]) & (columns.accuracy > columns.accuracy[k])
        assert (k in kept) == (not beaten.any())
