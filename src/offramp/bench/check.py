"""Hold what running nodes answered against the offline evaluation of the same samples."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from offramp.artifacts.engine import PORTABLE, Engine, Place
from offramp.artifacts.legs import in_words, legs_of
from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.data.image_set import ImageSet
from offramp.errors import InputError
from offramp.exits.agreement import Agreement, compare, ties, tolerance
from offramp.exits.answers import Answers, Tier
from offramp.exits.evaluation import route


def check(
    running: Answers,
    images: ImageSet,
    predictions: Predictions,
    *,
    bundle_id: str,
    plan: Plan,
    engine: Engine = PORTABLE,
    places: Sequence[Place | None] = (),
    rows: npt.NDArray[np.intp] | None = None,
) -> Agreement:
    """Compare sample by sample: to the last bit where `places`, edge and cloud, compute as the predictions were.

    Elsewhere within what is stated for the precision (`exits.agreement`). `rows` are the samples of the set that were
    answered, in their order; without them, every one was.

    Raises InputError where the predictions are of other weights, other samples, or computed otherwise.
    """
    check_fits(predictions, images, bundle_id=bundle_id, plan=plan, engine=engine, places=places)
    predictions = predictions if rows is None else predictions.rows(rows)
    if not (running.tier == Tier.CLOUD).any():
        places = places[:1]
    within, why = tolerance(predictions.header, plan, places)
    return compare(running, route(predictions, plan), ties(predictions, plan, within), within, why)


def check_fits(
    predictions: Predictions,
    images: ImageSet,
    *,
    bundle_id: str,
    plan: Plan,
    engine: Engine = PORTABLE,
    places: Sequence[Place | None] = (),
) -> None:
    """Raise InputError where predictions cannot say what nodes will answer to `images`; for before they are sent."""
    header, expected = predictions.header, f"bundle:{bundle_id}"
    if header.source.startswith("bundle:") and header.source != expected:
        raise InputError(
            f"predictions: measured on {header.source}, and the edge serves {expected}. "
            "Measure them on the served bundle with: offramp predict BUNDLE"
        )
    if not np.array_equal(predictions.index, images.index):
        raise InputError(
            f"predictions: of {len(predictions)} samples of {header.data} ({header.split}), and to be sent are "
            f"{len(images)} samples of {images.name}; expected the same samples in the same order."
        )
    header.check_engine(engine)
    for place in filter(None, places):
        if place.precision != header.precision:
            raise InputError(
                f"predictions: measured in {header.precision}, and a node computes in {place.precision}. Run edge and "
                f"cloud with --precision {header.precision}."
            )
    if header.precision != "fp32" and not header.follows(plan):
        raise InputError(
            f"predictions: measured by {header.route}, and the nodes' plan is "
            f"{in_words(legs_of(plan, predictions.last), predictions.last)}: in {header.precision} its numbers are "
            f"others. Measure by it: {header.measure_by(plan)}"
        )
