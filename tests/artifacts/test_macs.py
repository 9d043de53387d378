"""What a sample costs that leaves at an exit."""

import pytest

from offramp.artifacts.macs import macs_until

STAGES = {1: 100, 2: 200, 3: 400}
HEADS = {1: 1, 2: 2, 3: 4}


@pytest.mark.parametrize(
    ("exit_", "active", "macs"),
    [(1, (1, 2), 101), (2, (1,), 303), (3, (1, 2), 707), (2, (), 302), (2, (2,), 302), (1, (3,), 101)],
)
def test_leaving_costs_the_stages_and_heads_passed_and_the_head_left_at(
    exit_: int, active: tuple[int, ...], macs: int
) -> None:
    """Later ones are never run, and no head counts twice."""
    assert macs_until(exit_, STAGES, HEADS, active) == macs
