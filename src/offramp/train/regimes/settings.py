"""Regimes by name, and as the part of a recipe that describes one.

The parts of a regime are independent of each other, so that any may be combined: a balance of the weights, a backbone
that is trained first, a teacher, how gradients meet. Names stand for the combinations that were published, and
for those that promise most.
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from offramp.artifacts.document import Frozen
from offramp.errors import InputError
from offramp.train.regimes.balance import Balance
from offramp.train.regimes.distill import Distilled, Teacher
from offramp.train.regimes.joint import Joint
from offramp.train.regimes.phases import BackboneFirst
from offramp.train.regimes.regime import Regime


class RegimeSettings(Frozen):
    """What a regime is put together from. Without anything: the paper's joint training."""

    name: str
    balance: Balance = "even"
    backbone_first: float = Field(default=0.0, ge=0, lt=1)  # share of the training; 0: there is no such phase
    freeze: bool = False  # the stages, after that phase
    teacher: Teacher | None = None
    # Of BYOT's public reimplementation (luanyunteng/pytorch-be-your-own-teacher) and of the code of arXiv 2104.00299.
    distill_share: float = Field(default=0.1, ge=0, le=1)
    temperature: float = Field(default=3.0, gt=0)
    rescale: bool = False
    # Of a head's gradient and that of what comes after it, where they meet (`train.forward.fork`).
    surgery: Literal["project", "equalize"] | None = Field(None, exclude_if=lambda one: one is None)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.freeze and not self.backbone_first:
            raise ValueError("freeze: stages can be frozen only after a phase of their own, backbone_first above 0")
        if self.rescale and self.surgery:
            raise ValueError(f"surgery {self.surgery}: gradients that are rescaled are joined by their mean already")
        return self

    def regime(self, weights: dict[int, float], label_smoothing: float = 0.0) -> Regime:
        """Put the regime together for exits with these weights of their losses."""
        found: Regime
        found = joint = Joint(weights, self.balance, label_smoothing, "mean" if self.rescale else self.surgery or "sum")
        if self.teacher is not None:
            found = Distilled(joint, self.teacher, self.distill_share, self.temperature)
        if self.backbone_first:
            found = BackboneFirst(self.backbone_first, max(weights), found, self.freeze)
        return found


REGIMES: dict[str, RegimeSettings] = {
    settings.name: settings
    for settings in (
        RegimeSettings(name="joint"),
        RegimeSettings(name="early", balance="early"),
        RegimeSettings(name="late", balance="late"),
        RegimeSettings(name="ramp", balance="ramp"),
        RegimeSettings(name="mixed", backbone_first=0.5),
        RegimeSettings(name="separate", backbone_first=0.5, freeze=True),
        RegimeSettings(name="distill", teacher="last"),
        RegimeSettings(name="ensemble", teacher="ensemble"),
        RegimeSettings(name="equilibrium", rescale=True),
        RegimeSettings(name="project", surgery="project"),
        RegimeSettings(name="equalize", surgery="equalize"),
        RegimeSettings(name="fade", balance="fade"),
        RegimeSettings(name="equilibrium-distill", rescale=True, teacher="last"),
        RegimeSettings(name="mixed-distill", backbone_first=0.5, teacher="last"),
        RegimeSettings(name="early-distill", balance="early", teacher="last"),
        RegimeSettings(name="early-ensemble", balance="early", teacher="ensemble"),
    )
}


def regime(name: str) -> RegimeSettings:
    """Look a regime up by its name."""
    if name not in REGIMES:
        raise InputError(f"regime {name!r}: unknown. Choose one of {', '.join(REGIMES)}.")
    return REGIMES[name]
