"""When does a third tier pay? The planner's answer, by one device's profile, were device and edge slower than it.

    python benchmarks/third_tier.py BUNDLE PROFILE --data DATA [--device 1,8,64] [--edge 1,8] [--links wifi/lte,lan/3g]

Every time of the profile is multiplied for the device and for the edge; the cloud is the profile as it is. Prints a
row for each: who computes by the best plan, its mean latency, and what the best of three tiers takes over the best of
fewer.
"""

import argparse
from pathlib import Path

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.engine import Engine
from offramp.artifacts.predictions import Predictions
from offramp.artifacts.profile import LinkProfile, Profile, Spread
from offramp.link.shape import LinkShape
from offramp.measure.crossings import Crossings
from offramp.plan.chain_path import ChainPrices
from offramp.plan.chain_search import ChainChosen, choose_chain
from offramp.plan.chain_table import Hops, lossy, plan_measured
from offramp.plan.choose import Wanted
from offramp.plan.cost import Costs
from offramp.plan.inputs import Samples


def slower(profile: Profile, times: float) -> Profile:
    """The same device, so many times slower."""

    def spread(one: Spread) -> Spread:
        values = {name: times * getattr(one, name) for name in ("median", "first", "third")}
        return one.model_copy(update=values)

    spans = tuple(one.model_copy(update={"ms": spread(one.ms)}) for one in profile.spans)
    answers = tuple(one.model_copy(update={"ms": spread(one.ms)}) for one in profile.answers)
    crossings = tuple(
        one.model_copy(update={"ms": spread(one.ms), "call_ms": spread(one.call_ms)}) for one in profile.crossings
    )
    update = {"spans": spans, "answers": answers, "crossings": crossings}
    return profile.model_copy(update=update | {"another_exit_ms": times * profile.another_exit_ms})


def row(chosen: ChainChosen) -> str:
    """What came of one world."""
    best, three, fewer = chosen.best, chosen.three, chosen.fewer
    mine = float(best.figures.mean)
    said = "none within the bounds" if three is None else f"{float(three.figures.mean / fewer.figures.mean - 1):+.1%}"
    return f"{'+'.join(best.tiers):18} {1000 * mine:9.2f} ms   {said:>8}   {best.brief(chosen.table.last)}"


def main() -> None:
    """Go through all worlds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("profile", type=Path)
    parser.add_argument("--data", default=None)
    parser.add_argument("--device", default="1,8,64")
    parser.add_argument("--edge", default="1,8")
    parser.add_argument("--links", default="wifi/lte,lte/lan,lan/3g")
    parser.add_argument("--max-loss", type=float, default=0.01)
    asked = parser.parse_args()
    bundle, profile = Bundle.open(asked.bundle), Profile.read(asked.profile)
    source = Crossings(bundle, Engine(), asked.data)
    plain, known = source.measure("validation"), dict[Hops, Predictions]()

    def measure(hops: Hops) -> Predictions:
        first, second = hops
        if hops not in known and lossy(first) and first != second:
            known[hops] = source.measure_by("validation", plan_measured(bundle.manifest, first, second))
        elif hops not in known:
            known[hops] = source.measure("validation", second.cut, second.codec)
        return known[hops]

    print(f"{bundle.manifest.model}, {len(plain)} validation samples, at most {asked.max_loss:.1%} lost; the machine:")
    print(
        f"{profile.hardware}, {profile.runtime}\nlinks      device  edge  who computes            mean   three to fewer"
    )
    for links in asked.links.split(","):
        near, far = (LinkProfile.stated(LinkShape.parse(one)) for one in links.split("/"))
        for device in map(float, asked.device.split(",")):
            for edge in (one for one in map(float, asked.edge.split(",")) if one <= device):
                first, second = slower(profile, device), slower(profile, edge)
                prices = ChainPrices(
                    bundle.manifest,
                    Costs.of(bundle.manifest, first, near, second),
                    Costs.of(bundle.manifest, second, far, profile),
                )
                chosen = choose_chain(Samples(plain), prices, Wanted(max_loss=asked.max_loss), measure=measure)
                print(f"{links:10} {device:5g}x {edge:4g}x  {row(chosen)}", flush=True)


if __name__ == "__main__":
    main()
