"""Time a network on onnxruntime and OpenVINO in turn, and say from the figures which of the two to run it on.

The decision is a pure function of the figures; the timing is beside it.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from statistics import median

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.engine import Engine, Runtime
from offramp.runtime.open import open_span
from offramp.runtime.sameness import check_engine
from offramp.runtime.span import SpanSpec

GAIN = 1.1  # how many times faster the other runtime must be to be taken instead: less is noise
BATCHES = (1, 8, 32)  # of which those are timed that a node serves
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


def served(largest: int) -> tuple[int, ...]:
    """The batch sizes to time for a node that takes batches of up to `largest`.

    >>> served(256), served(8), served(4)
    ((1, 8, 32), (1, 8), (1, 4))
    """
    return tuple(sorted({min(size, largest) for size in BATCHES}))


def faster(timings: Sequence[Timing], before: Runtime = "onnxruntime") -> Runtime:
    """The runtime `before`, unless the other gains `GAIN` times in the geometric mean over the batch sizes.

    All sizes weigh alike: a loss of a tenth at batch 1 does not outweigh a threefold gain at batch 32. Whichever runs
    already stays where the two are as good as equal, so that noise changes nothing.

    >>> faster([Timing(1, 0.44, 0.45), Timing(32, 9.0, 3.0)]), faster([Timing(1, 0.4, 0.5), Timing(32, 9.0, 8.5)])
    ('openvino', 'onnxruntime')
    >>> faster([Timing(1, 1.0, 1.05)], before="openvino")
    'openvino'
    """
    if not timings:
        return before
    gain = prod(timing.gain for timing in timings) ** (1 / len(timings))
    if before == "onnxruntime":
        return "openvino" if gain >= GAIN else before
    return "onnxruntime" if 1 / gain >= GAIN else before


def measure(bundle: Bundle, here: Engine, there: Engine, batches: Sequence[int]) -> tuple[Timing, ...]:
    """Time a whole network on onnxruntime (`here`) and OpenVINO (`there`) at each batch size, in turn.

    Raises ParityError where OpenVINO computes another network at any of its exits, however fast.
    """
    check_engine(bundle, there)
    if not batches:
        return ()
    last = bundle.manifest.last
    spec = SpanSpec(0, last, (last,))
    spans = [open_span(bundle, spec, engine) for engine in (here, there)]
    timings = []
    for batch in batches:
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
    return tuple(timings)
