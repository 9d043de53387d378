"""The planner's choice for a link, made before anything of it is measured: what a reproduction sets beside the paper's.

`offramp plan` with its defaults: the least latency that loses at most a point of accuracy, chosen on validation
samples, priced by a profile of this machine. What was chosen is kept in the run's folder, so that a run that goes on
measures the same.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from offramp.artifacts.engine import Engine
from offramp.artifacts.predictions import Predictions
from offramp.artifacts.profile import LinkProfile, Profile
from offramp.bench.device import Wanted as Profiled
from offramp.bench.device import profile_device
from offramp.link.shape import LinkShape
from offramp.measure.crossings import Crossings
from offramp.paper.networks import Network
from offramp.paper.reproduction import Planned, PlannedPlans
from offramp.plan.choose import Extent, Wanted, choose
from offramp.plan.cost import Costs
from offramp.plan.inputs import Samples
from offramp.plan.pricing import Prices
from offramp.plan.table import Crossing
from offramp.progress import Watch, unwatched

KEPT, PROFILE = "planned.json", "profile.json"
ROUNDS = 10  # of the profile
BOUND = 10.0  # of how much its times vary: what is measured beside it is measured on the same machine, busy or not
MAX_LOSS = 0.01  # of accuracy
ENGINE = Engine()


def most_exits(networks: Mapping[str, Network]) -> Network | None:
    """The network that there is most to choose in; None where none has a local exit."""
    found = max(networks.values(), key=lambda one: len(one.bundle.manifest.exits), default=None)
    return None if found is None or len(found.bundle.manifest.exits) == 1 else found


def planned(
    network: Network, links: Iterable[str], folder: Path, data: str | None = None, watch: Watch = unwatched
) -> tuple[Planned, ...]:
    """Choose a plan for each link, or give what was chosen when the run in this folder began."""
    bundle, wanted = network.bundle, list(dict.fromkeys(links))
    file = folder / KEPT
    if file.exists():
        kept = PlannedPlans.read(file)
        if kept.bundle == bundle.id and [one.link for one in kept.plans] == wanted:
            return kept.plans
    profile = _profile(network, folder / PROFILE, watch)
    source = Crossings(bundle, ENGINE, data, watch)
    samples = Samples(source.measure("validation"))

    def measure(crossing: Crossing) -> Predictions:
        return source.measure("validation", crossing.cut, crossing.codec)

    found = tuple(_choice(network, link, samples, profile, Extent(measure=measure)) for link in wanted)
    PlannedPlans(bundle=bundle.id, plans=found).write(file)
    return found


def _profile(network: Network, file: Path, watch: Watch) -> Profile:
    """Of this machine, measured once a run."""
    if file.exists() and (kept := Profile.read(file)).bundle == network.bundle.id:
        return kept
    how = Profiled(ENGINE.runtime, ENGINE.precision, rounds=ROUNDS, batches=(1,), bound=BOUND)
    found = profile_device(network.bundle, how, watch)
    found.write(file)
    return found


def _choice(network: Network, link: str, samples: Samples, profile: Profile, extent: Extent) -> Planned:
    manifest, between = network.bundle.manifest, LinkProfile.stated(LinkShape.parse(link))
    prices = Prices(manifest, Costs.of(manifest, profile, between, profile, precision=ENGINE.precision), {})
    best = choose(samples, prices, Wanted(max_loss=MAX_LOSS), extent=extent).best
    figures = best.figures
    return Planned(
        link=link,
        model=network.run.key.model,
        plan=best.plan(),
        said=str(best),
        latency_ms=round(1000 * figures.mean, 3),
        accuracy=round(figures.accuracy, 4),
        bytes_a_sample=round(figures.up, 1),
    )
