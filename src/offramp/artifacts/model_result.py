"""A trained network as reports know it: what it costs, and what came of its training."""

from typing import Any, Self

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.document import Frozen


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
    def of(cls, bundle: Bundle, **training: Any) -> Self:
        """A network as its bundle describes it, and the fields that say what came of its `training`."""
        manifest = bundle.manifest
        return cls(
            model=manifest.model,
            bundle=bundle.id,
            exits=manifest.exits,
            macs={k: manifest.macs(k) for k in manifest.exits},
            feature_bytes={k: manifest.stages[k - 1].bytes_fp32 for k in manifest.exits},
            **training,
        )
