"""Which runtime and precision a node computes with: as asked, or by timing both on the span that it will run.

The decision is a pure function of the figures; the timing is beside it.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from math import prod
from pathlib import Path
from statistics import median
from typing import TypeVar

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.engine import PORTABLE, PRECISIONS, RUNTIMES, Engine, Runtime
from offramp.errors import InputError, MissingExtraError
from offramp.machine import CPUINFO, instructions, processor_kind
from offramp.runtime.open import open_span
from offramp.runtime.span import SpanSpec

Name = TypeVar("Name", bound=str)

AUTO = "auto"
GAIN = 1.1  # how many times faster OpenVINO must be to be taken: less is noise, and onnxruntime is what all have
BATCHES = (1, 32)
BUDGET = 0.4  # seconds of timing for each batch size; three rounds are run whatever they take
ROUNDS = (3, 100)  # at least, at most


@dataclass(frozen=True)
class Timing:
    """Median milliseconds of one batch on both runtimes, timed in turn."""

    batch: int
    onnxruntime: float
    openvino: float

    @property
    def gain(self) -> float:
        """How many times faster OpenVINO is."""
        return self.onnxruntime / self.openvino

    def __str__(self) -> str:
        return f"batch {self.batch}: {self.openvino:.3g} ms on openvino, {self.onnxruntime:.3g} ms on onnxruntime"


@dataclass(frozen=True)
class Choice:
    """What a node computes with, and why."""

    engine: Engine = PORTABLE
    why: str = "the default"

    @property
    def config(self) -> dict[str, str]:
        """What a node's models say of it."""
        return {
            "runtime": self.engine.release,
            "precision": self.engine.precision,
            "runtime_choice": self.why,
            "hardware": processor_kind(),
        }

    def __str__(self) -> str:
        return f"{self.engine.release} {self.engine.precision} ({self.why})"


DEFAULT = Choice()


def faster(timings: Sequence[Timing]) -> Runtime:
    """OpenVINO where it gains clearly: `GAIN` times in the geometric mean over the batch sizes, and loses at none.

    >>> faster([Timing(1, 0.44, 0.39), Timing(32, 9.0, 4.0)]), faster([Timing(1, 0.4, 0.5), Timing(32, 9.0, 4.0)])
    ('openvino', 'onnxruntime')
    """
    gains = [timing.gain for timing in timings]
    wins = bool(gains) and prod(gains) ** (1 / len(gains)) >= GAIN and min(gains) >= 1.0
    return "openvino" if wins else "onnxruntime"


def choose(bundle: Bundle, spec: SpanSpec, runtime: str = AUTO, precision: str = AUTO, threads: int = 0) -> Choice:
    """Settle what a node computes with; `auto` for either leaves it to this machine. `threads` go with it.

    An `auto` precision is fp32, except on OpenVINO on a processor with bf16 matrix units. An `auto` runtime is timed on
    `spec`, which should be what the node runs most, and on nothing where only one can do what is asked. Raises
    InputError for a value that is unknown or that this machine or bundle does not have, MissingExtraError where
    OpenVINO was asked for and is not installed.
    """
    asked_runtime, asked_precision = _known(runtime, RUNTIMES, "runtime"), _known(precision, PRECISIONS, "precision")
    installed = asked_runtime != "onnxruntime" and find_spec("openvino") is not None
    if asked_precision is not None:
        bundle.graph_for(asked_precision)  # an int8 graph that is not there is found before anything is timed
    if asked_runtime == "onnxruntime" and asked_precision == "bf16":
        raise InputError("precision bf16: onnxruntime multiplies in fp32 and int8. Choose --runtime openvino.")
    if not installed and (asked_runtime == "openvino" or asked_precision == "bf16"):
        raise MissingExtraError(
            f"{'runtime openvino' if asked_runtime else 'precision bf16'}: openvino is not installed. Install it with: "
            "pip install 'offramp[openvino]', or choose --runtime onnxruntime --precision fp32."
        )
    if asked_precision == "bf16":
        from offramp.runtime.openvino_span import multiplies_bf16

        if not multiplies_bf16():
            raise InputError("precision bf16: this processor does not multiply in bf16. Choose --precision fp32.")
    matrix_units = asked_precision is None and installed and has_bf16_matrix_units()
    there = Engine("openvino", asked_precision or ("bf16" if matrix_units else "fp32"), threads)
    here = Engine("onnxruntime", asked_precision or "fp32", threads)
    if asked_runtime is not None:
        why = "as asked" if asked_precision or not matrix_units else "this processor has bf16 matrix units"
        return Choice(there if asked_runtime == "openvino" else here, why)
    if asked_precision == "bf16":
        return Choice(there, "the runtime that has bf16")
    if not installed:
        return Choice(here, "openvino is not installed")
    timings = measure(bundle, spec, here, there)
    return Choice(there if faster(timings) == "openvino" else here, "; ".join(map(str, timings)))


def measure(bundle: Bundle, spec: SpanSpec, here: Engine, there: Engine) -> list[Timing]:
    """Time a span on onnxruntime (`here`) and OpenVINO (`there`) at each batch size, in turn."""
    spans = [open_span(bundle, spec, engine) for engine in (here, there)]
    timings = []
    for batch in BATCHES:
        rows = spec.noise(bundle, batch)
        rounds: list[tuple[float, float]] = []
        for span in spans:
            span.run(*rows)  # the first run of a shape allocates, and OpenVINO compiles for it
        end = time.perf_counter() + BUDGET
        while len(rounds) < ROUNDS[0] or (len(rounds) < ROUNDS[1] and time.perf_counter() < end):
            times = [time.perf_counter()]
            for span in spans:
                span.run(*rows)
                times.append(time.perf_counter())
            rounds.append((times[1] - times[0], times[2] - times[1]))
        first, second = (1000 * median(column) for column in zip(*rounds, strict=True))
        timings.append(Timing(batch, first, second))
    return timings


def has_bf16_matrix_units(cpuinfo: Path = CPUINFO) -> bool:
    """Whether the processor multiplies bf16 matrices in units of their own (AMX), where the system tells."""
    return "amx_bf16" in instructions(cpuinfo)


def _known(value: str, names: tuple[Name, ...], what: str) -> Name | None:
    """The value as one of the names; None for auto."""
    if value == AUTO:
        return None
    for name in names:
        if name == value:
            return name
    raise InputError(f"{what} {value!r}: unknown. Choose one of {AUTO}, {', '.join(names)}.")
