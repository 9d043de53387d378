"""A reproduction: the paper's evaluation and the questions it leaves open, measured on running nodes.

A setup says what is measured and under which conditions; a row adds what was found, once for each repeat. Programs read
`reproduction.json`; a run that was interrupted goes on from `rows.jsonl`, which holds the same rows as they came.
"""

import statistics
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from offramp.artifacts.document import Document, Frozen
from offramp.artifacts.measurement import Conditions, Latencies, Latency
from offramp.artifacts.model_result import ModelResult
from offramp.artifacts.outcome import Outcome, Over, outcome_of_v1
from offramp.artifacts.plan import Plan, plan_of_v1

REPRODUCTION = "reproduction.json"
ROWS = "rows.jsonl"

Section = Literal["paper", "baselines", "drop", "bandwidth", "cores", "reply", "planner"]
Contender = Literal["local exit", "all at the edge", "all in the cloud", "fixed split", "cascade", "planned"]
Form = Literal["fp32", "uint8", "jpeg"]  # of an image on its way from the test node
Topology = Literal["processes", "containers"]


class Setup(Frozen):
    """What is measured: a network by a plan, the link between edge and cloud, the edge's cores, the way of the answers.

    `all at the edge` and `fixed split` have no active exit. `all in the cloud` sends the image from the test node over
    the link to a node there. `cascade` runs `model` up to its exit at the edge and sends the images that it is not sure
    of to `cloud_model`, whole. `planned` is what the planner chose: an edge of its own follows it.
    """

    section: Section
    contender: Contender = "local exit"
    model: str
    cloud_model: str | None = None  # another network in the cloud than the edge's
    plan: Plan
    reply: Literal["edge", "direct"] = "edge"  # by which way the cloud's answers come
    form: Form = "fp32"
    link: str = "loopback"  # between edge and cloud, as `--link` takes it
    edge_cores: float | None = None  # None: as many as the machine has
    samples: int  # the first so many of the test set
    singly: bool = Field(default=False, exclude_if=lambda singly: not singly)  # a request a sample: what plans are for

    @model_validator(mode="before")
    @classmethod
    def _upgraded(cls, values: Any) -> Any:
        """In version 1 the parts of an edge's plan stood here, and an exit that was none."""
        if isinstance(values, dict) and "exit" in values and "plan" not in values:
            values = {"plan": plan_of_v1(fields := dict(values)), **fields}
        return values

    @property
    def exit(self) -> int | None:
        """The active exit; None where there is none."""
        return self.plan.exit if self.plan.active else None

    @property
    def place(self) -> int:
        """Where it stands beside others: its exit, or else where the network is cut."""
        return self.plan.exit


class Repeat(Frozen):
    """The times of one repeat."""

    latency_ms: Latencies
    batch_ms: Latency | None
    cloud_ms: float  # of the cloud's computing, over all samples together, as its own statistics say


class Row(Frozen):
    """What was found under one setup. Accuracies and bytes are the same in every repeat; times are not."""

    setup: Setup
    outcome: Outcome
    bytes_to_cloud: int  # over the link, requests only
    repeats: tuple[Repeat, ...]

    @model_validator(mode="before")
    @classmethod
    def _upgraded(cls, values: Any) -> Any:
        if isinstance(values, dict) and "exited_locally" in values:
            values = {"outcome": outcome_of_v1(fields := dict(values), values["setup"]["samples"]), **fields}
        return values

    def p50(self, over: Over) -> float | None:
        """Median latency of a tier in ms: the median over repeats."""
        medians = self._medians(over)
        return statistics.median(medians) if medians else None

    def p50_range(self, over: Over) -> tuple[float, float] | None:
        """The lowest and the highest of the repeats' medians in ms."""
        medians = self._medians(over)
        return (min(medians), max(medians)) if medians else None

    def _medians(self, over: Over) -> list[float]:
        return [repeat.latency_ms[over].p50 for repeat in self.repeats if over in repeat.latency_ms]


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
    """How the running nodes' answers were held against the offline evaluation, in one repeat or over all."""

    compared: int  # answers, ties left out
    differing: int
    ties: int  # answers left out: their score lies within 1e-5 of the threshold


class Planned(Frozen):
    """The planner's choice for a link, and what it is predicted to come to: means a sample, sent one by one."""

    link: str
    model: str
    plan: Plan
    said: str  # in words
    latency_ms: float
    accuracy: float
    bytes_a_sample: float  # to the cloud


class PlannedPlans(Document):
    """What was chosen for the links of a run, kept beside its rows."""

    FORMAT: ClassVar[str] = "offramp.planned"
    VERSION: ClassVar[int] = 1

    bundle: str  # its id
    plans: tuple[Planned, ...]


class Reproduction(Document):
    """Everything a run measured. Rows that were not reached are in `left`."""

    FORMAT: ClassVar[str] = "offramp.reproduction"
    VERSION: ClassVar[int] = 2
    READS: ClassVar[tuple[int, ...]] = (1,)

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
    planned: tuple[Planned, ...] = ()  # for the section of the planner
    repeats: int
    conditions: Conditions
    topology: Topology
    agreement: Agreed
    seconds: float

    @classmethod
    def upgrade(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Version 1 compared ties too; its setups and rows read themselves, since a journal has them too."""
        agreement = dict(fields["agreement"])
        return fields | {"agreement": agreement | {"compared": agreement["compared"] - agreement["ties"]}}

    def section(self, name: Section) -> tuple[Row, ...]:
        """The rows of one section."""
        return tuple(row for row in self.rows if row.setup.section == name)
