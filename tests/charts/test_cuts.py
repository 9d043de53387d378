"""Places to cut, drawn."""

from offramp.charts.cuts import Place, cuts
from panels import lines

PLACES = [
    Place(10.0, 4000, "layer1", True, False),
    Place(10.0, 4000, "layer1/Add", False, False),
    Place(50.0, 1000, "layer2", True, True),
    Place(90.0, 200, "layer3", True, False),
]


def test_bytes_stand_over_multiply_adds_on_a_logarithmic_axis() -> None:
    """Ends of blocks apart from what is inside, what carries more than features ringed, the input as a line."""
    figure = cuts(["here"], "title", PLACES, ("an 8-bit image", 3072), "uint8")
    (panel,) = figure.axes
    drawn = lines(panel)
    assert drawn["end of a block"] == ([10.0, 50.0, 90.0], [4000.0, 1000.0, 200.0])
    assert drawn["inside a block"] == ([10.0], [4000.0])
    assert drawn["more than one tensor"] == ([50.0], [1000])
    assert "an 8-bit image, 3,072 bytes" in drawn
    assert (panel.get_yscale(), panel.get_xlim()) == ("log", (0.0, 100.0))


def test_names_are_written_where_there_is_room_for_them() -> None:
    """Those of ends, and none over another."""
    crowd = [Place(10.0 + k / 10, 4000, f"layer{k}", True, False) for k in range(9)]
    (panel,) = cuts(["here"], "title", [*PLACES[2:], *crowd], ("the input", 100), "uint8").axes
    written = [text.get_text() for text in panel.texts if text.get_text()]
    assert {"layer2", "layer3"} <= set(written)
    assert len(written) == 3


def test_names_are_written_without_what_all_begin_with() -> None:
    """And beside the right edge to the left, where they may be over none either."""
    deep = [Place(30.0 * k, 4000, f"net.encoder.layers.{k}", True, False) for k in (1, 2, 3)]
    late = Place(100.0, 4000, "net.encoder.layers.9", True, False)
    (panel,) = cuts(["here"], "title", [*deep, late], ("the input", 100), "uint8").axes
    assert [text.get_text() for text in panel.texts if text.get_text()] == ["layers.1", "layers.2", "layers.3"]
