"""Counts of what was answered."""

from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from offramp.protocol.pool import GoneError
from offramp.protocol.served import Call
from offramp.protocol.statistics import Statistics


@pytest.fixture
def statistics() -> Statistics:
    """Nothing counted yet."""
    return Statistics()


def counted(statistics: Statistics, model: Any) -> tuple[int, int, int]:
    """Samples, successes, failures."""
    found = statistics.of(model)
    stats = found["inference_stats"]
    return found["inference_count"], stats["success"]["count"], stats["fail"]["count"]


def test_a_model_that_nobody_asked_has_answered_nothing(statistics: Statistics, double: Any) -> None:
    """Zeros, not nothing."""
    assert statistics.of(double) == {
        "name": "double",
        "version": "7",
        "last_inference": 0,
        "inference_count": 0,
        "inference_stats": {"success": {"count": 0, "ns": 0}, "fail": {"count": 0, "ns": 0}},
    }


def test_an_answer_counts_once_and_its_samples_each(statistics: Statistics, double: Any) -> None:
    """With the time it took, and when it was."""
    for rows in (2, 3):
        with statistics.measured(double, Call({"x": np.zeros((rows, 2))})):
            pass
    assert counted(statistics, double) == (5, 2, 0)
    assert statistics.of(double)["inference_stats"]["success"]["ns"] > 0
    assert statistics.of(double)["last_inference"] > 1_600_000_000_000


def test_what_answered_is_told_once_something_has(statistics: Statistics, double: Any) -> None:
    """Of what is answered alone: neither of a failure nor of an answer that was left."""
    for error in (ZeroDivisionError, GoneError, None):
        with suppress(ZeroDivisionError, GoneError), statistics.measured(double, Call({"x": np.zeros((3, 2))})) as by:
            by.update({"edge: exit 2": 1, "cloud: exit 9": 2})
            if error is not None:
                raise error
    assert statistics.of(double)["response_stats"] == {
        "cloud: exit 9": {"success": {"count": 2}},
        "edge: exit 2": {"success": {"count": 1}},
    }


def test_a_failure_counts_as_one_and_goes_on(statistics: Statistics, double: Any) -> None:
    """Its samples were not answered."""
    with pytest.raises(ZeroDivisionError), statistics.measured(double, Call({"x": np.zeros((2, 2))})):
        raise ZeroDivisionError
    assert counted(statistics, double) == (0, 0, 1)
    assert statistics.of(double)["inference_stats"]["fail"]["ns"] > 0


@pytest.mark.parametrize(("inputs", "samples"), [({}, 0), ({"x": np.zeros(())}, 1)])
def test_an_answer_to_no_batch_counts_too(
    statistics: Statistics, double: Any, inputs: dict[str, Any], samples: int
) -> None:
    """Nothing sent is no sample, a scalar is one."""
    with statistics.measured(double, Call(inputs)):
        pass
    assert counted(statistics, double) == (samples, 1, 0)


def test_an_answer_in_parts_that_was_left_counts_as_nothing(statistics: Statistics, double: Any) -> None:
    """A client that goes is no failure of the model."""

    def parts() -> Any:
        with statistics.measured(double, Call({"x": np.zeros((2, 2))})):
            yield 1
            yield 2

    taken = parts()
    next(taken)
    taken.close()
    assert counted(statistics, double) == (0, 0, 0)


def test_versions_of_one_name_are_counted_apart(statistics: Statistics, double: Any, make: Any) -> None:
    """They are different weights."""
    other = make()
    other.version = "8"
    with statistics.measured(other, Call({})):
        pass
    assert counted(statistics, double) == (0, 0, 0)
    assert counted(statistics, other) == (0, 1, 0)
