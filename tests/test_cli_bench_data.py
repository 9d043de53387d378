"""What bench sends: of the data that the served network was trained on, of no other classes, by no other seed."""

import re
from dataclasses import replace

import pytest

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.engine import PORTABLE
from offramp.artifacts.plan import Plan
from offramp.cli.measures import _images
from offramp.client.describe import ServedEdge, TrainedOn
from offramp.errors import DataError, InputError


@pytest.fixture
def served(bundle: Bundle) -> ServedEdge:
    """The digits' MEM, as an edge describes it."""
    manifest = bundle.manifest
    origin = TrainedOn.model_validate_json(manifest.origin.told)
    return ServedEdge(
        "mem", bundle.id, Plan.of(2, 0.3), manifest.preprocessing, "onnxruntime", PORTABLE, manifest.classes, origin
    )


def test_the_networks_own_data_are_the_default(served: ServedEdge) -> None:
    """And its own seed."""
    assert (served.trained_on and served.trained_on.data) == "digits"
    assert len(_images(served, None, "test", None)) == 359


def test_a_network_of_other_classes_is_refused(served: ServedEdge) -> None:
    """The message names what it was trained on."""
    other = replace(served, classes=("cat", "owl"))
    with pytest.raises(DataError, match=re.escape("mem tells cat, owl (2) apart. It was trained on digits: give that")):
        _images(other, None, "test", None)


def test_a_part_by_another_seed_is_refused(served: ServedEdge) -> None:
    """Its validation samples would be trained ones; the test set is every seed's."""
    with pytest.raises(InputError, match=r"^--seed 1 --split validation: mem was trained with seed 0"):
        _images(served, None, "validation", 1)
    assert len(_images(served, None, "test", 1)) == 359
