"""An experiment: several models trained, run and measured under the same conditions. Every report is drawn from one."""

from typing import ClassVar, Self

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.document import Document, Frozen
from offramp.artifacts.measurement import Measurement


class TrainingPoint(Frozen):
    """Accuracy of every exit over the whole validation set after an epoch (the paper's Figure 9)."""

    epoch: int
    validation_accuracy: dict[int, float]


class ModelResult(Frozen):
    """One trained model."""

    model: str
    bundle: str
    exits: tuple[int, ...]
    macs: dict[int, int]  # by exit: of a sample that leaves there, only that head active
    feature_bytes: dict[int, int]  # by exit: fp32 features of one sample at that boundary
    test_accuracy: dict[int, float]  # by exit: every test sample at every exit (the paper's Figure 10)
    training: tuple[TrainingPoint, ...]
    training_seconds: float

    @classmethod
    def of(
        cls,
        bundle: Bundle,
        *,
        test_accuracy: dict[int, float],
        training: tuple[TrainingPoint, ...],
        training_seconds: float,
    ) -> Self:
        """A network as its bundle describes it, and what came of its training."""
        manifest = bundle.manifest
        return cls(
            model=manifest.model,
            bundle=bundle.id,
            exits=manifest.exits,
            macs={k: manifest.macs(k) for k in manifest.exits},
            feature_bytes={k: manifest.stages[k - 1].bytes_fp32 for k in manifest.exits},
            test_accuracy=test_accuracy,
            training=training,
            training_seconds=training_seconds,
        )


class Agreed(Frozen):
    """How the running nodes' answers were held against the offline evaluation, over all measurements."""

    compared: int  # answers
    differing: int
    ties: int  # answers left out: their score lies within 1e-5 of the threshold


class Experiment(Document):
    """What an experiment gave, with all that is needed to draw and to repeat it."""

    FORMAT: ClassVar[str] = "offramp.experiment"
    VERSION: ClassVar[int] = 1

    name: str
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
