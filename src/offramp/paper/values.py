"""The quantities that figures show, each by exit.

Shares and accuracies are in percent. None stands where no sample was answered: absent, not zero.
"""

from typing import Literal, get_args

from offramp.artifacts.measurement import Measurement
from offramp.artifacts.model_result import ModelResult

Values = dict[int, float | None]
Found = dict[int, Measurement]  # by exit
Tier = Literal["edge", "cloud", "overall"]
TIERS: tuple[Tier, ...] = get_args(Tier)
FEW = 30  # an accuracy over fewer samples than this may well be chance


def exited(found: Found) -> Values:
    """Samples that left at the local exit."""
    return {exit_: m.outcome.local for exit_, m in found.items()}


def exited_share(found: Found) -> Values:
    """Samples that left at the local exit, in percent of all."""
    return {exit_: 100 * m.outcome.local / m.outcome.n if m.outcome.n else None for exit_, m in found.items()}


def accuracy(found: Found, tier: Tier) -> Values:
    """Accuracy over the samples that a tier answered."""
    return {exit_: percent(m.outcome.right(tier)) for exit_, m in found.items()}


def latency(found: Found, tier: Tier) -> Values:
    """Median latency in ms over the samples that a tier answered."""
    return {exit_: p50(m, tier) for exit_, m in found.items()}


def sent(found: Found) -> Values:
    """Bytes that went to the cloud, spread over all samples, forwarded or not."""
    return {exit_: m.bytes_to_cloud / m.outcome.n if m.outcome.n else None for exit_, m in found.items()}


def few(found: Found, tier: Tier) -> set[int]:
    """The exits where a tier answered fewer samples than a trustworthy accuracy needs."""
    return {exit_ for exit_, m in found.items() if answered(m, tier) < FEW}


def at_all_samples(models: dict[int, ModelResult]) -> tuple[Values, Values]:
    """Accuracy over every test sample: at each local exit, and at the last exit of the same model."""
    edge: Values = {exit_: percent(model.test_accuracy.get(exit_)) for exit_, model in models.items()}
    cloud: Values = {exit_: percent(model.test_accuracy.get(max(model.exits))) for exit_, model in models.items()}
    return edge, cloud


def training_curves(models: dict[int, ModelResult]) -> dict[int, dict[int, float]]:
    """Validation accuracy by local exit and epoch, of the exits that have any."""
    curves = {
        exit_: {p.epoch: 100 * p.validation_accuracy[exit_] for p in model.training if exit_ in p.validation_accuracy}
        for exit_, model in models.items()
    }
    return {exit_: curve for exit_, curve in curves.items() if curve}


def answered(measurement: Measurement, tier: Tier) -> int:
    """How many samples a tier answered."""
    return measurement.outcome.count(tier)


def p50(measurement: Measurement, tier: Tier) -> float | None:
    """Median latency of a tier in ms."""
    found = measurement.latency_ms.get(tier)
    return None if found is None else float(found.p50)


def percent(share: float | None) -> float | None:
    """A share as a percentage; None stays None."""
    return None if share is None else 100 * share
