"""Regimes by name, and what cannot be put together."""

import pytest
from pydantic import ValidationError

from offramp.errors import InputError
from offramp.train.regimes.distill import Distilled
from offramp.train.regimes.joint import Joint
from offramp.train.regimes.phases import BackboneFirst
from offramp.train.regimes.settings import REGIMES, RegimeSettings, regime

WEIGHTS = {1: 1.0, 9: 1.0}


@pytest.mark.parametrize("name", REGIMES)
def test_a_regime_is_known_by_its_name(name: str) -> None:
    """The name under which it is looked up is the one that checkpoints carry."""
    assert regime(name).name == name


def test_an_unknown_regime_is_refused_with_the_choices() -> None:
    """The message names them all."""
    with pytest.raises(InputError) as caught:
        regime("magic")
    assert str(caught.value) == (
        "regime 'magic': unknown. Choose one of joint, early, late, ramp, mixed, separate, distill, ensemble, "
        "equilibrium, project, equalize, fade, equilibrium-distill, mixed-distill, early-distill, early-ensemble."
    )


def test_names_stand_for_what_they_say() -> None:
    """The paper's, one with a teacher, one with phases, and one with both."""
    assert regime("joint").regime(WEIGHTS, 0.1) == Joint(WEIGHTS, label_smoothing=0.1)
    assert regime("equilibrium").regime(WEIGHTS) == Joint(WEIGHTS, meeting="mean")
    assert regime("project").regime(WEIGHTS) == Joint(WEIGHTS, meeting="project")
    taught = Distilled(Joint(WEIGHTS), "last", 0.1, 3.0)
    assert regime("distill").regime(WEIGHTS) == taught
    assert regime("separate").regime(WEIGHTS) == BackboneFirst(0.5, 9, Joint(WEIGHTS), frozen=True)
    assert regime("mixed-distill").regime(WEIGHTS) == BackboneFirst(0.5, 9, taught)


def test_gradients_meet_in_one_way() -> None:
    """Not by their mean and by another rule at once; a regime without surgery is written as before there was any."""
    with pytest.raises(ValidationError, match="surgery project: gradients that are rescaled are joined by their mean"):
        RegimeSettings(name="mine", rescale=True, surgery="project")
    assert "surgery" not in REGIMES["joint"].model_dump()


def test_stages_cannot_be_frozen_untrained() -> None:
    """Heads on random stages would learn little, and nobody means that."""
    with pytest.raises(ValidationError, match="frozen only after a phase of their own"):
        RegimeSettings(name="mine", freeze=True)
