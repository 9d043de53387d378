"""Two families, one of them with ranges over several trainings: what is drawn where, and what stands beside it."""

import pytest

from offramp.charts.accuracies import Learning, Marks, Reached, over_all_samples, while_training
from panels import bars, lines

PUBLISHED = [Marks({2: 72.0}, "sem", "stated", "*", -0.2), Marks({1: 55.0, 2: 55.0}, "mem", "stated, last", "_")]


def reached(width: float) -> list[Reached]:
    """Of one exit more is known of the first."""
    first = Reached("one", "sem", "o", {1: 70.0, 2: 74.0}, {1: 88.0, 2: 87.0}, "one, local", -width / 2, dotted=False)
    ranges = {1: (65.5, 67.0)}
    return [first, Reached("many", "mem", "s", {1: 66.0}, {1: 85.0, 2: 85.0}, "_many", width / 2, ranges)]


def test_each_exit_that_was_trained_has_a_panel_with_its_last_values_and_what_is_published_at_the_end() -> None:
    """In rows of four; a family without a curve there has no line, and no mark stands where nothing is published."""
    one = Learning("one", "sem", {1: {1: 50.0, 2: 60.0}, 2: {1: 55.0}}, 0.2, "one {:.1f}", dotted=False)
    many = Learning("many", "mem", {2: {1: 40.0, 3: 64.25}}, 0.1)
    figure = while_training(["here"], "title", [1, 2, 3, 4, 5], [one, many], PUBLISHED[:1])
    panels = [panel for panel in figure.axes if panel.get_visible()]
    assert [panel.get_title(loc="left") for panel in panels] == [f"exit {k}" for k in range(1, 6)]
    assert [panel.get_xlabel() for panel in panels] == ["", *["epoch"] * 4]
    assert lines(panels[0]) == {"one": ([1.0, 2.0], [50.0, 60.0])}
    assert lines(panels[1]) == {"one": ([1.0], [55.0]), "many": ([1.0, 3.0], [40.0, 64.25]), "stated": ([2.8], [72.0])}
    assert [(text.get_text(), text.get_position()[1]) for text in panels[1].texts] == [("one 55.0", 0.2), ("64.2", 0.1)]
    assert [line.is_dashed() for line in panels[1].get_lines()[:2]] == [False, True]


def test_local_exits_are_bars_and_last_exits_lines_from_a_round_number_below_them() -> None:
    """Whiskers where there is a range; the published last exits do not move the axis."""
    (panel,) = over_all_samples(["here"], "accuracy", [1, 2], reached(0.4), PUBLISHED, width=0.4).axes
    assert bars(panel) == {"one, local": {0.8: 70.0, 1.8: 74.0}, "_many": {1.2: 66.0}}
    drawn = lines(panel)
    assert (drawn["one"], drawn["many"]) == (([1.0, 2.0], [88.0, 87.0]), ([1.0, 2.0], [85.0, 85.0]))
    assert (drawn["stated"], drawn["stated, last"]) == (([1.8], [72.0]), ([1.0, 2.0], [55.0, 55.0]))
    assert [segment.tolist() for segment in panel.collections[0].get_segments()] == [[[1.2, 65.5], [1.2, 67.0]]]
    assert (panel.get_title(loc="left"), panel.get_ylim()) == ("accuracy; the axis starts at 60", (60.0, 100.0))


@pytest.mark.parametrize(("width", "texts"), [(0.4, ["70.0", "74.0", "66.0"]), (0.3, [])])
def test_only_wide_bars_have_room_for_their_values(width: float, texts: list[str]) -> None:
    """Those of many families are narrow."""
    (panel,) = over_all_samples(["here"], "accuracy", [1, 2], reached(width), width=width).axes
    assert [text.get_text() for text in panel.texts] == texts


def test_a_legend_in_rows_makes_the_sheet_higher() -> None:
    """So that the panel keeps its size; published numbers come last in it, one name once."""
    figure = over_all_samples(["here"], "accuracy", [1, 2], reached(0.3), PUBLISHED, width=0.3, names=2)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["one", "many", "one, local", "stated", "stated, last"]
    assert tuple(figure.get_size_inches()) == pytest.approx((9.6, 4.3 + 2 * 0.34))
