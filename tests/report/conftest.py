"""A suite, and the function that builds others."""

from collections.abc import Callable

import pytest

from offramp.artifacts.suite import Suite
from suites import build_suite


@pytest.fixture(scope="session")
def make_suite() -> Callable[..., Suite]:
    """The function that builds a suite."""
    return build_suite


@pytest.fixture(scope="session")
def suite() -> Suite:
    """A suite of six models, two regimes and two seeds."""
    return build_suite()
