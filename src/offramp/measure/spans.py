"""Which spans of a bundle are timed for a profile, and a process of its own that runs them.

It stands alone so that it can be held to a share of a core. Takes a bundle and an engine, gives milliseconds.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.engine import Engine
from offramp.artifacts.manifest import Manifest
from offramp.measure.rounds import block
from offramp.runtime.open import open_span
from offramp.runtime.span import SpanSpec

MOST_BOUNDARIES = 16  # up to so many, every pair of them is a span that is timed; beyond, those from 0 and neighbours


def spans_of(manifest: Manifest) -> list[SpanSpec]:
    """The spans that nodes run by any plan: between active exits, to a cut without a head, and a cloud's tails.

    Encoders are timed at the end of the whole of what leads to a cut.
    """
    last, ends = manifest.last, manifest.exits
    places = [0, *ends]
    pairs = [(start, end) for end in ends for start in places if start < end]
    if len(places) > MOST_BOUNDARIES:
        pairs = sorted({*pairwise(places), *((0, end) for end in ends), *((start, last) for start in places[:-1])})
    heads = [SpanSpec(start, end, (end,), None if end == last else "fp32") for start, end in pairs]
    plain = [SpanSpec(start, end, (), "fp32") for start, end in pairs if end != last]
    coded = [
        SpanSpec(0, cut.boundary, (cut.boundary,), codec)
        for cut in manifest.cuts
        for codec in cut.codecs
        if cut.boundary and codec != "fp32"
    ]
    tails = [
        SpanSpec(cut.boundary, last, (last,), takes=codec)
        for cut in manifest.cuts
        for codec in cut.codecs
        if codec != "fp32"
    ]
    return heads + plain + coded + tails


def neighbours(manifest: Manifest) -> list[SpanSpec]:
    """The spans between neighbouring boundaries with and without their heads, and the whole: for every batch size."""
    last, steps = manifest.last, list(pairwise([0, *manifest.exits]))
    heads = [SpanSpec(start, end, (end,), None if end == last else "fp32") for start, end in steps]
    plain = [SpanSpec(start, end, (), "fp32") for start, end in steps if end != last]
    whole = SpanSpec(0, last, (last,))
    return [*heads, *plain, *([] if whole in heads else [whole])]


class Runner:
    """A process that runs spans, and whatever else it is handed. Its pid, so that it can be held back."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self.pool = pool
        self.pid: int = pool.submit(_pid).result()

    def block(self, spec: SpanSpec, batch: int, threads: int, seconds: float, lead: float) -> Callable[[], float]:
        """A block of a span's runs there."""
        return lambda: self.pool.submit(_block, spec, batch, threads, seconds, lead).result()


@contextmanager
def runner(path: Path, engine: Engine) -> Iterator[Runner]:
    """Run spans of a bundle by an engine in a process of its own, which ends with the context."""
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=_open, initargs=(str(path), engine)) as pool:
        yield Runner(pool)


# Of the process that runs spans: what it runs them of and by, and those that are open with what they are fed.
_of: tuple[Bundle, Engine]
_runs: dict[tuple[SpanSpec, int, int], Callable[[], object]] = {}


def _open(path: str, engine: Engine) -> None:
    global _of  # noqa: PLW0603  # a process's own start has nobody to hand it to
    _of = Bundle.open(path), engine


def _pid() -> int:
    import os

    return os.getpid()


def _block(spec: SpanSpec, batch: int, threads: int, seconds: float, lead: float) -> float:
    key = spec, batch, threads
    if key not in _runs:
        bundle, engine = _of
        span = open_span(bundle, spec, Engine(engine.runtime, engine.precision, threads))
        _runs[key] = partial(span.run, *spec.noise(bundle, batch))
        _runs[key]()  # a first run allocates, and OpenVINO compiles in it
    return block(_runs[key], seconds=seconds, lead=lead)
