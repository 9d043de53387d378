"""When a third tier pays: what was measured of chains, in words, cells and rows. Draws nothing."""

import csv
import io
import statistics
from collections.abc import Sequence

from offramp.paper.conditions import moment
from offramp.paper.tiers import ALL, Chain, ThreeTiers, World
from offramp.report.plan_words import capital

SIGMAS = 1.96  # of a mean, for 95 %
TIMES = 3  # from which on a ratio is said as one
COLUMNS = (
    "chain", "mean ms", "median", "95 %", "right %", "device %", "edge %", "cloud %", "bytes to edge", "to cloud",
)  # fmt: skip
SAYS = (
    "of one sample at a time, the median of its repeats; bytes are of messages, a sample in the mean. Every chain with "
    "local exits has the same two, and leaves by them at the same threshold. The quickest first"
)


def answers(found: ThreeTiers) -> list[str]:
    """For each world whether a third tier pays, and what it saves or costs."""
    return [answer(world, found.of(world)) for world in found.worlds]


def answer(world: World, chains: Sequence[Chain]) -> str:
    """Of one world, whose chains come from the quickest on."""
    three = next((one for one in chains if one.name == ALL), None)
    fewer = next((one for one in chains if one.name != ALL), None)
    if three is None or fewer is None:
        return f"{capital(str(world))}: nothing to hold a third tier against."
    sent = f"{three.mean_bytes('edge'):,.0f} and {three.mean_bytes('cloud'):,.0f} bytes on its hops"
    other = f"{fewer.mean_bytes('edge'):,.0f} and {fewer.mean_bytes('cloud'):,.0f}"
    return (
        f"{capital(str(world))}: {_pays('a third tier', three, fewer)}. "
        f"Three tiers take {three.mean_ms:.2f} ms in the mean, "
        f"{compared(three.mean_ms / fewer.mean_ms)} the best of fewer ({fewer.name}, {fewer.mean_ms:.2f} ms), "
        f"with {sent} against {other}; right on {100 * three.accuracy:.1f} % against {100 * fewer.accuracy:.1f} %."
        f"{_where_no_more_fits(three, chains)}"
    )


def _pays(what: str, three: Chain, other: Chain) -> str:
    if not sure(three, other):
        return f"whether {what} pays is not to be told from these samples"
    return f"{what} {'pays' if three.mean_ms < other.mean_ms else 'does not pay'}"


def _where_no_more_fits(three: Chain, chains: Sequence[Chain]) -> str:
    """The same against those alone by which no tier before the cloud runs further than it does by three."""
    ends = _ends(three)
    chains = [one for one in chains if one.name != ALL]
    fit = [one for one in chains if all(at <= ends[tier] for tier, at in _ends(one).items())]
    if not fit or fit[0] is chains[0]:
        return ""
    other = fit[0]
    return (
        f" Where device and edge have room for no more of the network than that, {_pays('it', three, other)}: "
        f"{compared(three.mean_ms / other.mean_ms)} {other.name} ({other.mean_ms:.2f} ms)."
    )


def _ends(chain: Chain) -> dict[str, int]:
    """How far each tier runs."""
    return {tier: max(part.cut, *(one.exit for one in part.active), 0) for tier, part in chain.plan.tiers.items()}


def compared(ratio: float) -> str:
    """How a time compares with another's: in percent, or in times where it is a multiple."""
    if ratio >= TIMES:
        return f"{ratio:.0f} times that of"
    return f"{100 * abs(ratio - 1):.1f} % {'less' if ratio < 1 else 'more'} than"


def sure(one: Chain, other: Chain) -> bool:
    """Whether one is quicker than the other, or slower, by more than chance: the mean of each sample's difference.

    By the normal approximation, with a confidence of 95 %.
    """
    differences = [mine.ms - theirs.ms for mine, theirs in zip(one.samples, other.samples, strict=True)]
    if len(differences) < 2:
        return True
    spread = statistics.stdev(differences) / len(differences) ** 0.5
    return bool(abs(statistics.fmean(differences)) > SIGMAS * spread)


def rows_of(chains: Sequence[Chain]) -> list[tuple[str, ...]]:
    """A row a chain under COLUMNS."""
    return [
        (
            one.name,
            f"{one.mean_ms:.2f}",
            f"{one.percentile_ms(0.5):.2f}",
            f"{one.percentile_ms(0.95):.2f}",
            f"{100 * one.accuracy:.1f}",
            *(f"{100 * one.share(tier):.1f}" for tier in ("device", "edge", "cloud")),
            *(f"{one.mean_bytes(to):,.0f}" for to in ("edge", "cloud")),
        )
        for one in chains
    ]


def samples_csv(found: ThreeTiers) -> str:
    """A row for each sample by each chain in each world."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = ("index", "tier", "exit", "right", "ms", "bytes_to_edge", "bytes_to_cloud")
    writer.writerow(("near", "far", "device_cores", "edge_cores", "chain", *names))
    for chain in found.chains:
        world = chain.world
        place = (world.near, world.far, world.device_cores, world.edge_cores, chain.name)
        writer.writerows((*place, *(getattr(one, name) for name in names)) for one in chain.samples)
    return text.getvalue()


def conditions(found: ThreeTiers) -> dict[str, str]:
    """What was measured where, by name."""
    count = len(found.chains[0].samples) if found.chains else 0
    return {
        "Network": f"{found.model}, bundle {found.bundle[:16]}",
        "Samples": f"{count} of {found.data}, each alone, {found.repeats} times",
        "Nodes": found.topology,
        "Machine": found.hardware,
        "Load when each world began": ", ".join(f"{load:g}" for load in found.loads),
        "Program": found.commit,
        "Measured": moment(found.date),
        "Answers that differ from the offline evaluation": str(found.differing),
    }
