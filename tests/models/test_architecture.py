"""What a network is: presets, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from offramp.errors import InputError
from offramp.models.architecture import PRESETS, Architecture, StandardCnn, preset

NINE = st.sets(st.integers(1, 8)).map(lambda local: (*sorted(local), 9))


def nine_blocks(exits: tuple[int, ...]) -> Architecture:
    """A network of the paper's depth with these exits."""
    return preset("tiny").architecture(exits, ("a", "b"))


def small(**changes: object) -> Architecture:
    """Three blocks on 8x8 images, with some values changed."""
    values: dict[str, object] = {
        "channels": 1, "height": 8, "width": 8, "classes": ("a", "b"),
        "widths": (8, 8, 8), "pool_after": (1,), "exits": (1, 2, 3),
    }  # fmt: skip
    return StandardCnn.model_validate(values | changes)


def test_an_unknown_preset_is_refused_with_the_choices() -> None:
    """The message names the presets that there are."""
    with pytest.raises(InputError) as caught:
        preset("huge")
    assert str(caught.value) == "preset 'huge': unknown. Choose one of tiny, small, medium, slim, full."


def test_a_network_is_called_by_its_exits() -> None:
    """As `artifacts.names` calls them."""
    assert [nine_blocks(exits).name for exits in ((9,), (3, 9), (2, 5, 9))] == ["standard", "sem-3", "exits-2-5"]


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_has_nine_blocks(name: str) -> None:
    """As the paper's Figure 1."""
    architecture = preset(name).architecture((3, 9), ("a", "b"))
    assert len(architecture.widths) == architecture.last == 9
    assert architecture.shape == (PRESETS[name].channels, PRESETS[name].size, PRESETS[name].size)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"exits": ()}, "exits must rise within 1 to 3 and end at 3, got []"),
        ({"exits": (1, 2)}, "exits must rise within 1 to 3 and end at 3, got [1, 2]"),
        ({"exits": (2, 1, 3)}, "exits must rise within 1 to 3 and end at 3, got [2, 1, 3]"),
        ({"exits": (1, 1, 3)}, "exits must rise within 1 to 3 and end at 3, got [1, 1, 3]"),
        ({"exits": (0, 3)}, "exits must rise within 1 to 3 and end at 3, got [0, 3]"),
        ({"exits": (3, 4)}, "exits must rise within 1 to 3 and end at 3, got [3, 4]"),
        ({"widths": ()}, "exits must rise within 1 to 0 and end at 0, got [1, 2, 3]"),
        ({"pool_after": (3,)}, "pool_after must lie within 1 to 2, got [3]"),
        ({"pool_after": (0,)}, "pool_after must lie within 1 to 2, got [0]"),
        ({"height": 2, "width": 8, "pool_after": (1, 2)}, "2x8 images are too small for 2 poolings"),
        ({"classes": ()}, "classes: at least one is needed"),
    ],
)
def test_an_inconsistent_architecture_is_refused(changes: dict[str, object], message: str) -> None:
    """What could not be built is said when it is described."""
    with pytest.raises(ValidationError) as caught:
        small(**changes)
    assert [error["msg"] for error in caught.value.errors()] == [f"Value error, {message}"]


def test_images_that_pool_down_to_one_pixel_are_enough() -> None:
    """The bound on poolings is exact: 4x4 stands two of them."""
    assert small(height=4, width=4, pool_after=(1, 2)).shape == (1, 4, 4)


@given(NINE)
def test_an_architecture_survives_its_document(exits: tuple[int, ...]) -> None:
    """JSON and back gives the same architecture."""
    architecture = nine_blocks(exits)
    assert StandardCnn.model_validate_json(architecture.model_dump_json()) == architecture
