"""The reproduction: the paper's evaluation and the questions it leaves open, on running nodes, one setup after another.

Within a section, setups that share their nodes take turns, repeat after repeat, so that a machine whose speed drifts
does not favour whoever comes first. Everything measured is kept at once, and a run that was interrupted goes on.
"""

import itertools
import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from offramp.artifacts.measurement import Conditions
from offramp.artifacts.model_result import ModelResult
from offramp.artifacts.suite import Suite, open_suite
from offramp.client.describe import describe_edges
from offramp.errors import OfframpError
from offramp.link.shape import LinkShape
from offramp.machine import here, processor
from offramp.paper.journal import Head, Journal
from offramp.paper.networks import Network, networks, predictions_of, splits_of
from offramp.paper.planned import most_exits, planned
from offramp.paper.progress import RunProgress
from offramp.paper.reproduction import REPRODUCTION, Agreed, Planned, Reproduction, Setup, Topology, Trained
from offramp.paper.setups import SECTIONS, STANDARD, Scope, Varied, check_sections, planner_links, setups
from offramp.paper.stage import Elsewhere, Nodes, Own, Stage, processes
from offramp.paper.trial import Trials
from offramp.progress import waiting
from offramp.protocol.credentials import Credentials

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
    credentials: Credentials | None = None  # shown to them
    varied: Varied = Varied()  # noqa: RUF009 - it is frozen

    @property
    def topology(self) -> Topology:
        """Where the nodes run; in containers they are somebody else's."""
        return "processes" if self.edge is None else "containers"


def reproduce(settings: Settings, console: Console, stage: Stage | None = None) -> Reproduction:
    """Measure what is left and give the whole; interrupted by Ctrl-C, what there is.

    Without a `stage`, nodes are started for it, or those of the settings' addresses are asked. Raises OfframpError
    where the nodes answered otherwise than the offline evaluation, or a repeat than the first.
    """
    start = time.perf_counter()
    LinkShape.parse(settings.link)  # an unknown one before anything is exported
    check_sections(settings.sections)
    suite = open_suite(settings.suite)
    ready = networks(settings.suite, suite, seed=settings.seed, data=settings.data)
    splits = splits_of(suite, settings.data, next(iter(ready.values())))
    head = Head(
        bundles={name: network.bundle.id for name, network in ready.items()},
        batch_size=settings.batch_size,
        topology=settings.topology,
        hardware=processor(),
    )
    journal = Journal.open(settings.out, head, resume=settings.resume)
    choices = _choices(settings, ready)
    every = setups(
        {name: network.bundle.manifest for name, network in ready.items()},
        Scope(len(splits.test), settings.batch_size, settings.samples, varied=settings.varied),
        sections=settings.sections,
        link=settings.link,
        fixed=settings.topology == "containers",
        planned=choices,
    )
    predictions = {
        name: predictions_of(network, splits.test, settings.out / PREDICTIONS / f"{name}.parquet")
        for name, network in ready.items()
    }
    run = _Run(settings, journal, Trials(ready, splits.test, predictions, settings.batch_size))
    progress = RunProgress(console, [(setup, settings.repeats - journal.count(setup)) for setup in every])
    with progress.bar:
        try:
            with _stage(settings, ready) if stage is None else nullcontext(stage) as on:
                run.measure(every, on, progress)
        except KeyboardInterrupt:
            console.print(f"interrupted. What is measured is kept; go on by --resume --out {settings.out}.")
    file = settings.out / REPRODUCTION
    before = Reproduction.read(file).seconds if settings.resume and file.exists() else 0.0
    document = run.document(suite, every, len(splits.train), before + time.perf_counter() - start)
    document = document.model_copy(update={"planned": choices})
    document.write(file)
    if document.agreement.differing:
        raise OfframpError(
            f"{document.agreement.differing} of {document.agreement.compared} answers of the nodes differ from the "
            f"offline evaluation's: see {file}."
        )
    return document


def _choices(settings: Settings, ready: Mapping[str, Network]) -> tuple[Planned, ...]:
    """The planner's for each link, where they are asked for and nodes can be started for them."""
    network = most_exits(ready)
    if "planner" not in settings.sections or settings.topology == "containers" or network is None:
        return ()
    with waiting() as watching:
        links = planner_links(settings.link, settings.varied)
        return planned(network, links, settings.out, settings.data, watching.at)


def _stage(settings: Settings, ready: Mapping[str, Network]) -> AbstractContextManager[Stage]:
    if settings.edge is not None:
        return nullcontext(Elsewhere(settings.edge, settings.cloud, settings.credentials))
    whole = ready[STANDARD].bundle.path if STANDARD in ready else None
    return processes([network.bundle.path for network in ready.values()], whole)


class _Run:
    """What is measured on nodes and kept in a journal."""

    def __init__(self, settings: Settings, journal: Journal, trials: Trials) -> None:
        self.settings, self.journal, self.trials = settings, journal, trials
        self.networks, self.runtime = trials.networks, ""

    def measure(self, every: list[Setup], stage: Stage, progress: RunProgress) -> None:
        """Take every repeat that is still to be taken."""
        for (link, cores, _), group in itertools.groupby(every, _together):
            members = list(group)
            if all(self.journal.count(setup) >= self.settings.repeats for setup in members):
                continue
            own = [Own(self.networks[s.model].bundle.path, s.plan) for s in members if s.contender == "planned"]
            with stage.nodes(link, cores, own[0] if own else None) as nodes:
                self._look_at(nodes)
                for turn in range(self.settings.repeats):
                    for setup in _rotated(members, turn):
                        if self.journal.count(setup) <= turn:
                            progress.at(setup, turn + 1)
                            self.journal.add(self.trials.take(nodes, setup))
                            progress.done(setup)

    def _look_at(self, nodes: Nodes) -> None:
        """Read what runs the networks there; OfframpError where one of them is not served."""
        served = {edge.model: edge for edge in describe_edges(nodes.edge, TIMEOUT)}
        for name, network in self.networks.items():
            if name not in served or served[name].bundle != network.bundle.id:
                raise OfframpError(
                    f"edge {nodes.edge.address}: serves {', '.join(served)}, and not {name} in bundle "
                    f"{network.bundle.id}. Serve the suite's bundles there: offramp serve edge SUITE"
                )
        self.runtime = next(iter(served.values())).runtime

    def document(self, suite: Suite, every: list[Setup], train_samples: int, seconds: float) -> Reproduction:
        """What there is, as a document."""
        settings, trained, entries, test = self.settings, suite.settings, self.journal.entries, self.trials.test
        runs = [network.run for network in self.networks.values()]
        return Reproduction(
            name=f"The paper's evaluation on {Path(trained.data).name}",
            data=Path(trained.data).name,
            classes=suite.classes,
            test_samples=len(test),
            image_bytes=int(test.images[0].size),
            jpeg_bytes=float(np.mean([len(content) for content in self.trials.images["jpeg"]])),
            trained=Trained(
                suite=settings.suite.name,
                preset=trained.preset,
                head=trained.head,
                regime=runs[0].key.regime,
                seed=runs[0].key.seed,
                recipe=dict(trained.recipe),
                samples=train_samples,
                hardware=", ".join(sorted({run.hardware for run in runs})),
            ),
            models=tuple(
                ModelResult.of(
                    network.bundle,
                    test_accuracy=network.run.test_accuracy,
                    training=network.run.training,
                    training_seconds=network.run.seconds,
                )
                for network in self.networks.values()
            ),
            rows=tuple(row for setup in every if (row := self.journal.row(setup)) is not None),
            left=tuple(setup for setup in every if self.journal.count(setup) < settings.repeats),
            repeats=settings.repeats,
            conditions=Conditions(
                batch_size=settings.batch_size, link=settings.link, runtime=self.runtime, dtype="fp32", **here()
            ),
            topology=settings.topology,
            agreement=Agreed(**{name: sum(getattr(one, name) for one in entries) for name in Agreed.model_fields}),
            seconds=round(seconds, 1),
        )


def _together(setup: Setup) -> tuple[str, float | None, str]:
    """Setups that the same nodes serve, one after another."""
    return setup.link, setup.edge_cores, setup.section


def _rotated(members: list[Setup], turn: int) -> Iterable[Setup]:
    """Begin each turn at another place: nobody is always first after the nodes' start."""
    shift = turn * len(members) // 3 % max(1, len(members))
    return members[shift:] + members[:shift]
