"""Three tiers measured: for each world a cloud, an edge and devices in front of it, and every sample by every chain.

Chains take turns, sample by sample, so that a machine whose speed drifts favours none. Every answer is held against
the offline evaluation's.
"""

import os
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.engine import Engine
from offramp.artifacts.plan import Plan
from offramp.artifacts.stages import IMAGE
from offramp.bench.cores import limited
from offramp.data.image_set import ImageSet
from offramp.exits.answers import Answers, tier_name
from offramp.exits.evaluation import route
from offramp.link.shape import LinkShape
from offramp.link.shaper_process import child_link
from offramp.machine import here, processor
from offramp.measure.predict import of_plan
from offramp.nodes.contract import CLASSIFIER, hops
from offramp.nodes.edge_settings import EdgeSettings
from offramp.nodes.process import child_node
from offramp.nodes.settings import CloudSettings
from offramp.paper.tiers import Answered, Chain, ThreeTiers, World, chains_of
from offramp.progress import Watch, unwatched
from offramp.protocol.peer import Peer

TIMEOUT = 60.0  # seconds for an answer: of a device on a tenth of a core
LEAD = 5  # samples before any is timed
COMMON: dict[str, Any] = {"runtime": "onnxruntime", "precision": "fp32", "threads": 1}

WORLDS = (
    World(near="wifi", far="lte", device_cores=0.25),
    World(near="lte", far="lan", device_cores=0.25, edge_cores=0.5),
    World(near="lan", far="3g"),
)
Devices = Callable[[World, Mapping[str, Plan]], Any]


@dataclass(frozen=True)
class Took:
    """One answer, as it came."""

    label: int
    exit: int
    tier: str
    ms: float
    sent: dict[str, int]


def measure_tiers(
    bundle: Bundle,
    images: ImageSet,
    worlds: Sequence[World] = WORLDS,
    repeats: int = 3,
    *,
    devices: Devices | None = None,
    plans: Mapping[str, Plan] | None = None,
    topology: str = "processes",
    watch: Watch = unwatched,
) -> ThreeTiers:
    """Send each image alone through every chain of every world, so often; `devices` gives clients of first tiers.

    Without it, nodes are started here as processes.
    """
    plans = chains_of(bundle.manifest) if plans is None else plans
    engine = Engine(threads=1)
    expected = {
        name: route(of_plan(bundle, plan, engine).predict(images, "test"), plan) for name, plan in plans.items()
    }
    batch = bundle.manifest.preprocessing.from_uint8(images.images)  # type: ignore[union-attr]
    chains: list[Chain] = []
    loads, differing = [], 0
    for place, world in enumerate(worlds):
        loads.append(round(os.getloadavg()[0], 1))
        with (devices or _processes(bundle))(world, plans) as clients:
            watch(f"measuring {world}", place, len(worlds))
            found = _in_turns(clients, batch, repeats)
        for name, took in found.items():
            differing += _differing(took, expected[name])
            chains.append(Chain(world=world, name=name, plan=plans[name], samples=_samples(took, images)))
    said = here()
    return ThreeTiers(
        model=bundle.manifest.model, bundle=bundle.id, data=images.name, repeats=repeats, topology=topology,
        hardware=processor(), commit=said["commit"], date=said["date"], loads=tuple(loads), chains=tuple(chains),
        differing=differing,
    )  # fmt: skip


def _in_turns(clients: Mapping[str, Peer], batch: np.ndarray, repeats: int) -> dict[str, list[list[Took]]]:
    """For each chain, of each sample its answers, one a repeat; the chains in turn, and none always first."""
    names = list(clients)
    found: dict[str, list[list[Took]]] = {name: [[] for _ in batch] for name in names}
    for name in names:
        for image in batch[-LEAD:]:
            _ask(clients[name], image)
    for turn in range(repeats):
        for row, image in enumerate(batch):
            shift = (turn + row) % len(names)
            for name in names[shift:] + names[:shift]:
                found[name][row].append(_ask(clients[name], image))
    return found


def _ask(device: Peer, image: np.ndarray) -> Took:
    start = perf_counter()
    answer = device.infer(CLASSIFIER, {IMAGE: image[None]}, timeout=TIMEOUT)
    ms = 1000 * (perf_counter() - start)
    label, exit_ = (int(answer.outputs[name][0]) for name in ("label", "exit"))
    return Took(label, exit_, bytes(answer.outputs["tier"][0]).decode(), ms, hops(answer.parameters))


def _differing(took: list[list[Took]], expected: Answers) -> int:
    """Answers that are not what the evaluation says, in label, exit or tier."""
    wanted = zip(expected.label.tolist(), expected.exit.tolist(), map(tier_name, expected.tier.tolist()), strict=True)
    return sum((one.label, one.exit, one.tier) != of for each, of in zip(took, wanted, strict=True) for one in each)


def _samples(took: list[list[Took]], images: ImageSet) -> tuple[Answered, ...]:
    return tuple(
        Answered(
            index=int(index), tier=each[0].tier, exit=each[0].exit, right=each[0].label == label,
            ms=round(statistics.median(one.ms for one in each), 4),
            bytes_to_edge=each[0].sent.get("edge", 0), bytes_to_cloud=each[0].sent.get("cloud", 0),
        )
        for each, index, label in zip(took, images.index, images.labels.tolist(), strict=True)
    )  # fmt: skip


def _processes(bundle: Bundle) -> Devices:
    """Nodes as processes of this machine: a cloud, an edge behind a link, before it a device for each chain."""

    @contextmanager
    def devices(world: World, plans: Mapping[str, Plan]) -> Iterator[dict[str, Peer]]:
        at = str(bundle.path)
        with ExitStack() as started:

            def node(settings: CloudSettings | EdgeSettings, cores: float | None = None) -> str:
                child = started.enter_context(child_node(settings))
                address = child.address()
                if cores is not None:
                    started.enter_context(limited(child.process.pid, cores))
                return address

            def over(link: str, to: str) -> str:
                shape = LinkShape.parse(link)
                return to if shape.unshaped else started.enter_context(child_link(shape, to))

            cloud = over(world.far, node(CloudSettings(bundles=(at,), **COMMON)))
            chain = next(plan for plan in plans.values() if "edge" in plan.tiers)
            between = EdgeSettings(bundles=(at,), plan=chain, tier="edge", cloud=cloud, degraded=False, **COMMON)
            edge = over(world.near, node(between, world.edge_cores))
            clients = {}
            for name, plan in plans.items():
                alone = plan.tiers["device"].cut == bundle.manifest.last
                device = EdgeSettings(
                    bundles=(at,), plan=plan, tier="device", cloud=None if alone else edge, degraded=False, **COMMON
                )
                clients[name] = started.enter_context(Peer(node(device, world.device_cores)))
            yield clients

    return devices
