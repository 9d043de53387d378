"""What plans cost, for the verb plan: profiles, the link between nodes, and another network that may finish."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offramp.cli.planning_asked import Given
from offramp.errors import InputError

if TYPE_CHECKING:
    from offramp.artifacts.manifest import Manifest
    from offramp.artifacts.predictions import Predictions
    from offramp.artifacts.profile import LinkProfile, Profile
    from offramp.measure.crossings import Crossings
    from offramp.plan.choose import Extent
    from offramp.plan.inputs import Samples
    from offramp.plan.pricing import Prices
    from offramp.plan.table import Crossing

NO_LINK = "none"


def read_all(files: tuple[Path, ...]) -> "dict[str, Predictions]":
    """Predictions by the name of their file."""
    from offramp.artifacts.predictions import Predictions

    return {str(path): Predictions.read(path) for path in files}


def measured(source: "Crossings", split: str) -> "Callable[[Crossing], Predictions]":
    """What measures a split by a crossing."""
    return lambda crossing: source.measure(split, crossing.cut, crossing.codec)


def edge_profile(given: Given) -> "Profile":
    """The edge's; an InputError where none was named."""
    from offramp.artifacts.profile import Profile

    if given.profile is None:
        raise InputError(
            "profile: nothing says what the network's parts take on the edge. Measure it there: offramp profile "
            f"{given.bundle} --out profile.json, and give --profile profile.json"
        )
    return Profile.read(given.profile)


def link_named(said: str | None) -> "LinkProfile | None":
    """The link that was named; None where there is none."""
    from offramp.artifacts.profile import LinkProfile
    from offramp.link.shape import LinkShape

    if said is None:
        raise InputError(
            "link: nothing says what lies between edge and cloud. Name one, like --link wifi or 10mbit,20ms, or give "
            "the file of: offramp profile BUNDLE --cloud HOST:PORT. Without a cloud, everything at the edge is the "
            "plan that there is: --link none"
        )
    if said == NO_LINK:
        return None
    return LinkProfile.read(Path(said)) if said.endswith(".json") else LinkProfile.stated(LinkShape.parse(said))


def market(
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
    _check_cascade(given, link)
    if link is None:
        return Extent(alone=True), Prices(manifest, costs, {})
    others, finish = _other(given, manifest, samples, between) if given.cascade is not None else ({}, {})
    measure = None if source is None else measured(source, samples.split)
    return Extent(others=others, measure=measure), Prices(manifest, costs, finish)


def _check_cascade(given: Given, link: "LinkProfile | None") -> None:
    """Raise InputError where a cascade is asked for by half, or without a cloud that it would end in."""
    if given.cascade is None:
        beside = {"predictions": given.cascade_predictions, "profile": given.cascade_profile}
        for name, value in beside.items():
            if value is not None:
                raise InputError(f"cascade {name} {value}: of which network? Name its bundle: --cascade BUNDLE")
    elif link is None:
        raise InputError(f"cascade {given.cascade}: it ends in a cloud, and by --link none there is none. Name a link.")
    elif given.cascade_predictions is None or given.cascade_profile is None:
        raise InputError(
            f"cascade {given.cascade}: its predictions and its profile are needed as well. Measure them: offramp "
            f"predict {given.cascade} --split validation, offramp profile {given.cascade}; and give "
            "--cascade-predictions, --cascade-profile"
        )


def check_finishes(other: "Manifest", manifest: "Manifest", name: object) -> None:
    """Raise InputError unless another network can finish with what goes on: the same images, told apart alike."""
    theirs, ours = other.preprocessing, manifest.preprocessing
    if theirs.kind != "images":
        raise InputError(
            f"cascade {name}: takes {theirs.kind}, and images alone are handed to another network. Leave it out."
        )
    if theirs.shape != ours.shape:
        raise InputError(
            f"cascade {name}: takes images of {theirs.shape}, and an edge hands on those of its own network, of "
            f"{ours.shape}. Name a network that takes these."
        )
    if other.classes != manifest.classes:
        same = "in another order" if set(other.classes) == set(manifest.classes) else "others"
        raise InputError(
            f"cascade {name}: its classes are {', '.join(other.classes[:5])} ({len(other.classes)}), and this "
            f"network's {', '.join(manifest.classes[:5])} ({len(manifest.classes)}): {same}. An answer is a class's "
            "number: both need the same, in one order."
        )


def _other(
    given: Given, mine: "Manifest", samples: "Samples", link: "LinkProfile"
) -> tuple[dict[Any, Any], dict[str, Any]]:
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
    assert given.cascade_predictions is not None
    assert given.cascade_profile is not None
    manifest = Bundle.open(given.cascade).manifest
    check_finishes(manifest, mine, given.cascade)
    (theirs,) = sort_out(read_all((given.cascade_predictions,)), manifest).values()
    same = [np.array_equal(getattr(theirs.plain, of), getattr(samples.plain, of)) for of in ("index", "labels")]
    if not all(same) or theirs.split != samples.split:
        raise InputError(
            f"{given.cascade_predictions}: not of the samples that this network is chosen on ({samples.split}). "
            f"Measure on the same data: offramp predict {given.cascade} --split {samples.split}"
        )
    right = theirs.plain.at(theirs.plain.last).argmax(axis=1) == samples.plain.labels
    costs = Costs.of(manifest, Profile.read(given.cascade_profile), link)
    cloud = costs.cloud(Part(active=(), cut=0, codec="uint8"))
    return {Crossing(0, "uint8", manifest.id): right}, {manifest.id: Finish(cloud, manifest.macs(manifest.last))}
