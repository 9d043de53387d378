"""Risk against coverage, drawn."""

from offramp.charts.coverage import Surest, risk_and_coverage
from panels import lines


def test_risk_stands_over_what_leaves_and_what_leaves_over_the_threshold() -> None:
    """One name a line, whatever panels it is in."""
    curve = Surest("exit 2", "exit2", [0.1, 0.9], [40.0, 100.0], [1.5, 12.0])
    figure = risk_and_coverage(["here"], "title", [curve], score="margin")
    risks, shares = figure.axes
    assert lines(risks) == {"exit 2": ([40.0, 100.0], [1.5, 12.0])}
    assert lines(shares) == {"exit 2": ([0.1, 0.9], [40.0, 100.0])}
    assert shares.get_xlabel() == "threshold T (margin)"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["exit 2"]
