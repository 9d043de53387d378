"""Classes drawn: a cell where anything was counted, names that fit, bars with their whiskers."""

import pytest

from offramp.charts.by_class import Shares, confusion_matrix, shares_by_class
from panels import bars


def test_a_cell_is_darker_the_larger_its_share_of_the_class_and_absent_where_nothing_was_counted() -> None:
    """Rows from the top; counts are written where there is room. Five of ten dogs were taken for what is not drawn."""
    (panel,) = confusion_matrix(["here"], "title", ["cat", "dog"], [[9, 1], [0, 5]], [10, 10]).axes
    cells = {(round(bar.get_x() + 0.5), round(bar.get_y() + 0.5)): bar.get_alpha() for bar in panel.patches}
    assert cells == {(0, 0): pytest.approx(0.51), (1, 0): pytest.approx(0.11), (1, 1): pytest.approx(0.31)}
    assert [text.get_text() for text in panel.texts] == ["9", "1", "5"]
    assert panel.get_ylim() == (1.5, -0.5)
    assert [label.get_text() for label in panel.get_yticklabels()] == ["cat", "dog"]


def test_many_classes_have_no_counts_and_upright_short_names() -> None:
    """A name of a document may be long and hold what no picture can."""
    names = [f"{k} \x07 a species of a name without end" for k in range(30)]
    (panel,) = confusion_matrix([], "", names, [[int(a == b) for a in range(30)] for b in range(30)], [1] * 30).axes
    assert not panel.texts
    assert panel.get_xticklabels()[0].get_text() == "0   a species of …"
    assert panel.get_xticklabels()[0].get_rotation() == 90


def test_groups_stand_beside_each_other_with_whiskers_where_there_is_a_range() -> None:
    """A class without samples has no bar."""
    groups = [Shares("right", "cloud", {0: 90.0, 1: 50.0}, {0: (80.0, 95.0)}), Shares("left", "edge", {0: 40.0})]
    (panel,) = shares_by_class(["here"], "title", ["cat", "dog"], groups).axes
    assert bars(panel) == {"right": {-0.2: 90.0, 0.8: 50.0}, "left": {0.2: 40.0}}
    assert [segment.tolist() for segment in panel.collections[0].get_segments()] == [[[-0.2, 80.0], [-0.2, 95.0]]]
