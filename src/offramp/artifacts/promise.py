"""A promise: what calibration samples have shown of a plan, with how sure one can be of it.

Knows neither how it is shown (`exits.guarantees`) nor the plan.
"""

from typing import Annotated, Literal

from pydantic import Field

from offramp.artifacts.document import Frozen
from offramp.artifacts.engine import Engine, Precision

PromiseKind = Literal["accuracy", "agreement", "conditional"]
Share = Annotated[float, Field(gt=0, lt=1)]


class Promise(Frozen):
    """That a plan loses at most `max_loss`, in a share `confidence` of all draws of calibration samples like these.

    `accuracy`: its overall accuracy is at most so much below that of the network's last exit, asked for every sample.
    `agreement`: it answers otherwise than the last exit at most so often; needs no labels. `conditional`: of the
    samples that leave at a local exit, accuracy is at most so much below what the last exit has on the same samples.
    """

    kind: PromiseKind = "accuracy"
    max_loss: Share
    confidence: Share
    samples: Annotated[int, Field(ge=1)]  # of the calibration
    data: str  # name and split of the calibration data, in words
    data_sha256: str  # of the calibration samples' indices and labels, as `exits.guarantees` hashes them
    source: str  # of whose answers it was shown: "bundle:ID", as of predictions
    route: str  # by which these were measured, in words
    runtime: str  # that measured them, and below it in which precision
    precision: Precision

    def is_of(self, engine: Engine) -> bool:
        """Whether it holds where an engine computes: all runtimes agree in fp32, below it each is a network of its own.

        Up to rounding, which fp32 has too: a score next to a threshold may fall on its other side.
        """
        return self.precision == engine.precision and (self.precision == "fp32" or self.runtime == engine.runtime)
