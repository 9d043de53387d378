"""Answers by class, counted by hand."""

from dataclasses import replace

import numpy as np

from offramp.exits.answers import Answers, Judged, Tier
from offramp.exits.classes import by_class


def answered(labels: list[int], tiers: list[Tier]) -> Answers:
    """Answers of three classes by tiers."""
    made = Judged.of(np.eye(3)[labels]).answers(1, Tier.EDGE)
    return replace(made, tier=np.array(tiers, np.int8))


def test_classes_are_counted_by_what_they_are_and_what_they_were_taken_for() -> None:
    """What a device answers left before the cloud too."""
    edge, cloud, device = Tier.EDGE, Tier.CLOUD, Tier.DEVICE
    found = by_class(answered([0, 1, 1, 2, 1], [edge, edge, cloud, device, cloud]), np.array([0, 0, 0, 2, 1]), 3)
    assert found.confusion.tolist() == [[1, 2, 0], [0, 1, 0], [0, 0, 1]]
    assert (found.n.tolist(), found.right.tolist()) == ([3, 1, 1], [1, 1, 1])
    assert (found.local.tolist(), found.local_right.tolist()) == ([2, 0, 1], [1, 0, 1])


def test_the_worst_classes_are_those_that_err_or_are_mistaken_for_others() -> None:
    """In the order of the classes, not of the errors."""
    found = by_class(answered([2, 2, 2, 0, 1], [Tier.EDGE] * 5), np.array([1, 1, 2, 0, 1]), 3)
    assert found.worst(2).tolist() == [1, 2]
    assert found.worst(9).tolist() == [0, 1, 2]
