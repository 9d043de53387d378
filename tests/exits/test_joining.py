"""Joining views, in numpy and in training alike."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.artifacts.views import JOINS, Join
from offramp.exits.joining import join
from offramp.models.views_net import join as join_in_training

VIEWS = [np.array([[[v]], [[10.0 * v]]], np.float32) for v in (1.0, -2.0, 4.0)]  # (2, 1, 1) each


@pytest.mark.parametrize(
    ("how", "expected"),
    [("max", [[4.0], [10.0]]), ("mean", [[1.0], [-5.0]]), ("concat", [[1.0, -2.0, 4.0], [10.0, -20.0, 0.0]])],
)
def test_what_is_not_there_is_left_out_or_zeros(how: Join, expected: list[list[float]]) -> None:
    """Of the second sample the last view is missing, whatever stands in its row."""
    views = [view.copy() for view in VIEWS]
    views[2][1] = np.nan
    found = join(views, np.array([[True, True, True], [True, True, False]]), how)
    assert found[..., 0].tolist() == expected
    assert found.dtype == np.float32


@pytest.mark.parametrize("how", JOINS)
@settings(max_examples=30)
@given(data=st.data())
def test_training_joins_as_nodes_do(how: Join, data: st.DataObject) -> None:
    """Whichever views are there."""
    had = np.array(data.draw(st.lists(st.lists(st.booleans(), min_size=3, max_size=3).filter(any), min_size=1)))
    drawn = np.random.default_rng(data.draw(st.integers(0, 99)))
    views = [drawn.normal(size=(len(had), 4, 2, 2)).astype(np.float32) for _ in range(3)]
    expected = join_in_training([torch.from_numpy(view) for view in views], torch.from_numpy(had), how)
    np.testing.assert_allclose(join(views, had, how), expected.numpy(), rtol=1e-6, atol=1e-7)
