"""Where a bundle comes from: its weights, how closely the graph follows them, what multiplying in int8 changes."""

from operator import not_

from pydantic import Field

from offramp.artifacts.data_record import DataRecord, data_name
from offramp.artifacts.document import Frozen


class Parity(Frozen):
    """How closely the graph follows its network: the largest difference, as a share of its output's largest value."""

    max_difference: float
    tolerance: float
    samples: int


class Rethreshold(Frozen):
    """A threshold for fp32 scores, and the one for int8 scores by which the same share of samples leaves."""

    exit: int
    threshold: float
    int8: float
    share: float  # of the calibration samples


class Int8(Frozen):
    """What multiplying in int8 does: accuracies over the calibration samples, and thresholds chosen again."""

    samples: int
    fp32_accuracy: dict[int, float]  # by exit, every sample at each
    int8_accuracy: dict[int, float]
    score: str  # that the thresholds are of
    thresholds: tuple[Rethreshold, ...]


class Origin(Frozen):
    """Where the weights come from."""

    checkpoint_sha256: str
    data: str
    recipe: str
    seed: int
    epochs: int
    commit: str
    # Of the data, without what was passed over; None: split by position.
    record: DataRecord | None = Field(default=None, exclude_if=not_)

    @property
    def told(self) -> str:
        """What a node tells of the data, as JSON: name, seed, and record with its fingerprints; no path."""
        record = None if self.record is None else self.record.without_paths()
        told = self.model_copy(update={"data": data_name(self.data), "record": record})
        return told.model_dump_json(include={"data", "seed", "record"})
