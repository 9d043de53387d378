"""A figure, drawn once a file: to make it answer names its parts."""

import pytest

from example_figure import example_figure
from offramp.charts.sheet import Figure


@pytest.fixture(scope="module")
def figure() -> Figure:
    """Bars and lines in two panels."""
    return example_figure()
