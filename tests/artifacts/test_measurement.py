"""A measurement of running nodes, its latencies and its conditions."""

import json
import math
import re
import subprocess
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import ValidationError

from offramp.artifacts.measurement import Conditions, Latency, Measurement, TierLatency
from offramp.machine import commit, processor

TIMES = hnp.arrays(np.float64, st.integers(1, 40), elements=st.floats(0, 1e5))


def measurement(**changes: Any) -> Measurement:
    """Two samples that both went to the cloud."""
    latency = Latency(mean=2.0, p50=2.0, p95=3.0, p99=3.5)
    values: dict[str, Any] = {
        "model": "small", "exit": 1, "threshold": 0.0, "cut": 1, "codec": "fp32", "n": 2, "exited_locally": 0,
        "forwarded": 2, "dropped": 0, "degraded": 0, "edge_accuracy": None, "cloud_accuracy": 0.5,
        "overall_accuracy": 0.5, "latency_ms": TierLatency(edge=None, cloud=latency, overall=latency),
        "batch_ms": latency, "bytes_to_cloud": 256,
        "conditions": Conditions.here(batch_size=1, link="loopback", runtime="onnxruntime"),
    }  # fmt: skip
    return Measurement(**values | changes)


def test_a_measurement_survives_json() -> None:
    """A measurement read from its own text is equal."""
    assert Measurement.parse(measurement().to_json(), "text") == measurement()


def test_what_was_not_measured_is_null() -> None:
    """No sample answered at the edge: its accuracy and latency are absent, neither 0 nor NaN."""
    raw = json.loads(measurement().to_json())
    assert raw["edge_accuracy"] is None
    assert raw["latency_ms"]["edge"] is None
    assert raw["cloud_accuracy"] == 0.5


def test_an_accuracy_that_is_no_number_is_refused() -> None:
    """NaN, the mean of nothing, never reaches a document."""
    with pytest.raises(ValidationError, match="finite number"):
        measurement(edge_accuracy=math.nan)


def test_latency_of_nothing_is_none() -> None:
    """Where no sample was answered there is no latency."""
    assert Latency.of(np.array([])) is None


def test_latency_of_one_sample_is_that_sample() -> None:
    """Mean and all percentiles coincide."""
    assert Latency.of(np.array([1.25])) == Latency(mean=1.25, p50=1.25, p95=1.25, p99=1.25)


def test_percentiles_are_interpolated() -> None:
    """Of 0 to 100 milliseconds the 50th, 95th and 99th percentile are these numbers."""
    assert Latency.of(np.arange(101.0)) == Latency(mean=50.0, p50=50.0, p95=95.0, p99=99.0)


@settings(deadline=None)
@given(times=TIMES)
def test_percentiles_rise_within_what_was_measured(times: npt.NDArray[np.float64]) -> None:
    """p50, p95 and p99 rise, none lies outside the samples, and neither does the mean."""
    found = Latency.of(times)
    assert found is not None
    slack = 1e-4  # printed to a tenth of a microsecond
    assert times.min() - slack <= found.p50 <= found.p95 <= found.p99 <= times.max() + slack
    assert times.min() - slack <= found.mean <= times.max() + slack


@settings(deadline=None)
@given(times=TIMES)
def test_latency_does_not_depend_on_order(times: npt.NDArray[np.float64]) -> None:
    """The same samples in another order have the same latency."""
    found, again = Latency.of(times), Latency.of(times[::-1].copy())
    assert found is not None
    assert again is not None
    assert found.model_dump() == pytest.approx(again.model_dump(), abs=2e-4)


def test_conditions_describe_this_machine_now() -> None:
    """The date is now with its time zone, the cores are real, and what was passed is kept."""
    here = Conditions.here(batch_size=8, link="loopback", runtime="onnxruntime", dtype="fp16")
    age = datetime.now().astimezone() - datetime.fromisoformat(here.date)
    assert timedelta(0) <= age < timedelta(minutes=1)
    assert here.cores >= 1
    assert (here.batch_size, here.link, here.runtime, here.dtype) == (8, "loopback", "onnxruntime", "fp16")
    assert here.commit == commit()
    assert here.hardware == processor() != ""


def test_the_commit_is_the_checkouts() -> None:
    """Twelve digits of git's own answer, `+` where files differ from it."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        pytest.skip("not a checkout")
    head = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert commit().rstrip("+") == head.stdout[:12]
    assert re.fullmatch(r"[0-9a-f]{12}\+?", commit())
