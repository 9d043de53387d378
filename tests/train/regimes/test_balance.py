"""The spread of the weights over exits and over a training."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.train.regimes.balance import Balance, factors

EXITS = st.sets(st.integers(1, 9), min_size=1).map(lambda found: tuple(sorted(found)))
PROGRESS = st.floats(0, 1, exclude_max=True)


@given(EXITS, PROGRESS)
def test_even_weights_are_1_throughout(exits: tuple[int, ...], progress: float) -> None:
    """The paper's."""
    assert factors("even", exits, progress) == dict.fromkeys(exits, 1.0)


@given(EXITS, PROGRESS, st.sampled_from(["early", "late"]))
def test_early_and_late_weights_have_the_mean_of_even_ones(
    exits: tuple[int, ...], progress: float, balance: Balance
) -> None:
    """The size of a step stays what it was."""
    found = factors(balance, exits, progress)
    assert tuple(found) == exits
    assert sum(found.values()) == pytest.approx(len(exits))


def test_early_weights_fall_from_1_to_three_tenths() -> None:
    """BranchyNet's ratio between its branch and its end; late ones are their mirror image."""
    early = factors("early", (1, 5, 9), 0.0)
    assert [early[k] / early[1] for k in (1, 5, 9)] == pytest.approx([1.0, 0.65, 0.3])
    assert list(factors("late", (1, 5, 9), 0.0).values()) == pytest.approx(list(early.values())[::-1])


def test_a_fading_balance_leaves_the_end_to_the_last_exit() -> None:
    """From the others' whole weight to a tenth of it."""
    assert factors("fade", (1, 4, 9), 0.0) == {1: 1.0, 4: 1.0, 9: 1.0}
    assert factors("fade", (1, 4, 9), 0.5) == {1: pytest.approx(0.55), 4: pytest.approx(0.55), 9: 1.0}


@pytest.mark.parametrize(("progress", "local"), [(0.0, 0.0), (0.25, 0.5), (0.5, 1.0), (0.9, 1.0)])
def test_a_ramp_lets_local_exits_join_in_over_the_first_half(progress: float, local: float) -> None:
    """The last exit has its whole weight from the start."""
    assert factors("ramp", (1, 4, 9), progress) == {1: local, 4: local, 9: 1.0}
