"""The load scenarios: what each fills in, what fits together, and the schedule of queries that it stands for.

Pure: numbers and seeds in, queries out. Names and rules are those of MLPerf's LoadGen (mlcommons/inference,
loadgen/test_settings.h); `clients`, N closed loops, is ours. Two rules differ. Samples are drawn without replacement,
every one once before any comes twice, so that a run as long as the set has the set's accuracy. And a percentile is the
nearest rank; LoadGen takes the one above it where it is a whole number of queries.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import get_args

import numpy as np
import numpy.typing as npt

from offramp.artifacts.scenario import Scenario, ScenarioName
from offramp.errors import InputError

Rows = npt.NDArray[np.intp]
BATCH = {"clients": 32, "single-stream": 1, "multi-stream": 8, "server": 1, "offline": 32}
ONE = ("single-stream", "server")  # a query is one sample
OPEN = ("server", "offline")  # nobody waits for an answer before the next query
ENDLESS = ("single-stream", "multi-stream", "server")  # go on for a while; the others send the set once
DURATION, COUNT = 2.0, 100  # seconds and queries of those: LoadGen's own 600 s is what a submission takes
CHUNK = 1_024


@dataclass(frozen=True)
class Query:
    """Which samples go, and when: in seconds from the start; None: as soon as a client has its last answer."""

    rows: Rows
    due: float | None


def scenario(
    name: str,
    samples: int,
    *,
    batch_size: int | None = None,
    clients: int | None = None,
    rate: float | None = None,
    duration: float | None = None,
    count: int | None = None,
    schedule_seed: int = 0,
    sample_seed: int | None = None,
    percentile: float | None = None,
    bound_ms: float | None = None,
    direct: bool = False,
) -> Scenario:
    """A scenario over a set of so many samples, what was not said filled in; InputError where it does not fit."""
    known = {one: one for one in get_args(ScenarioName)}
    if name not in known:
        raise InputError(f"scenario {name!r}: unknown. Choose one of {', '.join(known)}.")
    size = BATCH[name] if batch_size is None else batch_size
    for what, value, expected, fits in (
        ("batch size", size, "at least 1", size >= 1),
        ("clients", clients, "at least 1", clients is None or clients >= 1),
        ("rate", rate, "queries a second, above 0", rate is None or 0 < rate < math.inf),
        ("duration", duration, "seconds, at least 0", duration is None or 0 <= duration < math.inf),
        ("count", count, "at least 1 query", count is None or count >= 1),
        ("percentile", percentile, "a number above 0, at most 100", percentile is None or 0 < percentile <= 100),
        ("bound", bound_ms, "a time above 0", bound_ms is None or 0 < bound_ms < math.inf),
    ):
        if not fits:
            raise InputError(f"{what} {value:g}: expected {expected}.")
    if name in ONE and size != 1:
        raise InputError(f"batch size {size}: a query of scenario {name} is one sample. Leave it out.")
    if name != "clients" and clients is not None:
        raise InputError(f"clients {clients}: of scenario clients, and this is {name}. Leave one of the two out.")
    if name == "server" and rate is None:
        raise InputError("scenario server: queries arrive at a rate. Say how many a second with --rate.")
    if name != "server" and rate is not None:
        raise InputError(f"rate {rate:g}: of scenario server, and this is {name}. Say --scenario server.")
    if name == "offline" and duration is not None:
        raise InputError("scenario offline: everything is sent at once. Say how much with --count, not --duration.")
    if bound_ms is not None and percentile is None:
        raise InputError(f"bound {bound_ms:g} ms: of which percentile of the latencies? Say it with --percentile.")
    if direct and name in OPEN:
        raise InputError(f"scenario {name}: its queries overlap, and direct replies come one query after another.")
    return Scenario(
        name=known[name],
        batch_size=size,
        clients=0 if name in OPEN else clients or 1,
        rate=rate,
        duration=duration if duration is not None else DURATION if name in ENDLESS else 0.0,
        count=count or (COUNT if name in ENDLESS else -(-samples // size)),
        schedule_seed=schedule_seed,
        sample_seed=0 if sample_seed is None and name in ENDLESS else sample_seed,
        percentile=percentile,
        bound_ms=bound_ms,
    )


def queries(scenario: Scenario, samples: int) -> Iterator[Query]:
    """The schedule over a set of so many samples, without end: who sends it knows when it was enough."""
    dues: Iterator[float | None] = repeat(None if scenario.clients else 0.0)
    if scenario.rate is not None:
        dues = _arrivals(scenario.rate, scenario.schedule_seed)
    return map(Query, _batches(samples, scenario.batch_size, scenario.sample_seed), dues)


def _arrivals(rate: float, seed: int) -> Iterator[float]:
    """Times of a Poisson process, in seconds: the gaps are exponential."""
    rng, now = np.random.default_rng(seed), 0.0
    while True:
        for gap in rng.exponential(1 / rate, CHUNK):
            now += float(gap)
            yield now


def _batches(samples: int, size: int, seed: int | None) -> Iterator[Rows]:
    """Every sample once, in an order of its own, and again; the last batch of each turn may be smaller."""
    rng = np.random.default_rng(seed)
    while True:
        order = np.arange(samples) if seed is None else rng.permutation(samples)
        for start in range(0, samples, size):
            yield order[start : start + size]


def percentile_ms(latencies_ms: npt.NDArray[np.float64], percentile: float) -> float:
    """The nearest rank: the smallest latency that at least so many percent are not above."""
    return float(np.percentile(latencies_ms, percentile, method="inverted_cdf"))
