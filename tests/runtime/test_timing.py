"""Timing two runtimes, and what their figures say."""

from importlib.util import find_spec
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.engine import Engine, Runtime
from offramp.runtime.timing import GAIN, Timing, faster, measure, served

needs_openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")
milliseconds = st.floats(1e-3, 1e4)
runtimes = st.sampled_from(("onnxruntime", "openvino"))
rows = st.lists(st.tuples(milliseconds, milliseconds), min_size=1, max_size=3)


def timed(found: list[tuple[float, float]]) -> list[Timing]:
    """Figures of both runtimes by batch size."""
    return [Timing(position, *row) for position, row in enumerate(found)]


def gain(found: list[tuple[float, float]]) -> float:
    """How many times faster OpenVINO is, all sizes alike."""
    return float(prod(first / second for first, second in found) ** (1 / len(found)))


@pytest.mark.parametrize(
    ("found", "before", "expected"),
    [
        ([(1.0, 0.5), (10.0, 5.0)], "onnxruntime", "openvino"),
        ([(1.0, 1.0), (10.0, 10.0)], "onnxruntime", "onnxruntime"),
        ([(1.0, 1.0), (10.0, 10.0)], "openvino", "openvino"),
        ([(1.0, 0.95), (10.0, 9.5)], "onnxruntime", "onnxruntime"),  # gains, but 5 % is noise
        ([(1.0, 1.05), (10.0, 10.5)], "openvino", "openvino"),  # loses, but 5 % is noise
        ([(1.0, 1.12), (10.0, 11.2)], "openvino", "onnxruntime"),
        ([(1.1, 1.0), (11.1, 10.0)], "onnxruntime", "openvino"),
        ([(1.0, 1.1), (10.0, 3.3)], "onnxruntime", "openvino"),  # batch 32 weighs as much as batch 1
        ([(1.0, 1.5), (10.0, 9.0)], "onnxruntime", "onnxruntime"),
        ([], "openvino", "openvino"),
    ],
)
def test_the_other_runtime_is_taken_only_where_it_gains_clearly(
    found: list[tuple[float, float]], before: Runtime, expected: Runtime
) -> None:
    """A tenth over all batch sizes together, in either direction."""
    assert faster(timed(found), before) == expected


@given(rows, st.floats(1e-2, 1e2), runtimes)
def test_the_choice_does_not_depend_on_the_unit_or_the_order(
    found: list[tuple[float, float]], unit: float, before: Runtime
) -> None:
    """Figures decide by their ratios alone."""
    gained = gain(found)
    if min(abs(gained / GAIN - 1), abs(gained * GAIN - 1)) < 1e-6:
        return  # rounding decides
    scaled = [(first * unit, second * unit) for first, second in found]
    assert faster(timed(found), before) == faster(timed(scaled), before) == faster(timed(found)[::-1], before)


@given(rows, runtimes)
def test_a_choice_holds_when_it_is_made_again(found: list[tuple[float, float]], before: Runtime) -> None:
    """By the same figures; and by figures a twentieth off, of a network where it was clear, nothing changes either."""
    chosen = faster(timed(found), before)
    assert faster(timed(found), chosen) == chosen
    noisy = [(first * 1.02, second / 1.02) for first, second in found]
    if abs(gain(found) - 1) < 0.04:
        assert faster(timed(noisy), chosen) == chosen


@given(rows, st.floats(1.0, 10.0), runtimes)
def test_the_faster_openvino_is_the_sooner_it_is_taken(
    found: list[tuple[float, float]], times: float, before: Runtime
) -> None:
    """Making OpenVINO faster never loses it the choice."""
    better = [(first, second / times) for first, second in found]
    assert not (faster(timed(found), before) == "openvino" and faster(timed(better), before) == "onnxruntime")


@pytest.mark.parametrize(
    ("largest", "expected"), [(256, (1, 8, 32)), (32, (1, 8, 32)), (31, (1, 8, 31)), (2, (1, 2)), (1, (1,))]
)
def test_sizes_that_are_served_are_timed(largest: int, expected: tuple[int, ...]) -> None:
    """None above what a node takes, and each once."""
    assert served(largest) == expected


@needs_openvino
def test_a_measurement_has_a_figure_for_each_batch_size(bundle: Bundle) -> None:
    """In milliseconds, above zero, for both runtimes."""
    timings = measure(bundle, Engine(threads=1), Engine("openvino", threads=1), (1, 3))
    assert tuple(timing.batch for timing in timings) == (1, 3)
    assert all(timing.onnxruntime > 0 and timing.openvino > 0 for timing in timings)
