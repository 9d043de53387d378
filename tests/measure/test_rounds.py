"""Things timed in turn: what is steady is given, what is not is tried again and then refused."""

from itertools import chain, count, repeat

import pytest

from offramp.errors import InputError, UnsteadyError
from offramp.measure.rounds import block, settle


def test_a_stall_does_not_show_and_a_drift_is_refused() -> None:
    """One bad round of eight leaves the median where it is; what grows is named, with its times and the bound."""
    stalled = chain([1.0, 9.0], repeat(1.0))
    assert settle({"steady": lambda: 1.0, "stalled": stalled.__next__}, 8)["stalled"].median == 1.0
    growing = (2.0**turn for turn in count(1))
    message = r"profile: growing varied too much to be written: .* 1 of 2 times are above it\..*--rounds"
    with pytest.raises(UnsteadyError, match=message):
        settle({"steady": lambda: 1.0, "growing": growing.__next__}, 8)
    assert next(growing) == 2.0 ** (3 * 8 + 1)  # it was given three times the rounds


def test_what_settles_later_is_judged_by_its_last_rounds() -> None:
    """What was restless at first is run again, alone."""
    times, calls = chain(map(float, range(4, 12)), repeat(2.0)), count()
    found = settle({"late": times.__next__, "steady": lambda: next(calls) * 0 + 1.0}, 8)
    assert found["late"].median == 2.0
    assert next(calls) == 8
    with pytest.raises(InputError, match="at least 4"):
        settle({"any": lambda: 1.0}, 3)


def test_a_block_is_the_mean_of_its_runs() -> None:
    """It ends once it has had both its runs and its seconds, behind one that does not count."""
    runs = count()
    assert block(lambda: next(runs), runs=5, seconds=0.0) > 0
    assert next(runs) == 6
