"""How a plan is asked of running nodes."""

import pytest

from offramp.artifacts.plan import Plan
from offramp.paper.trial import parameters


@pytest.mark.parametrize(
    ("plan", "asked"),
    [
        (Plan.of(2, 0.3), {"exit": 2, "threshold": 0.3, "cut": 2, "codec": "fp32"}),
        (Plan.of(2, 0.3, cut=0, codec="uint8"), {"exit": 2, "threshold": 0.3, "cut": 0, "codec": "uint8"}),
        (
            Plan.of(2, 0.3, drop_threshold=0.9),
            {"exit": 2, "threshold": 0.3, "cut": 2, "codec": "fp32", "drop_threshold": 0.9},
        ),
        (Plan.checked(active=(), cut=4, codec="uint8"), {"exit": 0, "cut": 4, "codec": "uint8"}),
    ],
)
def test_a_plan_is_asked_for_by_parameters(plan: Plan, asked: dict[str, object]) -> None:
    """Whole: an edge that starts with another plan follows this one; without an exit there is no threshold to name."""
    assert parameters(plan) == asked
    assert parameters(plan, "ab12") == asked | {"cloud_version": "ab12"}
