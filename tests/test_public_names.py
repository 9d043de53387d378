"""What `import offramp` promises."""

import offramp


def test_public_names_are_these() -> None:
    """A name added or removed is a decision, and this list is changed with it."""
    assert offramp.__all__ == ["__version__"]


def test_every_public_name_is_there() -> None:
    """What is promised can be had."""
    assert all(hasattr(offramp, name) for name in offramp.__all__)


def test_the_version_is_of_three_numbers_or_more() -> None:
    """A version that installers can compare."""
    major, minor, *_ = offramp.__version__.split(".")
    assert (major + minor).isdigit()
