"""A promise: what calibration samples have shown of a plan, with how sure one can be of it.

Knows neither how it is shown (`exits.guarantees`) nor the plan.
"""

from typing import Annotated, Literal

from pydantic import Field

from offramp.artifacts.document import Frozen

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
    route: str  # by which the predictions were measured, with the runtime and precision, in words
