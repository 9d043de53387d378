"""What a reproduction measures: every setup of every section, from the networks at hand alone.

A setup that asks for a network which the suite does not hold is left out; the report shows what there is.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from offramp.artifacts.manifest import Manifest
from offramp.artifacts.names import single
from offramp.artifacts.plan import Plan
from offramp.errors import InputError
from offramp.link.shape import LinkShape
from offramp.paper.reproduction import Planned, Section, Setup
from offramp.paper.stated import THRESHOLD, THRESHOLDS

SECTIONS: tuple[Section, ...] = get_args(Section)
STANDARD, MEM = "standard", "mem"
FEW_EXITS = (2, 3, 5, 8)  # an early one, the paper's worst, its fastest, the last
DROPS = (None, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4)
DELAY = "5ms"  # one way, of the section on bandwidth: what it is about is the rate
SINGLY = 200  # samples of a setup that sends each alone


@dataclass(frozen=True)
class Varied:
    """What sections vary besides networks and exits; links beside the one that is asked for."""

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
    varied: Varied = Varied()


def setups(
    manifests: Mapping[str, Manifest],
    scope: Scope,
    *,
    sections: Iterable[str],
    link: str,
    fixed: bool = False,
    planned: Iterable[Planned] = (),
) -> list[Setup]:
    """Every setup, section by section, those of one link and one number of cores together.

    `fixed`: nodes, link and cores are somebody else's, so what would change them is left out. `planned` is what the
    section of the planner is about.
    """
    wanted, varied = check_sections(sections), scope.varied
    made: dict[Section, Iterable[Setup]] = {
        "paper": _paper(manifests, link),
        "baselines": _contenders(manifests, planner_links(link, varied)),
        "drop": _drop(manifests, link),
        "bandwidth": _every_exit("bandwidth", manifests, [(f"{rate}mbit,{DELAY}", None) for rate in varied.rates]),
        "cores": _every_exit("cores", manifests, [(link, cores) for cores in varied.cores]),
        "reply": _reply(manifests, dict.fromkeys((link, *varied.reply_links))),
        "planner": _planner(manifests, planned),
    }
    every = [setup for name in SECTIONS if name in wanted for setup in made[name]]
    if fixed:
        here = LinkShape.parse(link)
        every = [s for s in every if LinkShape.parse(s.link) == here and s.edge_cores is None]
        every = [s for s in every if s.contender != "all in the cloud"]  # there is no classifier over there to ask
        if not here.unshaped:  # the edge's way to the cloud is; a direct answer's way is not
            every = [s for s in every if s.reply == "edge"]
    return [_bounded(setup, manifests, scope) for setup in every]


def check_sections(sections: Iterable[str]) -> list[str]:
    """Give sections back, each once; InputError for one that there is not."""
    wanted = list(dict.fromkeys(sections))
    if unknown := [name for name in wanted if name not in SECTIONS]:
        raise InputError(f"section {unknown[0]!r}: unknown. Choose from {', '.join(SECTIONS)}.")
    return wanted


def planner_links(link: str, varied: Varied) -> tuple[str, ...]:
    """The links that the planner is asked about: those of the baselines."""
    return tuple(dict.fromkeys((link, *varied.baseline_links)))


def _paper(manifests: Mapping[str, Manifest], link: str) -> Iterator[Setup]:
    mem = manifests[MEM].exits[:-1] if MEM in manifests else ()
    for model, k in [*_sems(manifests), *((MEM, k) for k in mem)]:
        for threshold in THRESHOLDS:
            yield Setup(section="paper", model=model, plan=Plan.of(k, threshold), link=link, samples=0)


def _contenders(manifests: Mapping[str, Manifest], links: Iterable[str]) -> Iterator[Setup]:
    """What else one could deploy, and local exits by the best codec there is, over each link."""
    for link in links:
        yield from _whole(manifests, section="baselines", link=link)
        for model, k in _few(manifests):
            at: dict[str, Any] = {"section": "baselines", "link": link, "samples": 0, "model": model}
            exit_, images = (Plan.of(k, THRESHOLD, cut=cut, codec="uint8") for cut in (k, 0))
            yield Setup(contender="local exit", plan=exit_, **at)
            yield Setup(contender="fixed split", plan=Plan.checked(active=(), cut=k, codec="uint8"), **at)
            if STANDARD in manifests:
                yield Setup(contender="cascade", plan=images, cloud_model=STANDARD, **at)


def _whole(manifests: Mapping[str, Manifest], **common: Any) -> list[Setup]:
    """Everything at one place: the standard network, at the edge or in the cloud."""
    if STANDARD not in manifests:
        return []
    whole = Plan.checked(active=(), cut=manifests[STANDARD].last)
    at: dict[str, Any] = {**common, "samples": 0, "model": STANDARD, "plan": whole}
    return [
        Setup(contender="all at the edge", **at),
        *(Setup(contender="all in the cloud", form=form, **at) for form in ("uint8", "jpeg")),
    ]


def _drop(manifests: Mapping[str, Manifest], link: str) -> Iterator[Setup]:
    for model, k in _few(manifests):
        for drop in DROPS:
            plan = Plan.of(k, THRESHOLD, drop_threshold=drop)
            yield Setup(section="drop", model=model, plan=plan, link=link, samples=0)


def _every_exit(
    section: Section, manifests: Mapping[str, Manifest], places: Iterable[tuple[str, float | None]]
) -> Iterator[Setup]:
    """Over each link and on each number of cores, each SEM at its exit, and the two wholes beside them."""
    for link, cores in places:
        common: dict[str, Any] = {"section": section, "link": link, "edge_cores": cores}
        for model, k in _sems(manifests):
            yield Setup(model=model, plan=Plan.of(k, THRESHOLD, codec="uint8"), samples=0, **common)
        yield from (setup for setup in _whole(manifests, **common) if setup.form != "jpeg")


def _reply(manifests: Mapping[str, Manifest], links: Iterable[str]) -> Iterator[Setup]:
    for link in links:
        for model, k in _few(manifests):
            plan = Plan.of(k, THRESHOLD, codec="uint8")
            for reply in ("edge", "direct"):
                yield Setup(section="reply", model=model, plan=plan, reply=reply, link=link, samples=0)


def _planner(manifests: Mapping[str, Manifest], planned: Iterable[Planned]) -> Iterator[Setup]:
    """For each link the planner's choice, the paper's plans and everything at one place, sample by sample."""
    for one in planned:
        common: dict[str, Any] = {"section": "planner", "link": one.link, "singly": True}
        yield Setup(contender="planned", model=one.model, plan=one.plan, samples=0, **common)
        for model, k in _few(manifests):
            yield Setup(model=model, plan=Plan.of(k, THRESHOLD), samples=0, **common)
        yield from (setup for setup in _whole(manifests, **common) if setup.form != "jpeg")


def _sems(manifests: Mapping[str, Manifest]) -> list[tuple[str, int]]:
    """Each SEM and its exit, rising."""
    sems = [(name, manifest.exits[0]) for name, manifest in manifests.items() if name != STANDARD and single(name)]
    return sorted(sems, key=lambda pair: pair[1])


def _few(manifests: Mapping[str, Manifest]) -> list[tuple[str, int]]:
    return [(model, k) for model, k in _sems(manifests) if k in FEW_EXITS]


def _bounded(setup: Setup, manifests: Mapping[str, Manifest], scope: Scope) -> Setup:
    """Say how many samples are sent: all of them where accuracies are the point, else as many as make sense."""
    if setup.section in ("paper", "drop"):
        return setup.model_copy(update={"samples": scope.test_samples})
    rate = LinkShape.parse(setup.link).up
    count = scope.samples
    if rate is not None:
        # As if every sample were sent on: how many are is not known before it is measured.
        count = min(count, int(scope.seconds * rate / 8 / max(1, _bytes_sent(setup, manifests[setup.model]))))
    if setup.singly:
        return setup.model_copy(update={"samples": min(scope.test_samples, count, SINGLY)})
    batches = max(2, count // scope.batch_size)
    return setup.model_copy(update={"samples": min(scope.test_samples, batches * scope.batch_size)})


def _bytes_sent(setup: Setup, manifest: Manifest) -> int:
    """Bytes of one sample on its way to the cloud; 0 where nothing is sent."""
    if setup.contender == "all at the edge" or setup.plan.cut == manifest.last:
        return 0
    if setup.contender == "all in the cloud":
        return manifest.cut(0).codecs["uint8"].bytes_per_sample
    return manifest.cut(setup.plan.cut).codecs[setup.plan.codec].bytes_per_sample
