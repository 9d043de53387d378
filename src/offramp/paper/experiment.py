"""An experiment: the paper's kind of evaluation, several models measured at several exits and thresholds.

What the paper's figures are drawn from. Knows nothing of where it was kept (`reproduced.as_experiment`).
"""

from offramp.artifacts.document import Frozen
from offramp.artifacts.measurement import Measurement
from offramp.artifacts.model_result import ModelResult
from offramp.paper.reproduction import Agreed


class Experiment(Frozen):
    """What was done, under which conditions, and what it gave."""

    data: str
    test_samples: int
    preset: str
    recipe: str
    epochs: int
    seed: int
    seconds: float
    models: tuple[ModelResult, ...]
    measurements: tuple[Measurement, ...]
    agreement: Agreed
