"""A chain of tiers, drawn: nothing stands on anything else, however many exits and stages a tier has."""

from itertools import combinations

import pytest

from offramp.charts.chain import Arrow, Box, chain

FEW = [Box("device", "stages 1–2", 2, (2,), ("exit 2 below 0.3: 41.2 %",)), Box("cloud", "stages 3–9", 7, (7,), ())]
MANY = Box("edge", "stages 3–40", 38, tuple(range(1, 39)), tuple(f"exit {k} below 0.125: 12.5 %" for k in range(3, 41)))
HOP = Arrow(("boundary 2", "in uint8"), ("1,024,000 bytes", "100.0 % go on"))


@pytest.mark.parametrize("boxes", [FEW, [FEW[0], MANY, FEW[1]], [FEW[0], MANY, MANY, MANY, FEW[1]]])
def test_no_text_overlaps(boxes: list[Box]) -> None:
    """And each is inside the picture."""
    figure = chain(["leaves by entropy"], "a chain", boxes, [HOP] * (len(boxes) - 1))
    figure.draw_without_rendering()
    (panel,) = figure.axes
    texts = [text for text in (*panel.texts, *figure.texts) if text.get_text()]
    places = [text.get_window_extent() for text in texts]
    for one, other in combinations(range(len(texts)), 2):
        assert not places[one].overlaps(places[other]), (texts[one].get_text(), texts[other].get_text())
    whole = figure.bbox
    assert all(whole.x0 <= box.x0 and box.x1 <= whole.x1 and box.y0 >= whole.y0 for box in places)
    assert sum(text.get_text() == "in uint8" for text in texts) == len(boxes) - 1
