"""Counts of what was answered."""

from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from offramp.protocol.data_plane import NOBODY, DataPlane, samples_of
from offramp.protocol.gone import GoneError
from offramp.protocol.record import Kind, Record
from offramp.protocol.served import Call
from offramp.protocol.statistics import Statistics


@pytest.fixture
def statistics() -> Statistics:
    """Nothing counted yet."""
    return Statistics()


def answered(
    statistics: Statistics, model: Any, samples: int = 1, kind: Kind = NOBODY, error: Exception | None = None
) -> None:
    """Tell it of a request."""
    with suppress(ZeroDivisionError, GoneError), Record(statistics) as record:
        record.model, record.version, record.served = model.name, model.version, record.began
        record.count({kind: samples})
        if error is not None:
            raise error


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
        answered(statistics, double, rows)
    assert counted(statistics, double) == (5, 2, 0)
    assert statistics.of(double)["inference_stats"]["success"]["ns"] > 0
    assert statistics.of(double)["last_inference"] > 1_600_000_000_000


def test_what_answered_is_told_once_something_has(statistics: Statistics, double: Any) -> None:
    """Of what is answered alone: neither of a failure nor of an answer that was left."""
    for error in (ZeroDivisionError(), GoneError(), None):
        answered(statistics, double, 1, Kind("edge", 2), error)
        answered(statistics, double, 2, Kind("cloud", 9), error)
    assert statistics.of(double)["response_stats"] == {
        "cloud: exit 9": {"success": {"count": 2}},
        "edge: exit 2": {"success": {"count": 1}},
    }


def test_a_failure_counts_as_one_and_goes_on(statistics: Statistics, double: Any) -> None:
    """Its samples were not answered."""
    answered(statistics, double, error=ZeroDivisionError())
    assert counted(statistics, double) == (0, 0, 1)
    assert statistics.of(double)["inference_stats"]["fail"]["ns"] > 0


@pytest.mark.parametrize(("inputs", "samples"), [({}, 0), ({"x": np.zeros(())}, 1), ({"x": np.zeros((3, 2))}, 3)])
def test_the_samples_of_a_model_that_does_not_say_are_those_that_came(inputs: dict[str, Any], samples: int) -> None:
    """Nothing sent is no sample, a scalar is one."""
    assert samples_of(Call(inputs)) == samples


def test_an_answer_in_parts_that_was_left_counts_as_nothing(double: Any) -> None:
    """A client that goes is no failure of the model."""
    plane = DataPlane([double], 4)
    taken = plane.stream(double, Call({"x": np.zeros((2, 2), np.float32)}))
    next(taken)
    taken.close()
    assert counted(plane.statistics, double) == (0, 0, 0)
    assert plane.statistics.metrics.read()["offramp_requests", "double", "7", "gone"] == [1]


def test_versions_of_one_name_are_counted_apart(statistics: Statistics, double: Any, make: Any) -> None:
    """They are different weights."""
    other = make()
    other.version = "8"
    answered(statistics, other, 0)
    assert counted(statistics, double) == (0, 0, 0)
    assert counted(statistics, other) == (0, 1, 0)
