"""What the planner's tests share: samples of a network on paper, and what its plans cost."""

import pytest

from offramp.artifacts.manifest import Manifest
from offramp.artifacts.predictions import Predictions
from offramp.plan.pricing import Prices
from offramp.plan.table import Table
from on_paper import ByHand, drawn, network


@pytest.fixture(scope="session")
def paper() -> Manifest:
    """The network."""
    return network()


@pytest.fixture(scope="session")
def samples(paper: Manifest) -> Predictions:
    """400 of them."""
    return drawn(paper, 0)


@pytest.fixture(scope="session")
def table(paper: Manifest, samples: Predictions) -> Table:
    """What the exits say of them."""
    return Table.of(samples, paper)


@pytest.fixture(scope="session")
def prices(paper: Manifest) -> Prices:
    """What a plan costs."""
    return Prices(paper, ByHand(), {})
