"""Names of models."""

import pytest

from offramp.paper.families import label


@pytest.mark.parametrize(
    ("name", "shown"), [("sem-3", "SEM-3"), ("mem", "MEM"), ("exits-2-5", "exits-2-5"), ("sem-x", "sem-x")]
)
def test_names_are_the_papers(name: str, shown: str) -> None:
    """Names that the paper has are written its way; others stay as they are."""
    assert label(name) == shown
