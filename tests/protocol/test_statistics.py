"""Counts of what was answered."""

import json
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.errors import OfframpError
from offramp.protocol.data_plane import NOBODY, DataPlane, samples_of
from offramp.protocol.gone import GoneError
from offramp.protocol.parts import Parts, parts_of
from offramp.protocol.record import Kind, Record, Stage
from offramp.protocol.served import Call
from offramp.protocol.statistics import NEVER, Statistics


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
        "execution_count": 0,
        "inference_stats": dict.fromkeys(("success", "fail", *Parts._fields, "cache_hit", "cache_miss"), NEVER),
        "batch_stats": [],
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


def as_perf_analyzer_reads(stats: dict[str, Any]) -> dict[str, int]:
    """What its HTTP reader takes of a model (ParseStatistics in client_backend/triton): a gap ends the program."""
    found = {name: stats[name] for name in ("inference_count", "execution_count")}
    for part in ("success", *Parts._fields, "cache_hit", "cache_miss"):
        found |= {f"{part} {what}": stats["inference_stats"][part][what] for what in ("count", "ns")}
    assert all(type(number) is int and number >= 0 for number in found.values())
    assert all(type(stats[name]) is str for name in ("name", "version"))
    return found


def spent(
    statistics: Statistics, model: Any, rows: int, batch: int | None, *stages: tuple[Stage, float, float]
) -> None:
    """Tell it of a request of some rows that was served from second 1 to second 9, and went through these."""
    with Record(statistics) as record:
        record.model, record.version, record.served, record.answered = model.name, model.version, 1.0, 9.0
        record.batch = batch
        record.stages += stages
        record.count({NOBODY: rows})


def test_the_parts_of_an_answer_add_up_to_its_time(statistics: Statistics, double: Any) -> None:
    """Checked for a second, two in the queue, four computed, one until its answer was whole; it came before, too."""
    way: tuple[tuple[Stage, float, float], ...] = (
        ("wait", 0, 0.5), ("decode", 0.5, 1), ("queue", 2, 4), ("compute", 4, 8), ("respond", 9, 10),
    )  # fmt: skip
    for _ in range(2):
        spent(statistics, double, 3, None, *way)
    stats = statistics.of(double)["inference_stats"]
    seconds = {"success": 8, "queue": 2, "compute_input": 1, "compute_infer": 4, "compute_output": 1}
    assert {part: stats[part] for part in seconds} == {
        part: {"count": 2, "ns": 2_000_000_000 * value} for part, value in seconds.items()
    }


@given(
    st.lists(st.floats(0, 10), min_size=2, max_size=2).map(sorted),
    st.lists(st.tuples(st.sampled_from(["local", "queue", "compute", "upstream"]), st.floats(0, 5)), max_size=5),
    st.floats(0, 3),
)
def test_no_time_is_left_over_or_below_zero(served: list[float], told: list[tuple[Stage, float]], first: float) -> None:
    """Whatever it went through, one thing after another, and whatever of that the answer did not wait for."""
    record = Record()
    record.served, record.answered = served
    at = served[0] + first
    for stage, seconds in told:
        record.stages.append((stage, at, at + seconds))
        at += seconds
    parts = parts_of(record)
    assert min(parts) >= -1e-12
    assert sum(parts) == pytest.approx(served[1] - served[0], abs=1e-9)


def test_requests_that_were_run_as_one_batch_are_one_execution(statistics: Statistics, double: Any) -> None:
    """It is counted with the request that it was counted by, whose time it took; alone each is its own."""
    for rows, batch in ((2, 5), (3, 0), (4, None), (5, None)):
        spent(statistics, double, rows, batch, ("queue", 2, 3), ("compute", 3, 8))
    told = statistics.of(double)
    assert (told["inference_count"], told["execution_count"]) == (14, 3)
    ran = {"compute_input": (1, 10**9), "compute_infer": (1, 5 * 10**9), "compute_output": (1, 10**9)}
    assert told["batch_stats"] == [
        {"batch_size": size, **{part: {"count": many * count, "ns": many * ns} for part, (count, ns) in ran.items()}}
        for size, many in ((4, 1), (5, 2))
    ]


def test_perf_analyzer_finds_every_member(double: Any) -> None:
    """Of a model that nobody has asked yet as well; what is failed counts in no part."""
    plane = DataPlane([double], 4)
    assert set(as_perf_analyzer_reads(plane.statistics.of(double)).values()) == {0}
    for parameters in ({}, {}, {"fail": "ours"}):
        with suppress(OfframpError):
            plane.infer(double, Call({"x": np.zeros((2, 2), np.float32)}, parameters))
    (told,) = json.loads(json.dumps(plane.told("double", "")))["model_stats"]
    found = as_perf_analyzer_reads(told)
    assert (found["inference_count"], found["execution_count"], found["success count"]) == (4, 2, 2)
    assert [found[f"{part} count"] for part in Parts._fields] == [2] * 4  # unequal, they are an error there
    assert sum(found[f"{part} ns"] for part in Parts._fields) == pytest.approx(found["success ns"], abs=8)
