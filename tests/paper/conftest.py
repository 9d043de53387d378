"""A reproduction in which the paper is right, one of uneven numbers, and the functions that build others."""

from collections.abc import Callable

import pytest

from offramp.paper.reproduction import Reproduction
from offramp.paper.view import View
from reproductions import build_reproduction, build_uneven


@pytest.fixture(scope="session")
def reproduce() -> Callable[..., Reproduction]:
    """The function that builds a reproduction."""
    return build_reproduction


@pytest.fixture(scope="session")
def reproduction() -> Reproduction:
    """The whole of one, in which the paper is right."""
    return build_reproduction()


@pytest.fixture(scope="session")
def uneven() -> View:
    """The paper's part on the digits: eight SEMs, MEM, four thresholds; one repeat."""
    return View.of(build_uneven())


@pytest.fixture(scope="session")
def look() -> Callable[..., View]:
    """The function that builds one of uneven numbers partial or changed, and looks at it."""
    return lambda **changes: View.of(build_uneven(**changes))
