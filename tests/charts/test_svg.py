"""Drawings inside the page: no foreign addresses, ids of their own, colours that follow the reader's scheme."""

import re
from collections import Counter
from xml.etree import ElementTree

import pytest

from offramp.charts.palette import PALETTE
from offramp.charts.sheet import Figure, as_svg
from offramp.charts.svg import inline


@pytest.fixture(scope="module")
def drawing(figure: Figure) -> str:
    """A figure with everything in it that needs rewriting: markers used by reference, clipping, all kinds of text."""
    return inline(as_svg(figure), "five", 'Says "what" is <seen>')


def test_nothing_points_outside(drawing: str) -> None:
    """Neither namespaces nor the licence's vocabulary remain."""
    assert "http" not in drawing
    assert "<style" not in drawing


def test_ids_are_its_own_and_references_follow(drawing: str) -> None:
    """Every id begins with the drawing's name, occurs once, and whatever is referred to exists."""
    ids = Counter(re.findall(r'\bid="([^"]*)"', drawing))
    references = set(re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', drawing))
    assert references
    assert all(name.startswith("five-") for name in ids)
    assert set(ids.values()) == {1}
    assert {one or other for one, other in references} <= set(ids)


def test_every_color_is_a_variable(drawing: str) -> None:
    """No fixed colour is left that would vanish on a dark ground."""
    used = set(re.findall(r"var\(--(\w+)\)", drawing))
    assert not re.findall(r"#[0-9a-fA-F]{6}\b", drawing)
    assert {"ink", "muted", "rule", "edge", "cloud", "overall"} <= used <= PALETTE.keys()


def test_it_is_read_aloud_as_its_description(drawing: str) -> None:
    """The description stands escaped where screen readers find it."""
    root = ElementTree.fromstring(drawing)
    assert (root.tag, root.get("role"), root.get("aria-label")) == ("svg", "img", 'Says "what" is <seen>')
    assert root.get("viewBox")
    assert root.get("width") is None


def test_light_shades_tell_colors_apart() -> None:
    """A colour in a drawing is recognized by its light shade, so no two may be the same, nor matplotlib's defaults."""
    shades = [shade.light for shade in PALETTE.values()]
    assert len(set(shades)) == len(shades)
    assert not {"#000000", "#ffffff"} & set(shades)
