"""The way of a sample through a chain."""

import pytest

from offramp.artifacts.legs import reached
from offramp.artifacts.plan import Plan

LAST = 9


def part(cut: int, *exits: int) -> dict[str, object]:
    """What one tier does."""
    return {"active": [{"exit": exit_, "threshold": 0.5} for exit_ in exits], "cut": cut}


@pytest.mark.parametrize(
    ("tiers", "names"),
    [
        ({"edge": part(3, 2)}, ("edge", "cloud")),
        ({"edge": part(LAST, 2)}, ("edge",)),
        ({"device": part(3, 2), "edge": part(6, 4)}, ("device", "edge", "cloud")),
        ({"device": part(3, 2), "edge": part(LAST, 4)}, ("device", "edge")),
        ({"device": part(3, 2), "edge": part(LAST, LAST)}, ("device", "edge")),
    ],
)
def test_no_sample_comes_behind_the_network_s_end(tiers: dict[str, object], names: tuple[str, ...]) -> None:
    """A tier that runs to it hands nothing on."""
    assert reached(Plan.model_validate({"tiers": tiers}), LAST) == names
