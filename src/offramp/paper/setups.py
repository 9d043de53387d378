"""What a reproduction measures: every setup of every section, from the networks at hand alone.

A setup that asks for a network which the suite does not hold is left out; the report shows what there is.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from offramp.artifacts.bundle import Manifest
from offramp.artifacts.names import single
from offramp.artifacts.plan import Plan
from offramp.errors import InputError
from offramp.link.shape import LinkShape
from offramp.paper.reproduction import Section, Setup
from offramp.paper.stated import THRESHOLD, THRESHOLDS

SECTIONS: tuple[Section, ...] = get_args(Section)
STANDARD, MEM = "standard", "mem"
FEW_EXITS = (2, 3, 5, 8)  # an early one, the paper's worst, its fastest, the last
DROPS = (None, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4)
DELAY = "5ms"  # one way, of the section on bandwidth: what it is about is the rate


@dataclass(frozen=True)
class Sweep:
    """Over what the sections vary; links beside the one that is asked for."""

    baseline_links: tuple[str, ...] = ("wifi", "lte")
    rates: tuple[int, ...] = (1, 3, 10, 30, 100, 300, 1000)  # Mbit/s
    cores: tuple[float, ...] = (1.0, 0.5, 0.25)
    reply_links: tuple[str, ...] = ("loopback", "wifi")


@dataclass(frozen=True)
class Scope:
    """How much is measured. `samples` bounds every section but the paper's and the drop threshold's."""

    test_samples: int
    batch_size: int = 32
    samples: int = 1_024
    seconds: float = 5.0  # that one repeat may send for, as far as the link's rate alone decides
    sweep: Sweep = Sweep()


def setups(
    manifests: Mapping[str, Manifest], scope: Scope, *, sections: Iterable[str], link: str, fixed: bool = False
) -> list[Setup]:
    """Every setup, section by section, those of one link and one number of cores together.

    `fixed`: nodes, link and cores are somebody else's, so what would change them is left out.
    """
    wanted = list(dict.fromkeys(sections))
    if unknown := [name for name in wanted if name not in SECTIONS]:
        raise InputError(f"section {unknown[0]!r}: unknown. Choose from {', '.join(SECTIONS)}.")
    made = {
        "paper": _paper,
        "baselines": _baselines,
        "drop": _drop,
        "cores": _cores,
        "bandwidth": _bandwidth,
        "reply": _reply,
    }
    found = [setup for name in SECTIONS if name in wanted for setup in made[name](manifests, link, scope.sweep)]
    if fixed:
        here = LinkShape.parse(link)
        found = [s for s in found if LinkShape.parse(s.link) == here and s.edge_cores is None]
        found = [s for s in found if s.contender != "all in the cloud"]  # there is no classifier over there to ask
        if not here.unshaped:  # the edge's way to the cloud is; a direct answer's way is not
            found = [s for s in found if s.reply == "edge"]
    return [_bounded(setup, manifests, scope) for setup in found]


def _paper(manifests: Mapping[str, Manifest], link: str, _: Sweep) -> list[Setup]:
    return [
        Setup(section="paper", model=model, plan=Plan.of(k, threshold), link=link, samples=0)
        for model, k in [*_sems(manifests), *((MEM, k) for k in _exits(manifests.get(MEM)))]
        for threshold in THRESHOLDS
    ]


def _baselines(manifests: Mapping[str, Manifest], link: str, sweep: Sweep) -> list[Setup]:
    links = dict.fromkeys((link, *sweep.baseline_links))
    return [setup for at in links for setup in _contenders("baselines", manifests, at)]


def _contenders(section: Section, manifests: Mapping[str, Manifest], link: str) -> list[Setup]:
    """What else one could deploy, and local exits by the best codec there is, over one link."""
    common: dict[str, Any] = {"section": section, "link": link, "samples": 0}
    found = _whole(manifests, common)
    for model, k in _sems(manifests):
        if k not in FEW_EXITS:
            continue
        at: dict[str, Any] = common | {"model": model}
        exit_, images = (Plan.of(k, THRESHOLD, cut=cut, codec="uint8") for cut in (k, 0))
        found.append(Setup(contender="local exit", plan=exit_, **at))
        found.append(Setup(contender="fixed split", plan=Plan.checked(active=(), cut=k, codec="uint8"), **at))
        if STANDARD in manifests:
            found.append(Setup(contender="cascade", plan=images, cloud_model=STANDARD, **at))
    return found


def _whole(manifests: Mapping[str, Manifest], common: Mapping[str, Any]) -> list[Setup]:
    """Everything at one place: the standard network, at the edge or in the cloud."""
    if STANDARD not in manifests:
        return []
    whole = Plan.checked(active=(), cut=manifests[STANDARD].last)
    at: dict[str, Any] = {**common, "model": STANDARD, "plan": whole}
    return [
        Setup(contender="all at the edge", **at),
        *(Setup(contender="all in the cloud", form=form, **at) for form in ("uint8", "jpeg")),
    ]


def _drop(manifests: Mapping[str, Manifest], link: str, _: Sweep) -> list[Setup]:
    return [
        Setup(
            section="drop",
            model=model,
            plan=Plan.of(k, THRESHOLD, drop_threshold=drop),
            link=link,
            samples=0,
        )
        for model, k in _sems(manifests)
        if k in FEW_EXITS
        for drop in DROPS
    ]


def _cores(manifests: Mapping[str, Manifest], link: str, sweep: Sweep) -> list[Setup]:
    return [setup for cores in sweep.cores for setup in _every_exit("cores", manifests, link, cores)]


def _bandwidth(manifests: Mapping[str, Manifest], _: str, sweep: Sweep) -> list[Setup]:
    return [setup for rate in sweep.rates for setup in _every_exit("bandwidth", manifests, f"{rate}mbit,{DELAY}")]


def _every_exit(
    section: Section, manifests: Mapping[str, Manifest], link: str, cores: float | None = None
) -> list[Setup]:
    """Each SEM at its exit, and the two wholes beside them."""
    common: dict[str, Any] = {"section": section, "link": link, "edge_cores": cores, "samples": 0}
    exits = [Setup(model=model, plan=Plan.of(k, THRESHOLD, codec="uint8"), **common) for model, k in _sems(manifests)]
    return exits + [setup for setup in _whole(manifests, common) if setup.form != "jpeg"]


def _reply(manifests: Mapping[str, Manifest], link: str, sweep: Sweep) -> list[Setup]:
    return [
        Setup(
            section="reply", model=model, plan=Plan.of(k, THRESHOLD, codec="uint8"), reply=reply, link=at, samples=0
        )
        for at in dict.fromkeys((link, *sweep.reply_links))
        for model, k in _sems(manifests)
        if k in FEW_EXITS
        for reply in ("edge", "direct")
    ]  # fmt: skip


def _sems(manifests: Mapping[str, Manifest]) -> list[tuple[str, int]]:
    """Each SEM and its exit, rising."""
    found = [(name, manifest.exits[0]) for name, manifest in manifests.items() if name != STANDARD and single(name)]
    return sorted(found, key=lambda pair: pair[1])


def _exits(manifest: Manifest | None) -> tuple[int, ...]:
    return () if manifest is None else manifest.exits[:-1]


def _bounded(setup: Setup, manifests: Mapping[str, Manifest], scope: Scope) -> Setup:
    """Say how many samples are sent: all of them where accuracies are the point, else as many as make sense."""
    if setup.section in ("paper", "drop"):
        return setup.model_copy(update={"samples": scope.test_samples})
    rate = LinkShape.parse(setup.link).up
    count = scope.samples
    if rate is not None:
        # As if every sample were sent on: how many are is not known before it is measured.
        count = min(count, int(scope.seconds * rate / 8 / max(1, _bytes_sent(setup, manifests[setup.model]))))
    batches = max(2, count // scope.batch_size)
    return setup.model_copy(update={"samples": min(scope.test_samples, batches * scope.batch_size)})


def _bytes_sent(setup: Setup, manifest: Manifest) -> int:
    """Bytes of one sample on its way to the cloud; 0 where nothing is sent."""
    if setup.contender == "all at the edge":
        return 0
    if setup.contender == "all in the cloud":
        return manifest.cut(0).codecs["uint8"].bytes_per_sample
    return manifest.cut(setup.plan.cut).codecs[setup.plan.codec].bytes_per_sample
