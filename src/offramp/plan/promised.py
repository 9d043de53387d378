"""A choice that is promised: the cheapest of a chain of plans that samples set apart for it show to keep within a loss.

The chain comes from the samples that plans are chosen on, how far down it is safe from others (`exits.guarantees`).
"""

from dataclasses import replace

from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.artifacts.promise import PromiseKind
from offramp.errors import InputError
from offramp.exits.guarantees import Routes, promise
from offramp.plan.candidate import Candidate
from offramp.plan.choose import Chosen, Measure, Wanted
from offramp.plan.inputs import Samples
from offramp.plan.jointly import jointly
from offramp.plan.pricing import Columns
from offramp.plan.table import Crossing

WAYS = 3  # crossings of candidates, for which thresholds are looked for anew


def promised(
    chosen: Chosen,
    wanted: Wanted,
    calibration: Samples,
    confidence: float,
    kind: PromiseKind,
    measure: Measure | None = None,
) -> tuple[Candidate, Plan]:
    """The candidate that is deployed, and its plan with what was shown of it.

    `measure` gives the calibration samples by a crossing that they were not measured by; without it, plans that have
    it are no candidates. Raises InputError where nothing is shown, with how many samples would do.
    """
    assert wanted.max_loss is not None
    chain = [one for one in chosen.chain(wanted) if not one.crossing.other]
    ways = list(dict.fromkeys(one.crossing for one in chain))[:WAYS]
    chain += jointly(chosen.samples.plain, chosen.table, chosen.prices, chosen.goal, ways)
    for way in {one.crossing for one in chain if _loses(one.crossing, chosen) and calibration.by(one.crossing) is None}:
        if measure is None:
            chain = [one for one in chain if one.crossing != way]
        else:
            calibration = calibration.beside(measure(way))
    if not chain:
        raise InputError(
            "promise: no candidate's crossing was measured on the calibration samples. Measure it: offramp predict "
            "BUNDLE --split calibration --cut K --codec NAME"
        )
    columns = Columns.of(one.figures for one in chain)
    costs = columns.mean if wanted.minimise == "loss" else chosen.goal.cost(columns)
    plans = [one.plan(chosen.score) for one in chain]
    order, test = _routes(chosen.samples), _routes(calibration)
    plan, which = promise(order, test, plans, costs, wanted.max_loss, confidence, kind)
    return chain[which], plan


def _loses(crossing: Crossing, chosen: Chosen) -> bool:
    return crossing.codec != "fp32" and crossing.cut not in (0, chosen.table.last)


def _routes(samples: Samples) -> Routes:
    """As the guarantees take them. The image as 8 bits is what was classified: its predictions are the plain ones."""
    header = samples.plain.header.model_copy(update={"cut": 0, "codec": "uint8"})
    pixels: Predictions = replace(samples.plain, header=header)
    return Routes(samples.plain, (*samples.others, pixels))
