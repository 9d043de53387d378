"""What the verb plan works on: files and options, read and checked, and what is missing measured."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, get_args

from offramp.errors import InputError
from offramp.progress import Watch, waiting

if TYPE_CHECKING:
    from offramp.artifacts.bundle import Bundle, Manifest
    from offramp.artifacts.choices import Choices
    from offramp.artifacts.predictions import Predictions
    from offramp.artifacts.profile import LinkProfile, Profile
    from offramp.measure.crossings import Crossings
    from offramp.plan.baselines import Jpeg
    from offramp.plan.choose import Chosen, Extent, Wanted
    from offramp.plan.inputs import Samples
    from offramp.plan.pricing import Prices
    from offramp.plan.table import Crossing
    from offramp.report.plan_words import Outcome

MAX_LOSS = 0.01  # where nothing is said
SCORES = ("entropy", "max-probability", "margin")
NO_LINK = "none"


@dataclass(frozen=True)
class Asked:
    """What is wanted, and with which confidence it is promised; None: it is not."""

    wanted: "Wanted"
    confidence: float | None
    promise: Any
    scores: tuple[Any, ...]

    @classmethod
    def of(
        cls,
        minimise: str | None,
        max_loss: float | None,
        deadline: float | None,
        up: float | None,
        cloud_ms: float | None,
        confidence: float | None,
        promise: str,
        score: str,
    ) -> Self:
        """Check what was said, and fill in the rest."""
        from offramp.artifacts.promise import PromiseKind
        from offramp.plan.choose import Wanted
        from offramp.plan.goal import MINIMISED

        if promise not in get_args(PromiseKind):
            raise InputError(f"promise {promise!r}: unknown. Choose one of {', '.join(get_args(PromiseKind))}.")
        if score not in (*SCORES, "auto"):
            raise InputError(
                f"score {score!r}: not one that plans are looked for by. Choose one of {', '.join(SCORES)}, or auto."
            )
        bounded = any(bound is not None for bound in (deadline, up, cloud_ms))
        if minimise is None:
            minimise = "loss" if bounded and max_loss is None and confidence is None else "latency"
        least = next((one for one in MINIMISED if one == minimise), None)
        if least is None:
            raise InputError(f"minimise {minimise!r}: unknown. Choose one of {', '.join(MINIMISED)}.")
        if max_loss is None and least != "loss":
            max_loss = MAX_LOSS
        cloud = None if cloud_ms is None else cloud_ms / 1000
        return cls(
            Wanted(least, max_loss, deadline, up, cloud), confidence, promise, SCORES if score == "auto" else (score,)
        )


@dataclass(frozen=True)
class Given:
    """Paths and names, as they were typed."""

    bundle: Path
    predictions: tuple[Path, ...]
    data: str | None
    profile: Path | None
    cloud_profile: Path | None
    link: str | None
    cascade: Path | None
    cascade_predictions: Path | None
    cascade_profile: Path | None
    report: tuple[Path, ...]


def gathered(given: Given, asked: Asked, keep: bool) -> "tuple[Outcome, Choices | None, list[str]]":
    """The choice, the plans for an edge to choose among where it shall `keep` some, and what test says of the choice."""
    from offramp.artifacts.bundle import Bundle
    from offramp.plan.baselines import baselines
    from offramp.report.plan_words import Outcome

    bundle = Bundle.open(given.bundle)
    edge, link = _profile(given), _link(given.link)
    with waiting() as watching:
        source = _source(bundle, edge, given, watching.at)
        samples, calibration = _samples(given, asked, bundle.manifest, source)
        extent, prices = _market(given, bundle.manifest, edge, link, samples, source)
        chosen = _chosen(samples, prices, asked, extent)
        deployed, plan = chosen.best, chosen.best.plan(chosen.score)
        if asked.confidence is not None:
            deployed, plan = _shown(chosen, asked, calibration, source)
        jpeg = _jpeg(source, chosen, link)
    rows = baselines(chosen.table, prices, chosen.goal, chosen.scan.grid, jpeg)
    outcome = Outcome(chosen, deployed, plan, tuple(rows))
    ready = _ready(outcome, asked, bundle.id) if keep else None
    return outcome, ready, _tests(given, outcome, bundle.manifest)


def _profile(given: Given) -> "Profile":
    from offramp.artifacts.profile import Profile

    if given.profile is None:
        raise InputError(
            "profile: nothing says what the network's parts take on the edge. Measure it there: offramp profile "
            f"{given.bundle} --out profile.json, and give --profile profile.json"
        )
    return Profile.read(given.profile)


def _link(said: str | None) -> "LinkProfile | None":
    """The link that was named; None where there is none."""
    from offramp.artifacts.profile import LinkProfile
    from offramp.link.shape import LinkShape

    if said is None:
        raise InputError(
            "link: nothing says what lies between edge and cloud. Name one, like --link wifi or 10mbit,20ms, or give "
            "the file of: offramp profile BUNDLE --cloud HOST:PORT. Without a cloud, everything at the edge is the plan "
            "that there is: --link none"
        )
    if said == NO_LINK:
        return None
    return LinkProfile.read(Path(said)) if said.endswith(".json") else LinkProfile.stated(LinkShape.parse(said))


def _source(bundle: "Bundle", edge: "Profile", given: Given, watch: Watch) -> "Crossings | None":
    """What measures predictions that were not given; None where no data are named."""
    from offramp.measure.crossings import Crossings
    from offramp.runtime.choice import choose

    if given.data is None and given.predictions:
        return None
    engine = choose(bundle, edge.runtime.split()[0], edge.precision).engine
    return Crossings(bundle, engine, given.data, watch)


def _samples(
    given: Given, asked: Asked, manifest: "Manifest", source: "Crossings | None"
) -> "tuple[Samples, Samples | None]":
    """The samples to choose on, and those to promise on."""
    from offramp.plan.inputs import Samples, sort_out

    found = sort_out(_read(given.predictions), manifest)
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


def _read(files: tuple[Path, ...]) -> "dict[str, Predictions]":
    from offramp.artifacts.predictions import Predictions

    return {str(path): Predictions.read(path) for path in files}


def _market(
    given: Given,
    manifest: "Manifest",
    edge: "Profile",
    link: "LinkProfile | None",
    samples: "Samples",
    source: "Crossings | None",
) -> "tuple[Extent, Prices]":
    """Which plans there are beside those of the network alone, and what all cost."""
    from offramp.artifacts.profile import LinkProfile, Profile
    from offramp.plan.choose import Extent
    from offramp.plan.cost import Costs
    from offramp.plan.pricing import Prices

    cloud = edge if given.cloud_profile is None else Profile.read(given.cloud_profile)
    between = link or LinkProfile(between="none")
    costs = Costs.of(manifest, edge, between, cloud, precision=samples.plain.header.precision)
    if link is None:
        return Extent(alone=True), Prices(manifest, costs, {})
    others, finish = _other(given, samples, between) if given.cascade is not None else ({}, {})
    measure = None if source is None else _measured(source, samples.split)
    return Extent(others=others, measure=measure), Prices(manifest, costs, finish)


def _measured(source: "Crossings", split: str) -> "Callable[[Crossing], Predictions]":
    return lambda crossing: source.measure(split, crossing.cut, crossing.codec)


def _other(given: Given, samples: "Samples", link: "LinkProfile") -> tuple[dict[Any, Any], dict[str, Any]]:
    """The other network of a cascade: who is right by it, and what finishing by it costs."""
    import numpy as np

    from offramp.artifacts.bundle import Bundle
    from offramp.artifacts.plan import Part
    from offramp.artifacts.profile import Profile
    from offramp.plan.cost import Costs
    from offramp.plan.inputs import sort_out
    from offramp.plan.pricing import Finish
    from offramp.plan.table import Crossing

    assert given.cascade is not None
    if given.cascade_predictions is None or given.cascade_profile is None:
        raise InputError(
            f"cascade {given.cascade}: its predictions and its profile are needed as well. Measure them: offramp "
            f"predict {given.cascade} --split {samples.split}, offramp profile {given.cascade}; and give "
            "--cascade-predictions, --cascade-profile"
        )
    manifest = Bundle.open(given.cascade).manifest
    (theirs,) = sort_out(_read((given.cascade_predictions,)), manifest).values()
    if not (np.array_equal(theirs.plain.index, samples.plain.index) and theirs.split == samples.split):
        raise InputError(
            f"{given.cascade_predictions}: not of the samples that this network is chosen on ({samples.split}). "
            f"Measure on the same data: offramp predict {given.cascade} --split {samples.split}"
        )
    right = theirs.plain.at(theirs.plain.last).argmax(axis=1) == samples.plain.labels
    costs = Costs.of(manifest, Profile.read(given.cascade_profile), link)
    cloud = costs.cloud(Part(active=(), cut=0, codec="uint8"))
    return {Crossing(0, "uint8", manifest.id): right}, {manifest.id: Finish(cloud, manifest.macs(manifest.last))}


def _chosen(samples: "Samples", prices: "Prices", asked: Asked, extent: "Extent") -> "Chosen":
    """By the score that is asked for, or the best of all."""
    from offramp.plan.choose import choose

    found = [choose(samples, prices, asked.wanted, score, extent) for score in asked.scores]
    return min(found, key=lambda one: float(one.goal.cost(one.best.figures)))


def _shown(
    chosen: "Chosen", asked: Asked, calibration: "Samples | None", source: "Crossings | None"
) -> tuple[Any, Any]:
    from offramp.plan.promised import promised

    assert calibration is not None
    assert asked.confidence is not None
    measure = None if source is None else _measured(source, calibration.split)
    return promised(chosen, asked.wanted, calibration, asked.confidence, asked.promise, measure)


def _jpeg(source: "Crossings | None", chosen: "Chosen", link: "LinkProfile | None") -> "Jpeg | None":
    """What JPEG would come to, where there are images to try it on."""
    from offramp.plan.baselines import Jpeg

    if source is None or link is None:
        return None
    found = source.compressed(chosen.samples.split)
    seconds = 0.0 if link.up is None else 8 / link.up
    return Jpeg(found.bytes, seconds, found.accuracy)


def _ready(outcome: "Outcome", asked: Asked, bundle: str) -> "Choices":
    """The plans for an edge to choose among; the one that was promised is one of them."""
    from offramp.artifacts.choices import Choices
    from offramp.plan.links import over_links, priced

    chosen = outcome.chosen
    least = chosen.goal.accuracy
    kept = over_links(chosen.scan, chosen.table, chosen.prices, chosen.goal)
    plans = [priced(one, chosen.score) for one in kept]
    mine = priced(outcome.deployed, chosen.score).model_copy(update={"plan": outcome.plan})
    if not outcome.deployed.crossing.other and mine not in plans:
        plans.append(mine)
    return Choices(bundle=bundle, least_accuracy=least, plans=tuple(plans))


def _tests(given: Given, outcome: "Outcome", manifest: "Manifest") -> list[str]:
    """What the choice and the last exit come to on predictions that nothing was chosen on."""
    from offramp.plan.inputs import sort_out
    from offramp.plan.table import Crossing, Table
    from offramp.report.plan_words import on_other

    lines = []
    chosen = outcome.chosen
    for split, samples in sort_out(_read(given.report), manifest, reporting=True).items():
        table = Table.of(samples.plain, manifest, samples.others, chosen.score)
        if outcome.deployed.crossing not in table.ends:
            lines.append(f"on {split}: the choice's crossing was not measured. Give its predictions by --report as well.")
            continue
        whole = float(table.ends[Crossing(table.last, "fp32")].mean())
        mine = [("the choice", outcome.deployed.on(chosen.prices, table))]
        lines += on_other(split, mine, whole, len(table))
    return lines
