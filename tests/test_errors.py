"""The tree of errors."""

import re

import pytest

from offramp import errors
from offramp.errors import OfframpError

LINE = re.compile(r"^(?P<indent>[ │]*)(?:[├└]── )?(?P<name>[A-Z]\w*Error)(?:\s+(?P<said>\S.*))?$")


def drawn() -> dict[str, str | None]:
    """Each error of the docstring's drawing, and the error it hangs from."""
    assert errors.__doc__ is not None
    tree: dict[str, str | None] = {}
    above: list[tuple[int, str]] = []
    for line in errors.__doc__.split("::", 1)[1].splitlines():
        match = LINE.match(line)
        if match is None:
            continue
        depth = re.search("[A-Z]", line).start()  # type: ignore[union-attr]
        while above and above[-1][0] >= depth:
            above.pop()
        tree[match["name"]] = above[-1][1] if above else None
        above.append((depth, match["name"]))
    return tree


def defined() -> dict[str, type[Exception]]:
    """Every error class of the module."""
    return {name: value for name, value in vars(errors).items() if isinstance(value, type)}


def test_the_drawn_tree_is_the_real_one() -> None:
    """Every class is in the docstring's drawing, under the class it derives from, and nothing else is."""
    ours = {value: name for name, value in defined().items()}
    assert drawn() == {
        name: next((ours[b] for b in value.__bases__ if b in ours), None) for name, value in defined().items()
    }


@pytest.mark.parametrize("name", sorted(defined()))
def test_every_error_is_caught_by_the_base(name: str) -> None:
    """Whoever catches OfframpError catches everything that is raised on purpose."""
    with pytest.raises(OfframpError, match=r"^what was said$"):
        raise defined()[name]("what was said")


def test_a_wrong_value_is_a_value_error_too() -> None:
    """Callers that know Python's own error need not know ours; a name or a size is a value too."""
    assert issubclass(errors.InputError, ValueError)


@pytest.mark.parametrize("name", sorted(set(defined()) - {"InputError", "UnknownModelError", "TooLargeError"}))
def test_no_other_error_passes_for_pythons_own(name: str) -> None:
    """A damaged file or a dead link is not swallowed by `except ValueError` or `except OSError`."""
    assert not issubclass(defined()[name], (ValueError, OSError, RuntimeError))
