"""The reproduction: the paper's evaluation and the questions it leaves open, on running nodes, one setup after another.

Within a section, setups that share their nodes take turns, repeat after repeat, so that a machine whose speed drifts
does not favour whoever comes first. Everything measured is kept at once, and a run that was interrupted goes on.
"""

import io
import itertools
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from rich.console import Console

from offramp.artifacts.bundle import IMAGE
from offramp.artifacts.measurement import Conditions, Latency
from offramp.artifacts.model_result import ModelResult
from offramp.artifacts.predictions import Predictions
from offramp.artifacts.suite import Suite
from offramp.bench.check import check
from offramp.bench.drive import Drive, drive
from offramp.client.describe import describe_edges
from offramp.data.image_set import ImageSet, Splits
from offramp.errors import OfframpError
from offramp.exits.answers import Tier
from offramp.exits.evaluation import evaluate
from offramp.link.shape import LinkShape
from offramp.machine import processor
from offramp.nodes.contract import CLASSIFIER
from offramp.paper.journal import Entry, Head, Journal
from offramp.paper.networks import Network, networks, open_suite, predictions_of, splits_of
from offramp.paper.progress import Live
from offramp.paper.reproduction import REPRODUCTION, Agreed, Form, Repeat, Reproduction, Setup, Topology, Trained
from offramp.paper.setups import SECTIONS, STANDARD, Scope, Sweep, setups
from offramp.paper.stage import Elsewhere, Nodes, Stage, processes
from offramp.protocol.served import Parameters
from offramp.protocol.tensors import write_request

JPEG_QUALITY = 75  # Pillow's and libjpeg's own default
NO_EXIT = 0  # the classifier's parameter `exit` for none
PREDICTIONS = "predictions"  # folder of the networks' answers on the test set
TIMEOUT = 60.0  # seconds to wait for an edge: one in a container may still be starting


@dataclass(frozen=True)
class Settings:
    """What is measured, and how often."""

    suite: Path
    out: Path
    data: str | None = None  # where the suite's data lies now
    seed: int | None = None
    sections: tuple[str, ...] = SECTIONS
    link: str = "loopback"
    repeats: int = 3
    samples: int = 1_024
    batch_size: int = 32
    resume: bool = False
    edge: str | None = None  # of nodes that run already
    cloud: str | None = None
    sweep: Sweep = field(default_factory=Sweep)

    @property
    def fixed(self) -> bool:
        """Whether the nodes are somebody else's."""
        return self.edge is not None


def reproduce(settings: Settings, console: Console, shown: type[Live] = Live) -> Reproduction:
    """Measure what is left and give the whole; interrupted by Ctrl-C, what there is. It is `shown` as it goes.

    Raises OfframpError where the nodes answered otherwise than the offline evaluation, or a repeat than the first.
    """
    start = time.perf_counter()
    LinkShape.parse(settings.link)  # an unknown one before anything is exported
    suite = open_suite(settings.suite)
    found = networks(settings.suite, suite, seed=settings.seed, data=settings.data)
    splits = splits_of(suite, settings.data, next(iter(found.values())))
    test = splits.test
    manifests = {name: network.bundle.manifest for name, network in found.items()}
    scope = Scope(len(test), settings.batch_size, settings.samples, sweep=settings.sweep)
    planned = setups(manifests, scope, sections=settings.sections, link=settings.link, fixed=settings.fixed)
    topology: Topology = "containers" if settings.fixed else "processes"
    head = Head(
        bundles={name: network.bundle.id for name, network in found.items()},
        batch_size=settings.batch_size,
        topology=topology,
        hardware=processor(),
    )
    journal = Journal.open(settings.out, head, resume=settings.resume)
    predictions = {
        name: predictions_of(network, test, settings.out / PREDICTIONS / f"{name}.parquet")
        for name, network in found.items()
    }
    run = _Run(settings, found, splits, predictions, journal)
    with shown(console, [(setup, settings.repeats - journal.count(setup)) for setup in planned]) as live:
        try:
            with _stage(settings, found) as stage:
                run.measure(planned, stage, live)
        except KeyboardInterrupt:
            console.print(f"interrupted. What is measured is kept; go on by --resume --out {settings.out}.")
    file = settings.out / REPRODUCTION
    before = Reproduction.read(file).seconds if settings.resume and file.exists() else 0.0
    document = run.document(suite, planned, topology, before + time.perf_counter() - start)
    document.write(file)
    if document.agreement.differing:
        raise OfframpError(
            f"{document.agreement.differing} of {document.agreement.compared} answers of the nodes differ from the "
            f"offline evaluation's: see {file}."
        )
    return document


@contextmanager
def _stage(settings: Settings, found: Mapping[str, Network]) -> Iterator[Stage]:
    if settings.edge is not None:
        yield Elsewhere(settings.edge, settings.cloud)
        return
    whole = found[STANDARD].bundle.path if STANDARD in found else None
    with processes([network.bundle.path for network in found.values()], whole) as started:
        yield started


class _Run:
    """Everything that a measurement needs."""

    def __init__(
        self,
        settings: Settings,
        found: Mapping[str, Network],
        splits: Splits,
        predictions: Mapping[str, Predictions],
        journal: Journal,
    ) -> None:
        self.settings, self.networks = settings, found
        self.test, self.train_samples = splits.test, len(splits.train)
        self.predictions, self.journal = predictions, journal
        preprocessing = next(iter(found.values())).bundle.manifest.preprocessing
        self.pixels = preprocessing.from_uint8(self.test.images)
        self.jpeg = np.array([_jpeg(image) for image in self.test.images], np.object_)
        self.runtime = ""

    def measure(self, planned: list[Setup], stage: Stage, live: Live) -> None:
        """Take every repeat that is still to be taken."""
        for (link, cores, _), group in itertools.groupby(planned, _together):
            members = list(group)
            if all(self.journal.count(setup) >= self.settings.repeats for setup in members):
                continue
            with stage.nodes(link, cores) as nodes:
                served = {edge.model: edge for edge in describe_edges(nodes.edge, TIMEOUT)}
                for name, network in self.networks.items():
                    if name not in served or served[name].bundle != network.bundle.id:
                        raise OfframpError(
                            f"edge {nodes.edge.address}: serves {', '.join(served)}, and not {name} in bundle "
                            f"{network.bundle.id}. Serve the suite's bundles there: offramp serve edge SUITE"
                        )
                self.runtime = next(iter(served.values())).runtime
                for turn in range(self.settings.repeats):
                    for setup in _rotated(members, turn):
                        if self.journal.count(setup) <= turn:
                            live.at(setup, turn + 1)
                            self.journal.add(self._once(nodes, setup))
                            live.done(setup)

    def _once(self, nodes: Nodes, setup: Setup) -> Entry:
        rows = slice(0, setup.samples)
        images = self.test.rows(rows)
        pixels = self._as(setup.form)[rows]
        before = nodes.cloud_seconds()
        if setup.contender == "all in the cloud":
            assert nodes.front is not None  # else the setup would not be here
            driven = _as_cloud(drive(nodes.front, pixels, batch_size=self.settings.batch_size))
            sent = _request_bytes(pixels, self.settings.batch_size)
            driven = replace(driven, bytes_to_cloud=sent)
        else:
            driven = drive(
                nodes.edge,
                pixels,
                batch_size=self.settings.batch_size,
                version=self.networks[setup.model].bundle.id,
                options=self._options(setup),
                direct=nodes.cloud if setup.reply == "direct" else None,
            )
        cloud_ms = 1000 * (nodes.cloud_seconds() - before)
        compared, differing, ties = self._held(setup, images, driven)
        return Entry(
            setup=setup,
            outcome=evaluate(driven.answers, images.labels),
            bytes_to_cloud=driven.bytes_to_cloud,
            compared=compared,
            differing=differing,
            ties=ties,
            repeat=Repeat(
                latency_ms=driven.latencies(),
                batch_ms=Latency.of(driven.batch_ms),
                cloud_ms=round(cloud_ms, 3),
            ),
        )

    def _as(self, form: Form) -> npt.NDArray[Any]:
        """Every test image in the form in which it leaves the test node."""
        if form == "fp32":
            return self.pixels
        return self.test.images if form == "uint8" else self.jpeg

    def _options(self, setup: Setup) -> Parameters:
        """The plan as parameters of each request."""
        plan = setup.plan
        options: dict[str, bool | int | float | str] = {"cut": plan.cut, "codec": plan.codec, "exit": NO_EXIT}
        if plan.active:
            options |= {"exit": plan.exit, "threshold": plan.threshold}
        if plan.drop_threshold is not None:
            options["drop_threshold"] = plan.drop_threshold
        if setup.cloud_model is not None:
            options["cloud_version"] = self.networks[setup.cloud_model].bundle.id
        return options

    def _held(self, setup: Setup, images: ImageSet, driven: Drive) -> tuple[int, int, int]:
        """Hold answers against the offline evaluation where it says what they must be: fp32, one network."""
        if setup.plan.codec != "fp32" or setup.form != "fp32" or setup.cloud_model is not None:
            return 0, 0, 0
        some = self.predictions[setup.model].rows(slice(0, setup.samples))
        bundle = self.networks[setup.model].bundle.id
        agreement = check(driven.answers, images, some, bundle_id=bundle, plan=setup.plan)
        return agreement.n - agreement.ties, max(agreement.labels, agreement.exits, agreement.scores), agreement.ties

    def document(self, suite: Suite, planned: list[Setup], topology: Topology, seconds: float) -> Reproduction:
        """What there is, as a document."""
        rows = [row for setup in planned if (row := self.journal.row(setup)) is not None]
        key = next(iter(self.networks.values())).run.key
        entries = self.journal.entries
        settings, recipe = suite.settings, suite.settings.recipe
        return Reproduction(
            name=f"The paper's evaluation on {Path(settings.data).name}",
            data=Path(settings.data).name,
            classes=suite.classes,
            test_samples=len(self.test),
            image_bytes=int(self.test.images[0].size),
            jpeg_bytes=float(np.mean([len(content) for content in self.jpeg])),
            trained=Trained(
                suite=self.settings.suite.name,
                preset=settings.preset,
                head=settings.head,
                regime=key.regime,
                seed=key.seed,
                recipe=dict(recipe),
                samples=self.train_samples,
                hardware=", ".join(sorted({network.run.hardware for network in self.networks.values()})),
            ),
            models=tuple(_result(network) for network in self.networks.values()),
            rows=tuple(rows),
            left=tuple(setup for setup in planned if self.journal.count(setup) < self.settings.repeats),
            repeats=self.settings.repeats,
            conditions=Conditions.here(
                batch_size=self.settings.batch_size, link=self.settings.link, runtime=self.runtime
            ),
            topology=topology,
            agreement=Agreed(
                compared=sum(entry.compared for entry in entries),
                differing=sum(entry.differing for entry in entries),
                ties=sum(entry.ties for entry in entries),
            ),
            seconds=round(seconds, 1),
        )


def _together(setup: Setup) -> tuple[str, float | None, str]:
    """Setups that the same nodes serve, one after another."""
    return setup.link, setup.edge_cores, setup.section


def _rotated(members: list[Setup], turn: int) -> Iterator[Setup]:
    """Begin each turn at another place: nobody is always first after the nodes' start."""
    shift = turn * len(members) // 3 % max(1, len(members))
    return iter(members[shift:] + members[:shift])


def _as_cloud(driven: Drive) -> Drive:
    """A node in the cloud that answers everything calls itself the edge; seen from here it is the cloud."""
    answers = driven.answers
    return replace(driven, answers=replace(answers, tier=np.full_like(answers.tier, Tier.CLOUD)))


def _request_bytes(images: npt.NDArray[Any], batch_size: int) -> int:
    starts = range(0, len(images), batch_size)
    return sum(write_request(CLASSIFIER, "", {IMAGE: images[at : at + batch_size]}).ByteSize() for at in starts)


def _jpeg(image: npt.NDArray[np.uint8]) -> bytes:
    content = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(content, "JPEG", quality=JPEG_QUALITY)
    return content.getvalue()


def _result(network: Network) -> ModelResult:
    run = network.run
    return ModelResult.of(
        network.bundle, test_accuracy=run.test_accuracy, training=run.training, training_seconds=run.seconds
    )
