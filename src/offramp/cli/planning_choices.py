"""The plans that the verb plan gives an edge to choose among: each the best over some link, within what was asked."""

from dataclasses import replace
from typing import TYPE_CHECKING

from offramp.cli.planning_asked import Asked
from offramp.cli.planning_market import measured

if TYPE_CHECKING:
    from offramp.artifacts.choices import Choices
    from offramp.artifacts.plan import Plan
    from offramp.measure.crossings import Crossings
    from offramp.plan.candidate import Candidate
    from offramp.plan.choose import Chosen
    from offramp.plan.inputs import Samples

LOSSES = (0.002, 0.01, 0.03, 0.08)  # where none was asked for: an edge takes the most accurate within a time


def choices_of(
    chosen: "Chosen",
    deployed: "Candidate",
    plan: "Plan",
    asked: Asked,
    calibration: "Samples | None",
    source: "Crossings | None",
) -> "Choices":
    """Of a choice with what is deployed. Where that is promised, the promise holds of all of these at once."""
    from offramp.artifacts.choices import Choices
    from offramp.plan.links import priced
    from offramp.plan.promised import promised_each
    from offramp.plan.search import at_the_edge

    kept = list(dict.fromkeys(at_the_edge(one, chosen.table, chosen.prices) for one in _kept(chosen)))
    if not deployed.crossing.other:
        kept = [deployed, *(one for one in kept if (one.exits, one.crossing) != (deployed.exits, deployed.crossing))]
    if asked.confidence is None or calibration is None:
        made = [(one, one.plan(chosen.score)) for one in kept]
    else:
        measure = None if source is None else measured(source, calibration.split)
        made = promised_each(chosen, asked.wanted, kept, calibration, asked.confidence, asked.promise, measure)
    made = made or [(deployed, plan)]
    plans = [priced(one, chosen.score).model_copy(update={"plan": its}) for one, its in made]
    bundle = chosen.samples.plain.header.source.removeprefix("bundle:")
    return Choices(bundle=bundle, least_accuracy=chosen.goal.accuracy, plans=tuple(plans))


def _kept(chosen: "Chosen") -> "list[Candidate]":
    from offramp.plan.links import MOST, over_links

    scan, goal, whole = chosen.scan, chosen.goal, chosen.whole
    if goal.accuracy is not None:
        return over_links(scan, chosen.table, chosen.prices, goal)
    found = [
        over_links(scan, chosen.table, chosen.prices, replace(goal, accuracy=whole - loss), MOST // len(LOSSES))
        for loss in LOSSES
    ]
    return [one for some in found for one in some]
