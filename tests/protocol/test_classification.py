"""An output as its top classes."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from offramp.errors import InputError
from offramp.protocol.classification import has_classes, top_classes
from offramp.protocol.data_plane import DataPlane
from offramp.protocol.served import Call, TensorSpec


def told(values: Any, count: int, labels: tuple[str, ...] = ()) -> list[list[str]]:
    """As text."""
    return [[one.decode() for one in row] for row in top_classes(np.asarray(values), count, labels)]


def test_the_largest_come_first_with_index_and_label() -> None:
    """Triton's own example; whole numbers as they are, a fraction with six decimals."""
    assert told([[1, 5, 10, 4]], 2) == [["10:2", "5:1"]]
    assert told([[1, 5, 10, 4]], 2, ("fig", "pickle", "apple", "a:b")) == [["10:2:apple", "5:1:pickle"]]
    assert told(np.float32([[0.25, 1e-9]]), 2) == [["0.250000:0", "0.000000:1"]]


def test_of_fewer_classes_all_come() -> None:
    """A row keeps to itself, and its axes are one."""
    assert told([[[1, 2], [4, 3]], [[8, 7], [5, 6]]], 9) == [["4:2", "3:3", "2:1", "1:0"], ["8:0", "7:1", "6:3", "5:2"]]


@given(values=hnp.arrays(np.uint8, (3, 7), elements=st.integers(0, 3)), count=st.integers(1, 7))
def test_equals_stand_in_their_order(values: Any, count: int) -> None:
    """So the first is the label that argmax gives, of unsigned numbers too."""
    order = np.argsort(-values.astype(int), axis=1, kind="stable")[:, :count]
    assert told(values, count) == [[f"{values[row, k]}:{k}" for k in order[row]] for row in range(3)]


@pytest.mark.parametrize(
    ("spec", "has"),
    [
        (TensorSpec("y", "FP32", (-1, 10)), True),
        (TensorSpec("y", "INT64", (-1,)), False),
        (TensorSpec("y", "BYTES", (-1, 2)), False),
        (TensorSpec("y", "BOOL", (-1, 2)), False),
    ],
)
def test_which_outputs_have_classes(spec: TensorSpec, has: bool) -> None:
    """Several numbers a sample."""
    assert has_classes(spec) == has


def test_an_output_beside_one_of_classes_stays_as_it_is(double: Any) -> None:
    """Whole and in parts."""
    plane, call = DataPlane([double], max_batch=4), Call({"x": np.float32([[1, 2], [4, 3]])})
    outputs = plane.infer(double, call, {"word": 0, "twice": 1}).outputs
    assert {name: array.tolist() for name, array in outputs.items()} == {
        "word": [b"row 0", b"row 1"],
        "twice": [[b"4.000000:1"], [b"8.000000:0"]],
    }
    parts = [part.outputs["twice"].tolist() for part in plane.stream(double, call, {"twice": 2})]
    assert parts == [[[b"4.000000:1", b"2.000000:0"]], [[b"8.000000:0", b"6.000000:1"]]]
    with pytest.raises(InputError) as caught:
        plane.infer(double, call, {"word": 1})
    assert str(caught.value) == "output 'word': has no classes to choose from. Outputs that have some: twice."
