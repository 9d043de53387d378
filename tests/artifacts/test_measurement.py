"""A measurement of running nodes, its latencies and its conditions."""

import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import ValidationError

from offramp.artifacts.measurement import Conditions, Latency, Measurement
from offramp.artifacts.outcome import Outcome
from offramp.artifacts.plan import Plan
from offramp.errors import ArtifactDamagedError
from offramp.machine import here

TIMES = hnp.arrays(np.float64, st.integers(1, 40), elements=st.floats(0, 1e5))


def measurement(**changes: Any) -> Measurement:
    """Two samples that both went to the cloud."""
    latency = Latency(mean=2.0, p50=2.0, p95=3.0, p99=3.5)
    values: dict[str, Any] = {
        "model": "small", "plan": Plan.of(1, 0.0, "margin"),
        "outcome": Outcome(n=2, answered={"cloud": 2}, accuracy={"cloud": 0.5}, overall=0.5, dropped=0, degraded=0),
        "latency_ms": {"cloud": latency, "overall": latency},
        "batch_ms": latency, "bytes_to_cloud": 256,
        "conditions": Conditions(**here(), batch_size=1, link="loopback", runtime="onnxruntime", dtype="fp32"),
    }  # fmt: skip
    return Measurement(**values | changes)


def test_a_measurement_survives_json() -> None:
    """A measurement read from its own text is equal."""
    written = measurement()  # once: its conditions have the second in which it was made
    assert Measurement.parse(written.to_json(), "text") == written


def test_who_answered_nothing_is_absent() -> None:
    """No sample answered at the edge: its accuracy and latency are not there, neither 0 nor NaN."""
    raw = json.loads(measurement().to_json())
    assert raw["outcome"]["accuracy"] == {"cloud": 0.5}
    assert raw["latency_ms"].keys() == {"cloud", "overall"}
    assert measurement().outcome.right("edge") is None
    assert measurement().outcome.count("edge") == 0


def test_a_measurement_says_by_which_plan_it_was_made() -> None:
    """Every exit, its threshold and the score."""
    exits = [{"exit": 1, "threshold": 0.2}, {"exit": 2, "threshold": 0.4}]
    plan = Plan.checked(active=exits, cut=3, codec="uint8", score="margin")
    assert Measurement.parse(measurement(plan=plan).to_json(), "text").plan == plan


V1 = {
    "format": "offramp.measurement", "version": 1, "model": "mem", "exit": 3, "threshold": 0.3, "cut": 4,
    "codec": "uint8", "n": 10, "exited_locally": 6, "forwarded": 3, "dropped": 1, "degraded": 0, "edge_accuracy": 0.5,
    "cloud_accuracy": 1.0, "overall_accuracy": 0.7,
    "latency_ms": {"edge": {"mean": 1.0, "p50": 1.0, "p95": 2.0, "p99": 3.0}, "cloud": None, "overall": None},
    "batch_ms": None, "bytes_to_cloud": 99,
    "conditions": {
        "commit": "c", "hardware": "h", "cores": 2, "batch_size": 32, "link": "wifi", "runtime": "r", "dtype": "fp32",
        "date": "d",
    },
}  # fmt: skip


def test_version_1_is_read() -> None:
    """What was written before tiers were a mapping and a plan was kept."""
    found = Measurement.parse(json.dumps(V1), "text")
    assert found.plan == Plan.of(3, 0.3, cut=4, codec="uint8")
    assert found.outcome == Outcome(
        n=10, answered={"edge": 6, "cloud": 3}, accuracy={"edge": 0.5, "cloud": 1.0}, overall=0.7, dropped=1, degraded=0
    )
    assert found.latency_ms == {"edge": Latency(mean=1.0, p50=1.0, p95=2.0, p99=3.0)}
    assert (found.model, found.bytes_to_cloud, found.conditions.link) == ("mem", 99, "wifi")
    assert json.loads(found.to_json())["version"] == 2


def test_in_version_1_a_threshold_of_0_was_no_exit() -> None:
    """Its `exit` was the cut's number then."""
    assert Measurement.parse(json.dumps(V1 | {"exit": 4, "threshold": 0.0}), "text").plan == Plan.checked(
        active=(), cut=4, codec="uint8"
    )


def test_a_version_1_with_a_hole_is_damaged() -> None:
    """A field that it had is not there."""
    with pytest.raises(ArtifactDamagedError, match=r"^text: document: .*not a whole document of version 1 .*forwarded"):
        Measurement.parse(json.dumps({key: V1[key] for key in V1 if key != "forwarded"}), "text")


def test_an_accuracy_that_is_no_number_is_refused() -> None:
    """NaN, the mean of nothing, never reaches a document."""
    with pytest.raises(ValidationError, match="finite number"):
        Outcome(n=1, answered={}, accuracy={}, overall=math.nan, dropped=0, degraded=0)


def test_latency_of_nothing_is_none() -> None:
    """Where no sample was answered there is no latency."""
    assert Latency.of(np.array([])) is None


def test_latency_of_one_sample_is_that_sample() -> None:
    """Mean and all percentiles coincide."""
    assert Latency.of(np.array([1.25])) == Latency(mean=1.25, p50=1.25, p95=1.25, p99=1.25)


def test_percentiles_are_interpolated() -> None:
    """Of 0 to 100 milliseconds the 50th, 95th and 99th percentile are these numbers."""
    assert Latency.of(np.arange(101.0)) == Latency(mean=50.0, p50=50.0, p95=95.0, p99=99.0)


@given(times=TIMES)
def test_percentiles_rise_within_what_was_measured(times: npt.NDArray[np.float64]) -> None:
    """p50, p95 and p99 rise, none lies outside the samples, and neither does the mean."""
    found = Latency.of(times)
    assert found is not None
    slack = 1e-4  # printed to a tenth of a microsecond
    assert times.min() - slack <= found.p50 <= found.p95 <= found.p99 <= times.max() + slack
    assert times.min() - slack <= found.mean <= times.max() + slack


@given(times=TIMES)
def test_latency_does_not_depend_on_order(times: npt.NDArray[np.float64]) -> None:
    """The same samples in another order have the same latency."""
    found, again = Latency.of(times), Latency.of(times[::-1].copy())
    assert found is not None
    assert again is not None
    assert found.model_dump() == pytest.approx(again.model_dump(), abs=2e-4)
