"""A choice that is promised: the cheapest of a chain of plans that samples set apart for it show to keep within a loss.

The chain comes from the samples that plans are chosen on, how far down it is safe from others (`exits.guarantees`): one
candidate that is likely to be shown, and the same at thresholds that are lower and higher than its own.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np

from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.artifacts.promise import PromiseKind
from offramp.errors import InputError
from offramp.exits.guarantees import Routes, aimed, moments, promise, stretched
from offramp.exits.score import Floats
from offramp.plan.candidate import Candidate
from offramp.plan.choose import Chosen, Measure, Wanted
from offramp.plan.inputs import Samples
from offramp.plan.jointly import jointly
from offramp.plan.pricing import Columns
from offramp.plan.search import at_the_edge
from offramp.plan.table import Crossing

WAYS = 3  # crossings of candidates, for which thresholds are looked for anew
PARTS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)  # of the thresholds


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
    chain = [one for one in chosen.chain(wanted) if not one.crossing.other]
    ways = list(dict.fromkeys(one.crossing for one in chain))[:WAYS]
    chain += jointly(chosen.samples.plain, chosen.table, chosen.prices, chosen.goal, ways)
    chain = [at_the_edge(one, chosen.table, chosen.prices) for one in chain]
    chain, calibration = _measured(chain, chosen, calibration, measure)
    if not chain:
        raise InputError(
            "promise: no candidate's crossing was measured on the calibration samples. Measure it: offramp predict "
            "BUNDLE --split calibration --cut K --codec NAME"
        )
    order, test = _routes(chosen.samples), _routes(calibration)
    chain = list(_stretched(chain, order, chosen, wanted, len(calibration.plain), confidence, kind))
    return _shown(chain, _costs(chain, chosen, wanted), (order, test), chosen, wanted, confidence, kind)


def promised_each(
    chosen: Chosen,
    wanted: Wanted,
    kept: Sequence[Candidate],
    calibration: Samples,
    confidence: float,
    kind: PromiseKind,
    measure: Measure | None = None,
) -> list[tuple[Candidate, Plan]]:
    """Plans that an edge may switch between, made stricter until the same is shown of each: of all at once.

    Each has its share of the doubt, so that the promise holds whichever is in force when. At its strictest a plan has
    no local exit, and loses what its crossing does. Of a plan that nothing is shown of, nothing is given.
    """
    kept, calibration = _measured(list(kept), chosen, calibration, measure)
    splits, found = (_routes(chosen.samples), _routes(calibration)), []
    for one in kept:
        chain = list(_stricter(one, chosen))
        costs = np.array([each.figures.onward or each.figures.edge for each in chain])
        with suppress(InputError):
            surer = 1 - (1 - confidence) / len(kept)
            found.append(_shown(chain, costs, splits, chosen, wanted, surer, kind))
    return found


def _shown(
    chain: Sequence[Candidate],
    costs: Floats,
    splits: tuple[Routes, Routes],
    chosen: Chosen,
    wanted: Wanted,
    confidence: float,
    kind: PromiseKind,
) -> tuple[Candidate, Plan]:
    assert wanted.max_loss is not None
    plans = [one.plan(chosen.score) for one in chain]
    plan, which = promise(*splits, plans, costs, wanted.max_loss, confidence, kind)
    return chain[which], plan


def _stretched(
    chain: Sequence[Candidate],
    order: Routes,
    chosen: Chosen,
    wanted: Wanted,
    samples: int,
    confidence: float,
    kind: PromiseKind,
) -> Iterator[Candidate]:
    """The cheapest of some candidates that is likely to be shown, stricter and laxer, as far as bounds are kept."""
    assert wanted.max_loss is not None
    expect = moments(order, [one.plan(chosen.score) for one in chain], kind)
    best = chain[aimed(expect, _costs(chain, chosen, wanted), samples, wanted.max_loss, 1 - confidence)]
    bounds = replace(chosen.goal, accuracy=None)
    yield best
    for thresholds in stretched(best.thresholds):
        if best.exits and bounds.met((found := _at(best, thresholds, chosen)).figures):
            yield found


def _costs(candidates: Sequence[Candidate], chosen: Chosen, wanted: Wanted) -> Floats:
    """What is to be least; where that is the loss, which is promised, the time."""
    columns = Columns.of(one.figures for one in candidates)
    return columns.mean if wanted.minimise == "loss" else chosen.goal.cost(columns)


def _at(one: Candidate, thresholds: Iterable[float], chosen: Chosen) -> Candidate:
    """The same at other thresholds, rounded to be typed and read."""
    rounded = tuple(float(f"{threshold:.3g}") for threshold in thresholds)
    return replace(one, thresholds=rounded).on(chosen.prices, chosen.table)


def _stricter(one: Candidate, chosen: Chosen) -> Iterator[Candidate]:
    """The same crossing with lower and lower thresholds, and at last with no exit."""
    for part in PARTS:
        yield _at(one, (part * threshold for threshold in one.thresholds), chosen)
    if one.exits:
        yield replace(one, exits=(), thresholds=()).on(chosen.prices, chosen.table)


def _measured(
    candidates: list[Candidate], chosen: Chosen, calibration: Samples, measure: Measure | None
) -> tuple[list[Candidate], Samples]:
    """Candidates whose crossings were measured on the calibration samples, or are now."""
    missing = {one.crossing for one in candidates if _loses(one.crossing, chosen)}
    for way in sorted(way for way in missing if calibration.by(way) is None):
        if measure is None:
            candidates = [one for one in candidates if one.crossing != way]
        else:
            calibration = calibration.beside(measure(way))
    return candidates, calibration


def _loses(crossing: Crossing, chosen: Chosen) -> bool:
    return crossing.codec != "fp32" and crossing.cut not in (0, chosen.table.last)


def _routes(samples: Samples) -> Routes:
    """As the guarantees take them. The image as 8 bits is what was classified: its predictions are the plain ones."""
    header = samples.plain.header.model_copy(update={"cut": 0, "codec": "uint8"})
    pixels: Predictions = replace(samples.plain, header=header)
    return Routes(samples.plain, (*samples.others, pixels))
