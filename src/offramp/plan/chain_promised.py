"""A chain that is promised: the cheapest of some plans of three tiers that other samples show to keep within a loss.

Candidates are the plans that nothing beats of those the choice looked at, and for its best crossings others with a
threshold for each exit. How a promise comes of them is that of two tiers (`exits.guarantees`): a threshold does not ask
where its exit stands, but what an exit says behind a hop that loses is measured behind it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from offramp.artifacts.legs import Leg, legs_of
from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.artifacts.promise import PromiseKind
from offramp.errors import InputError
from offramp.exits.guarantees import Routes, promise
from offramp.exits.posterior import expected_losses
from offramp.exits.score import Floats
from offramp.plan.chain_path import ChainFigures, Shape
from offramp.plan.chain_search import ChainCandidate, ChainChosen, Measure
from offramp.plan.chain_table import ChainTable, hops, hops_of, lossy
from offramp.plan.choose import Wanted
from offramp.plan.goal import front
from offramp.plan.inputs import Samples
from offramp.plan.jointly import tried
from offramp.plan.table import Crossing

WAYS = 3  # pairs of crossings, for which thresholds are looked for anew


def promised_chain(
    chosen: ChainChosen,
    wanted: Wanted,
    calibration: Samples,
    confidence: float,
    kind: PromiseKind,
    measure: Measure | None = None,
) -> tuple[ChainCandidate, Plan]:
    """The candidate that is deployed, and its plan with what was shown of it.

    `measure` gives the calibration samples by two hops that they were not measured by; without it, plans that have
    them are no candidates. Raises InputError where nothing is shown, with how many samples would do.
    """
    assert wanted.max_loss is not None
    some, calibration = _measured(candidates(chosen), chosen, calibration, measure)
    if not some:
        raise InputError(
            "promise: no candidate's hops were measured on the calibration samples. Measure them: offramp predict "
            "BUNDLE --split calibration --plan PLAN"
        )
    plans = [one.plan(chosen.table.last, chosen.score) for one in some]
    order, test = (routes(samples, some, plans) for samples in (chosen.samples, calibration))
    plan, which = promise(order, test, plans, _costs(some, chosen), wanted.max_loss, confidence, kind)
    return some[which], plan


def candidates(chosen: ChainChosen) -> list[ChainCandidate]:
    """Plans from strict to lax that keep within the goal's other bounds, and whose hops were measured."""
    bounds = replace(chosen.goal, accuracy=None)
    known = [one for one in chosen.ranked if chosen.table.knows(one.shape) and bounds.met(one.figures)]
    if not known:
        return []
    best = front(_costs(known, chosen), np.array([float(one.figures.accuracy) for one in known]))
    ways = list(dict.fromkeys(_widest(one.shape, chosen.table) for one in known))[:WAYS]
    return [*(known[k] for k in best), *(one for one in _jointly(chosen, ways) if bounds.met(one.figures))]


def _costs(some: Iterable[ChainCandidate], chosen: ChainChosen) -> Floats:
    columns = ChainFigures(*np.array([tuple(one.figures) for one in some], np.float64).T)
    return np.asarray(columns.mean) if chosen.goal.minimise == "loss" else chosen.goal.cost(columns)


def routes(samples: Samples, some: Iterable[ChainCandidate], plans: Iterable[Plan]) -> Routes:
    """One split's predictions by the route of each candidate's plan."""
    found: dict[tuple[Leg, ...], Predictions] = {}
    for one, plan in zip(some, plans, strict=True):
        legs = legs_of(plan, samples.plain.last)
        if legs not in found:
            found[legs] = _by(samples, one.shape, legs)
    return Routes(samples.plain, tuple(found.values()))


def _by(samples: Samples, shape: Shape, legs: tuple[Leg, ...]) -> Predictions:
    """What the spans of a shape say in fp32: each exit as it was measured behind the hops before it that lose."""
    plain, losing = samples.plain, tuple(dict.fromkeys(filter(lossy, hops(shape))))
    heard, every = plain, (plain, *samples.others)
    if shape.edge and lossy(shape.first):
        heard = next(one for one in every if _losing(one)[:1] == losing[:1] and set(shape.edge) <= set(one.logits))
    end = next(one for one in every if _losing(one) == losing)
    of = {**dict.fromkeys(shape.device, plain), **dict.fromkeys(shape.edge, heard), plain.last: end}
    first, *behind = legs
    update = {"active": first.active, "cut": first.cut, "codec": first.codec, "behind": tuple(behind)}
    header = plain.header.model_copy(update=update | {"exits": tuple(of)})
    return Predictions(header, plain.index, plain.labels, {exit_: one.at(exit_) for exit_, one in of.items()})


def _losing(one: Predictions) -> tuple[Crossing, ...]:
    """The hops that predictions were measured by, of those that lose."""
    crossed = hops_of(one) if one.header.behind else (Crossing(one.header.cut, one.header.codec),)
    return tuple(dict.fromkeys(filter(lossy, crossed)))


def _widest(shape: Shape, table: ChainTable) -> Shape:
    """The same crossings with every exit that they allow; the edge's behind a hop that loses, where that was heard."""
    exits, first, second = table.plain.exits, shape.first, shape.second
    place = first.cut or max(shape.device, default=0)
    ends = shape.direct or first.cut == table.last or (lossy(first) and first not in table.behind)
    edge = () if ends else tuple(k for k in exits if k > place and (not second.cut or k <= second.cut))
    return shape._replace(device=tuple(k for k in exits if k <= place), edge=edge)


def _jointly(chosen: ChainChosen, ways: Iterable[Shape]) -> Iterator[ChainCandidate]:
    """For each shape, plans with some of its exits for a range of prices of a lost answer, and one with none."""
    table, prices, losses = chosen.table, chosen.prices, expected_losses(chosen.samples.plain)
    for way in ways:

        def costs(exits: tuple[int, ...], way: Shape = way) -> Floats:
            return prices.path(_with(way, exits)).costs(chosen.goal.minimise)

        yield ChainCandidate.of(table, prices, _with(way, ()), ())
        for exits, thresholds in tried(table.table(way), losses, way.exits, costs):
            yield ChainCandidate.of(table, prices, _with(way, exits), thresholds)


def _with(shape: Shape, exits: tuple[int, ...]) -> Shape:
    """The same with these of its exits alone."""
    device, edge = (tuple(k for k in of if k in exits) for of in (shape.device, shape.edge))
    return shape._replace(device=device, edge=edge)


def _measured(
    some: list[ChainCandidate], chosen: ChainChosen, calibration: Samples, measure: Measure | None
) -> tuple[list[ChainCandidate], Samples]:
    """Candidates whose hops were measured on the calibration samples, or are now."""
    table = ChainTable.of(calibration, chosen.table.manifest, chosen.score)
    for shape in dict.fromkeys(one.shape for one in some):
        for _ in ("the edge's exits", "the end"):  # each may need predictions of its own
            missing = table.lacks(shape)
            if measure is not None and missing is not None:
                calibration = calibration.beside(measure(missing))
                table = ChainTable.of(calibration, chosen.table.manifest, chosen.score)
    return [one for one in some if table.knows(one.shape)], calibration
