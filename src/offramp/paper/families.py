"""Which of an experiment's models and measurements belong to which line of a figure.

Takes an experiment, whole or partial; gives tables by exit. Knows nothing of how they are drawn.
"""

import re
from enum import StrEnum

from offramp.artifacts.measurement import Measurement
from offramp.artifacts.model_result import ModelResult
from offramp.paper.experiment import Experiment
from offramp.paper.stated import THRESHOLD


class Family(StrEnum):
    """The paper's two kinds of models."""

    SEM = "SEM"
    MEM = "MEM"


def last_exit(experiment: Experiment) -> int:
    """The cloud's exit; 1 where the experiment holds no model."""
    return max((max(model.exits) for model in experiment.models), default=1)


def local_exits(experiment: Experiment) -> tuple[int, ...]:
    """Every exit before the last: the horizontal axis of the figures, whether all of it was measured or not."""
    return tuple(range(1, last_exit(experiment)))


def models(experiment: Experiment, family: Family) -> dict[int, ModelResult]:
    """A family's model at each exit: SEM-k at k, and MEM, the model with the most local exits, at all of its own.

    Told apart by their exits, not by their names. Of two single-exit models of one exit the first counts.
    """
    if family is Family.SEM:
        single = [model for model in experiment.models if len(model.exits) == 2]
        return dict(sorted({model.exits[0]: model for model in reversed(single)}.items()))
    multiple = [model for model in experiment.models if len(model.exits) > 2]
    if not multiple:
        return {}
    mem = max(multiple, key=lambda model: len(model.exits))
    return dict.fromkeys(mem.exits[:-1], mem)


def measured(experiment: Experiment, family: Family, threshold: float) -> dict[int, Measurement]:
    """A family's measurements at a threshold, by exit; where one exit has several, the paper's kind of deployment."""
    names = {exit_: model.model for exit_, model in models(experiment, family).items()}
    found = [m for m in experiment.measurements if m.plan.threshold == threshold and names.get(m.plan.exit) == m.model]
    return {m.plan.exit: m for m in sorted(found, key=lambda m: (m.plan.exit, as_in_the_paper(m)))}


def as_in_the_paper(measurement: Measurement) -> bool:
    """Whether the network was cut at its exit and features crossed as they are."""
    plan = measurement.plan
    return plan.cut == plan.exit and plan.codec == "fp32"


def thresholds(experiment: Experiment) -> tuple[float, ...]:
    """The thresholds measured, rising."""
    return tuple(sorted({m.plan.threshold for m in experiment.measurements}))


def main_threshold(experiment: Experiment) -> float:
    """The threshold to show where one is shown: the paper's 0.3, or the measured one that is nearest to it."""
    found = thresholds(experiment)
    return min(found, key=lambda threshold: abs(threshold - THRESHOLD)) if found else THRESHOLD


def label(model: str) -> str:
    """A model's name as the paper writes it; other names as they are.

    >>> label("sem-3"), label("mem"), label("exits-2-5")
    ('SEM-3', 'MEM', 'exits-2-5')
    """
    return model.upper() if re.fullmatch(r"sem-\d+|mem", model) else model
