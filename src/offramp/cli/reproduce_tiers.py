"""The paper's world with three tiers, a part of the verb reproduce: measure chains, say when a third tier pays."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from offramp.cli.console import console
from offramp.errors import InputError, OfframpError
from offramp.progress import waiting

if TYPE_CHECKING:
    from offramp.artifacts.plan import Plan
    from offramp.paper.networks import Network
    from offramp.paper.tiers import World
    from offramp.protocol.peer import Peer

FOLDER = "tiers"  # of a suite: the plans, for nodes on other machines
MOST = 100  # samples of a chain, each sent alone


@dataclass(frozen=True)
class Asked:
    """What is measured, as typed."""

    suite: Path
    out: Path
    data: str | None
    seed: int | None
    repeats: int
    samples: int
    devices: tuple[str, ...]  # HOST:PORT of first tiers that run already
    near: str  # between device and edge, of those
    far: str


def prepare_tiers(folder: Path, seed: int | None, data: str | None) -> None:
    """Write the plans of the chains into the suite's folder."""
    from offramp.paper.tiers import chains_of

    network, _ = _network(folder, seed, data)
    for name, plan in chains_of(network.bundle.manifest).items():
        plan.write(folder / FOLDER / f"{name.replace(' ', '-')}.json")
    console.print(f"{folder / FOLDER}: the plans of the chains, of {network.bundle.path}", highlight=False)


def reproduce_tiers(asked: Asked) -> None:
    """Measure the chains, and say whether a third tier pays: on a page, and in the report of a run that is there."""
    from offramp.paper.reproduction_page import write_report
    from offramp.paper.tiers import World
    from offramp.paper.tiers_page import write_tiers
    from offramp.paper.tiers_run import WORLDS, measure_tiers
    from offramp.paper.tiers_words import COLUMNS, SAYS, answers, rows_of

    network, images = _network(asked.suite, asked.seed, asked.data)
    beside = _is_beside(asked.out, network)
    few = images.rows(slice(min(asked.samples, MOST)))
    there: dict[str, Any] = {}
    worlds: Sequence[World] = WORLDS
    if asked.devices:
        worlds = (World(near=asked.near, far=asked.far),)
        plans = _plans(network, asked.devices)
        addresses = dict(zip(plans, asked.devices, strict=True))
        there = {"devices": _elsewhere(addresses), "plans": plans, "topology": "containers"}
    with waiting() as watching:
        found = measure_tiers(network.bundle, few, worlds, asked.repeats, watch=watching.at, **there)
    written = write_tiers(found, asked.out)
    report = write_report(asked.out)[0] if beside else written[0]
    for world in found.worlds:
        table = Table(*COLUMNS, title=str(world), caption=SAYS)
        for row in rows_of(found.of(world)):
            table.add_row(*row)
        console.print(table)
    for sentence in answers(found):
        console.print(sentence, highlight=False)
    others = ", ".join(path.name for path in written if path != report)
    console.print(f"{report}: report; beside it: {others}", highlight=False)
    if found.differing:
        raise OfframpError(
            f"{found.differing} answers of the chains differ from the offline evaluation's: see {written[1]}."
        )


def _is_beside(out: Path, network: "Network") -> bool:
    """Whether the paper's evaluation of this network lies in a folder; an InputError where it is of others."""
    from offramp.paper.reproduction import REPRODUCTION, Reproduction

    file = out / REPRODUCTION
    if not file.is_file():
        return False
    if network.bundle.id not in {one.bundle for one in Reproduction.read(file).models}:
        raise InputError(f"{out}: holds a run of other networks. Choose another folder by --out.")
    return True


def _network(folder: Path, seed: int | None, data: str | None) -> "tuple[Network, Any]":
    """The network with most exits, and its test images."""
    from offramp.artifacts.suite import open_suite
    from offramp.paper.networks import networks, splits_of
    from offramp.paper.planned import most_exits

    suite = open_suite(folder)
    ready = networks(folder, suite, seed=seed, data=data)
    network = most_exits(ready)
    if network is None:
        raise InputError(f"{folder}: none of its networks has a local exit, and a chain needs two. Train mem as well.")
    return network, splits_of(suite, data, network).test


def _plans(network: "Network", devices: Sequence[str]) -> "dict[str, Plan]":
    """The plan that each device follows, by the name of its chain."""
    from offramp.client.describe import describe_edge
    from offramp.paper.tiers import chains_of
    from offramp.protocol.peer import Peer

    known = {plan: name for name, plan in chains_of(network.bundle.manifest).items()}
    found: dict[str, Plan] = {}
    for address in devices:
        with Peer(address) as peer:
            peer.wait_ready(60.0)
            served = describe_edge(peer)
        if served.bundle != network.bundle.id:
            raise InputError(
                f"device {address}: serves bundle {served.bundle}, the suite's is {network.bundle.id}. Serve that."
            )
        found[known.get(served.plan, f"the chain of {address}")] = served.plan
    return found


def _elsewhere(addresses: Mapping[str, str]) -> Any:
    @contextmanager
    def devices(world: "World", plans: "Mapping[str, Plan]") -> "Iterator[dict[str, Peer]]":
        from offramp.protocol.peer import Peer

        with ExitStack() as opened:
            yield {name: opened.enter_context(Peer(addresses[name])) for name in plans}

    return devices
