"""Joint training as a regime."""

import torch

from offramp.train.regimes.joint import Joint, joint_loss
from offramp.train.regimes.regime import Phase


def test_joint_training_has_one_phase_with_every_exit() -> None:
    """Progress within it is the training's."""
    assert Joint({1: 1.0, 9: 1.0}).phase(0.3) == Phase(0.3)
    assert Joint({1: 1.0, 9: 1.0}, meeting="mean").phase(0.3) == Phase(0.3, meeting="mean")


def test_given_weights_are_multiplied_by_the_balance() -> None:
    """Half way up the ramp a local exit has half of its own weight."""
    logits = {k: torch.randn(4, 3) for k in (1, 9)}
    labels = torch.tensor([0, 1, 2, 0])
    found = Joint({1: 0.8, 9: 2.0}, "ramp", 0.1).loss(logits, labels, 0.25)
    assert torch.equal(found, joint_loss(logits, labels, {1: 0.4, 9: 2.0}, 0.1))
