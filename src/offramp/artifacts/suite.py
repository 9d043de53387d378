"""A suite: the same models trained under several regimes and seeds, with what came out of each. Reports read one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from offramp.artifacts.bundle import MANIFEST
from offramp.artifacts.data_record import DataSource
from offramp.artifacts.document import Document, Frozen
from offramp.artifacts.model_result import TrainingPoint
from offramp.artifacts.names import single
from offramp.artifacts.outcome import Outcome, outcome_of_v1
from offramp.artifacts.preprocessing import ReadAs
from offramp.errors import ArtifactMissingError, InputError

SUITE = "suite.json"  # in the suite's folder
PREDICTIONS = "predictions.parquet"  # in a run's
BUNDLE = "bundle"  # in a run's, once it is exported


class RunKey(Frozen):
    """Which run: a model under a regime from a seed."""

    model: str
    regime: str
    seed: int

    @property
    def place(self) -> str:
        """Where it lies among runs."""
        return f"{self.regime}/{self.model}-seed-{self.seed}"

    @property
    def folder(self) -> str:
        """Where it lies, within the suite's folder."""
        return f"runs/{self.place}"

    def __str__(self) -> str:
        return f"{self.model} {self.regime} seed {self.seed}"


class SuiteSettings(Frozen):
    """What a suite trains, and how. Two suites of equal settings but models, regimes and seeds are parts of one."""

    data: str
    preset: str
    head: str
    bottlenecks: dict[int, int] = Field(default_factory=dict)
    recipe: dict[str, Any]  # without its regime
    models: tuple[str, ...]
    regimes: tuple[str, ...]  # the first is what everything is compared with
    seeds: tuple[int, ...]
    own_regimes: dict[str, dict[str, Any]] = Field(default_factory=dict)  # those that no name stands for, in full
    split: Literal["position", "content"] = "position"  # how the data were cut; content in suites that begin now
    # How images were read; None in suites of before, which read them as is said of `DataRecord.read_as`.
    reading: ReadAs | None = Field(default=None, exclude_if=lambda reading: reading is None)
    source: DataSource | None = Field(default=None, exclude_if=lambda source: source is None)  # more of it than `data`
    cross: bool = False  # the models with one local exit or none under every regime too, not under the first alone

    @property
    def read_as(self) -> ReadAs:
        """How images are read."""
        return self.reading or ("plain" if self.split == "position" else "upright")

    def planned(self) -> tuple[RunKey, ...]:
        """Every run, in the order in which they are trained: a comparison within one seed is whole first."""
        return tuple(
            RunKey(model=model, regime=regime, seed=seed)
            for seed in self.seeds
            for regime in self.regimes
            for model in self.models
            if regime == self.regimes[0] or self.cross or not single(model)
        )


class Tiered(Frozen):
    """The paper's measures at one active exit and threshold, from predictions."""

    exit: int
    threshold: float
    outcome: Outcome


class SuiteRun(Frozen):
    """What one run came to."""

    key: RunKey
    exits: tuple[int, ...]
    stage_macs: dict[int, int]  # by stage
    head_macs: dict[int, int]  # by exit
    feature_bytes: dict[int, int]  # by boundary with an exit: fp32 features of one sample
    test_accuracy: dict[int, float]  # by exit: every test sample at every exit (the paper's Figure 10)
    tiered: tuple[Tiered, ...]
    training: tuple[TrainingPoint, ...]  # the paper's Figure 9
    seconds: float  # of training alone
    images_per_second: float  # median over epochs
    hardware: str
    commit: str


class Suite(Document):
    """`suite.json`: written anew after every run."""

    FORMAT: ClassVar[str] = "offramp.suite"
    VERSION: ClassVar[int] = 2
    READS: ClassVar[tuple[int, ...]] = (1,)

    settings: SuiteSettings
    classes: tuple[str, ...] = ()  # with test_samples, known when the first run is finished
    test_samples: int = 0
    runs: tuple[SuiteRun, ...] = ()

    @classmethod
    def upgrade(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Version 1 gave features as bytes of uint8, and knew two tiers."""
        return fields | {"runs": [_run_of_v1(run, fields["test_samples"]) for run in fields.get("runs", ())]}

    @property
    def left(self) -> tuple[RunKey, ...]:
        """The runs that are planned and not finished."""
        done = {run.key for run in self.runs}
        return tuple(key for key in self.settings.planned() if key not in done)

    def chosen(self, seed: int | None = None) -> tuple[SuiteRun, ...]:
        """The finished runs that are compared as the paper does: its regime is the first, and one seed, the lowest."""
        seeds = sorted({run.key.seed for run in self.runs})
        wanted = seeds[0] if seed is None and seeds else seed
        return tuple(run for run in self.runs if (run.key.regime, run.key.seed) == (self.settings.regimes[0], wanted))


def _run_of_v1(run: dict[str, Any], n: int) -> dict[str, Any]:
    tiered = []
    for values in map(dict, run["tiered"]):
        values |= {"exited_locally": values.pop("exited"), "dropped": 0}
        values["forwarded"] = n - values["exited_locally"]
        tiered.append({"outcome": outcome_of_v1(values, n), **values})
    return run | {"tiered": tiered, "feature_bytes": {at: 4 * size for at, size in run["feature_bytes"].items()}}


def open_suite(folder: Path, absent: str | None = None) -> Suite:
    """Read a suite that has finished runs; `absent` is what to say of a folder without one, and what to do."""
    if not (folder / SUITE).is_file():
        absent = absent or (
            f"not a folder of `offramp suite`, it has no {SUITE}. Make one with: offramp suite digits --models all "
            f"--out {folder}"
        )
        raise ArtifactMissingError(f"{folder}: {absent}")
    suite = Suite.read(folder / SUITE)
    if not suite.runs:
        raise InputError(f"{folder}: none of the suite's {len(suite.left)} runs is finished. Go on with: offramp suite")
    return suite


def to_export(folder: Path, runs: Sequence[SuiteRun], out: Path | None = None) -> list[tuple[Path, Path]]:
    """The folders of finished runs, each with that of its bundle: in the run's own, or by regime and model in `out`.

    Raises ArtifactMissingError where a run's is not there.
    """
    for run in runs:
        if not (folder / run.key.folder).is_dir():
            raise ArtifactMissingError(
                f"{folder / run.key.folder}: missing, and {folder / SUITE} says that {run.key} is finished. Copy the "
                "folder whole, or train it again: offramp suite"
            )
    own = [folder / run.key.folder for run in runs]
    return [(at, at / BUNDLE if out is None else out / run.key.place) for at, run in zip(own, runs, strict=True)]


def bundles_in(path: Path) -> list[Path]:
    """The bundles that a folder stands for: those of a suite's chosen runs, else itself."""
    if not (path / SUITE).is_file():
        if not (path / MANIFEST).is_file():
            raise ArtifactMissingError(
                f"{path}: not a bundle, it has no {MANIFEST}, and not a suite, it has no {SUITE}. Write one with: "
                "offramp export CHECKPOINT, or offramp reproduce --prepare"
            )
        return [path]
    return [path / run.key.folder / BUNDLE for run in Suite.read(path / SUITE).chosen()]
