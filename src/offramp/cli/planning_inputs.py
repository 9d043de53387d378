"""What the verb plan works on: files and options, read and checked, and what is missing measured."""

import sys
from typing import TYPE_CHECKING, Any

from offramp.cli.planning_asked import Asked, Given
from offramp.cli.planning_choices import choices_of
from offramp.cli.planning_market import edge_profile, link_named, market, measured, read_all
from offramp.progress import Watch, waiting

if TYPE_CHECKING:
    from offramp.artifacts.bundle import Bundle
    from offramp.artifacts.choices import Choices
    from offramp.artifacts.manifest import Manifest
    from offramp.artifacts.predictions import PredictionsHeader
    from offramp.artifacts.profile import LinkProfile, Profile
    from offramp.measure.crossings import Crossings
    from offramp.plan.baselines import Jpeg
    from offramp.plan.choose import Chosen, Extent
    from offramp.plan.inputs import Samples
    from offramp.plan.pricing import Prices
    from offramp.report.plan_words import Outcome


def gathered(given: Given, asked: Asked, keep: bool) -> "tuple[Outcome, Choices | None, list[str], Crossings | None]":
    """The choice; the plans for an edge to choose among, where it shall `keep` some; what test says; what measured."""
    from offramp.artifacts.bundle import Bundle
    from offramp.plan.baselines import baselines
    from offramp.report.plan_words import Outcome

    bundle = Bundle.open(given.bundle)
    edge, link = edge_profile(given), link_named(given.link)
    with waiting() as watching:
        source = None if given.data is None and given.predictions else source_of(bundle, edge, given, watching.at)
        samples, calibration = split_samples(given, asked, bundle.manifest, source)
        say_estimate(samples.plain.header)
        extent, prices = market(given, bundle.manifest, edge, link, samples, source)
        chosen = _chosen(samples, prices, asked, extent)
        deployed, plan = chosen.best, chosen.best.plan(chosen.score)
        if asked.confidence is not None:
            deployed, plan = _shown(chosen, asked, calibration, source)
        jpeg = _jpeg(source, chosen, link)
        ready = choices_of(chosen, deployed, plan, asked, calibration, source) if keep else None
    rows = baselines(chosen.table, prices, chosen.goal, chosen.scan.grid, jpeg)
    outcome = Outcome(chosen, deployed, plan, tuple(rows))
    return outcome, ready, _tests(given, outcome, bundle.manifest), source


def say_estimate(header: "PredictionsHeader") -> None:
    """Print that accuracies are estimates, where they are."""
    if header.precision != "fp32":
        print(
            f"note: in {header.precision} a network that is cut gives other numbers than {header.route}, and nodes "
            "answer a few samples otherwise: accuracies are estimates, and nothing can be promised of them.",
            file=sys.stderr,
        )


def source_of(bundle: "Bundle", edge: "Profile", given: Given, watch: Watch) -> "Crossings":
    """What has the data, and measures predictions that were not given."""
    from offramp.measure.crossings import Crossings
    from offramp.runtime.choice import choose

    engine = choose(bundle, edge.on, edge.precision).engine
    return Crossings(bundle, engine, given.data, watch)


def split_samples(
    given: Given, asked: Asked, manifest: "Manifest", source: "Crossings | None", *, chains: bool = False
) -> "tuple[Samples, Samples | None]":
    """The samples to choose on, and those to promise on."""
    from offramp.plan.inputs import Samples, sort_out

    found = sort_out(read_all(given.predictions), manifest, chains=chains)
    if source is not None and "validation" not in found:
        found["validation"] = Samples(source.measure("validation"))
    if source is not None and asked.confidence is not None and "calibration" not in found:
        found["calibration"] = Samples(source.measure("calibration"))
    if asked.confidence is None:
        return found.get("validation") or found["calibration"], None
    if len(found) == 2:
        return found["validation"], found["calibration"]
    (only,) = found.values()
    print(
        f"note: of the {len(only.plain)} samples of {only.split}, one half is chosen on and the other promised on. "
        "Predictions of the other split as well would be more of both.",
        file=sys.stderr,
    )
    return only.halves()


def _chosen(samples: "Samples", prices: "Prices", asked: Asked, extent: "Extent") -> "Chosen":
    """By the score that is asked for, or the best of all."""
    from offramp.plan.choose import choose

    return asked.by_score(
        lambda score: choose(samples, prices, asked.wanted, score, extent), lambda one: one.goal.cost(one.best.figures)
    )


def _shown(
    chosen: "Chosen", asked: Asked, calibration: "Samples | None", source: "Crossings | None"
) -> tuple[Any, Any]:
    from offramp.plan.promised import promised

    assert calibration is not None
    assert asked.confidence is not None
    measure = None if source is None else measured(source, calibration.split)
    return promised(chosen, asked.wanted, calibration, asked.confidence, asked.promise, measure)


def _jpeg(source: "Crossings | None", chosen: "Chosen", link: "LinkProfile | None") -> "Jpeg | None":
    """What JPEG would come to, where there are images to try it on."""
    from offramp.plan.baselines import Jpeg

    if source is None or link is None or source.bundle.manifest.preprocessing.kind != "images":
        return None
    found = source.compressed(chosen.samples.split)
    seconds = 0.0 if link.up is None else 8 / link.up
    return Jpeg(found.bytes, seconds, found.accuracy)


def _tests(given: Given, outcome: "Outcome", manifest: "Manifest") -> list[str]:
    """What the choice and the last exit come to on predictions that nothing was chosen on."""
    from offramp.plan.inputs import sort_out
    from offramp.plan.table import Crossing, Table
    from offramp.report.plan_words import on_other

    lines = []
    chosen = outcome.chosen
    for split, samples in sort_out(read_all(given.report), manifest, reporting=True).items():
        table = Table.of(samples.plain, manifest, samples.others, chosen.score)
        if outcome.deployed.crossing not in table.ends:
            lines.append(f"on {split}: the choice's crossing was not measured. Its predictions too: --report")
            continue
        whole = float(table.ends[Crossing(table.last, "fp32")].mean())
        mine = [("the choice", outcome.deployed.on(chosen.prices, table))]
        lines += on_other(split, mine, whole, len(table))
    return lines
