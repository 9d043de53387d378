"""Backbone first: what each phase trains, and by which loss."""

import pytest
import torch

from offramp.train.regimes.joint import Joint, joint_loss
from offramp.train.regimes.phases import BackboneFirst
from offramp.train.regimes.regime import Phase

WEIGHTS = {1: 1.0, 5: 1.0, 9: 1.0}


def test_the_first_phase_has_the_last_exit_alone() -> None:
    """As long as its share goes, and with a progress of its own."""
    mixed = BackboneFirst(0.4, 9, Joint(WEIGHTS))
    assert mixed.phase(0.0) == Phase(0.0, exits=(9,))
    assert mixed.phase(0.3) == Phase(pytest.approx(0.75), exits=(9,))


def test_the_second_phase_is_the_other_regimes_from_its_start() -> None:
    """Its schedules begin when the phase does."""
    mixed = BackboneFirst(0.4, 9, Joint(WEIGHTS, "ramp", meeting="mean"))
    assert mixed.phase(0.4) == Phase(0.0, meeting="mean")
    assert mixed.phase(0.7) == Phase(pytest.approx(0.5), meeting="mean")
    logits, labels = {k: torch.randn(4, 3) for k in WEIGHTS}, torch.tensor([0, 1, 2, 0])
    half_way = joint_loss(logits, labels, {1: 0.5, 5: 0.5, 9: 1.0})
    torch.testing.assert_close(mixed.loss(logits, labels, 0.55), half_way)


def test_stages_are_frozen_in_the_second_phase_alone() -> None:
    """Where separate heads are asked for."""
    separate = BackboneFirst(0.5, 9, Joint(WEIGHTS), frozen=True)
    assert [separate.phase(progress).frozen for progress in (0.0, 0.49, 0.5, 0.9)] == [False, False, True, True]


def test_the_first_phases_loss_is_the_last_exits() -> None:
    """By its own weight."""
    logits, labels = {9: torch.randn(4, 3)}, torch.tensor([0, 1, 2, 0])
    mixed = BackboneFirst(0.5, 9, Joint({1: 1.0, 9: 0.7}))
    assert torch.equal(mixed.loss(logits, labels, 0.1), joint_loss(logits, labels, {9: 0.7}))
