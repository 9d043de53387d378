"""A reproduction: the paper's evaluation and the questions it leaves open, measured on running nodes.

A setup says what is measured and under which conditions; a row adds what was found, once for each repeat. Programs read
`reproduction.json`; a run that was interrupted goes on from `rows.jsonl`, which holds the same rows as they came.
"""

import statistics
from typing import ClassVar, Literal

from offramp.artifacts.codec import Codec
from offramp.artifacts.document import Document, Frozen
from offramp.artifacts.measurement import Conditions, Latency, Measurement, TierLatency
from offramp.artifacts.model_result import ModelResult

REPRODUCTION = "reproduction.json"
ROWS = "rows.jsonl"

Section = Literal["paper", "baselines", "drop", "bandwidth", "cores", "reply"]
Contender = Literal["local exit", "all at the edge", "all in the cloud", "fixed split", "cascade"]
Form = Literal["fp32", "uint8", "jpeg"]  # of an image on its way from the test node
Topology = Literal["processes", "containers"]


class Setup(Frozen):
    """What is measured: a network by a plan, the link between edge and cloud, the edge's cores, the way of the answers.

    `all at the edge` and `fixed split` have no active exit: their `exit` is where the network is cut, their threshold
    0. `all in the cloud` sends the image from the test node over the link to a node there. `cascade` runs `model` up to
    its exit at the edge and sends the images that it is not sure of to `cloud_model`, whole.
    """

    section: Section
    contender: Contender = "local exit"
    model: str
    cloud_model: str | None = None  # another network in the cloud than the edge's
    exit: int
    threshold: float
    cut: int
    codec: Codec = "fp32"
    drop_threshold: float | None = None
    reply: Literal["edge", "direct"] = "edge"  # by which way the cloud's answers come
    form: Form = "fp32"
    link: str = "loopback"  # between edge and cloud, as `--link` takes it
    edge_cores: float | None = None  # None: as many as the machine has
    samples: int  # the first so many of the test set


class Repeat(Frozen):
    """The times of one repeat."""

    latency_ms: TierLatency
    batch_ms: Latency | None
    cloud_ms: float  # of the cloud's computing, over all samples together, as its own statistics say


class Row(Frozen):
    """What was found under one setup. Accuracies and bytes are the same in every repeat; times are not."""

    setup: Setup
    exited_locally: int
    forwarded: int
    dropped: int
    edge_accuracy: float | None  # None where no sample was answered there: absent, not zero
    cloud_accuracy: float | None
    overall_accuracy: float | None
    bytes_to_cloud: int  # over the link, requests only
    repeats: tuple[Repeat, ...]

    def p50(self, tier: Literal["edge", "cloud", "overall"]) -> float | None:
        """Median latency of a tier in ms: the median over repeats."""
        found = [latency.p50 for repeat in self.repeats if (latency := getattr(repeat.latency_ms, tier)) is not None]
        return statistics.median(found) if found else None

    def p50_range(self, tier: Literal["edge", "cloud", "overall"]) -> tuple[float, float] | None:
        """The lowest and the highest of the repeats' medians in ms."""
        found = [latency.p50 for repeat in self.repeats if (latency := getattr(repeat.latency_ms, tier)) is not None]
        return (min(found), max(found)) if found else None

    def measurement(self, conditions: Conditions) -> Measurement:
        """The row as `offramp bench` would have written it, with the times of the repeat in the middle."""
        setup = self.setup
        ordered = sorted(
            self.repeats, key=lambda repeat: repeat.latency_ms.overall.p50 if repeat.latency_ms.overall else 0
        )
        middle = ordered[(len(ordered) - 1) // 2]
        return Measurement(
            model=setup.model,
            exit=setup.exit,
            threshold=setup.threshold,
            cut=setup.cut,
            codec=setup.codec,
            n=setup.samples,
            exited_locally=self.exited_locally,
            forwarded=self.forwarded,
            dropped=self.dropped,
            degraded=0,
            edge_accuracy=self.edge_accuracy,
            cloud_accuracy=self.cloud_accuracy,
            overall_accuracy=self.overall_accuracy,
            latency_ms=middle.latency_ms,
            batch_ms=middle.batch_ms,
            bytes_to_cloud=self.bytes_to_cloud,
            conditions=conditions,
        )


class Trained(Frozen):
    """How the networks were trained (the paper's Table 1), as the suite says."""

    suite: str  # its folder
    preset: str
    head: str
    regime: str
    seed: int
    recipe: dict[str, object]
    samples: int | None  # for training
    hardware: str


class Agreed(Frozen):
    """How the running nodes' answers were held against the offline evaluation, over all setups."""

    compared: int  # answers
    differing: int
    ties: int  # answers left out: their score lies within 1e-5 of the threshold


class Reproduction(Document):
    """Everything a run measured. Rows that were not reached are in `left`."""

    FORMAT: ClassVar[str] = "offramp.reproduction"
    VERSION: ClassVar[int] = 1

    name: str
    data: str
    classes: tuple[str, ...]
    test_samples: int
    image_bytes: int  # of one image as 8-bit pixels
    jpeg_bytes: float | None = None  # mean over the test set
    trained: Trained
    models: tuple[ModelResult, ...]
    rows: tuple[Row, ...]
    left: tuple[Setup, ...] = ()
    repeats: int
    conditions: Conditions
    topology: Topology
    agreement: Agreed
    seconds: float

    def section(self, name: Section) -> tuple[Row, ...]:
        """The rows of one section."""
        return tuple(row for row in self.rows if row.setup.section == name)
