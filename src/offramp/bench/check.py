"""Hold what running nodes answered against the offline evaluation of the same samples."""

import numpy as np
import numpy.typing as npt

from offramp.artifacts.engine import PORTABLE, Engine
from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.data.image_set import ImageSet
from offramp.errors import InputError
from offramp.exits.agreement import TOLERANCES, Agreement, compare, ties
from offramp.exits.answers import Answers
from offramp.exits.evaluation import route


def check(
    running: Answers,
    images: ImageSet,
    predictions: Predictions,
    *,
    bundle_id: str,
    plan: Plan,
    engine: Engine = PORTABLE,
    rows: npt.NDArray[np.intp] | None = None,
) -> Agreement:
    """Compare sample by sample, within what is stated for the precision of the nodes' engine.

    `rows` are the samples of the set that were answered, in their order; without them, every one was.

    Raises InputError where the predictions are of other weights, other samples, or computed otherwise.
    """
    expected = f"bundle:{bundle_id}"
    if predictions.header.source.startswith("bundle:") and predictions.header.source != expected:
        raise InputError(
            f"predictions: measured on {predictions.header.source}, and the edge serves {expected}. "
            "Measure them on the served bundle with: offramp predict BUNDLE"
        )
    if not np.array_equal(predictions.index, images.index):
        raise InputError(
            f"predictions: of {len(predictions)} samples of {predictions.header.data} ({predictions.header.split}), "
            f"and {len(images)} samples of {images.name} were sent; expected the same samples in the same order."
        )
    predictions.header.check_engine(engine)
    predictions = predictions if rows is None else predictions.rows(rows)
    tolerance = TOLERANCES[engine.precision]
    return compare(running, route(predictions, plan), ties(predictions, plan, tolerance), tolerance)
