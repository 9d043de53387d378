"""The document of an experiment."""

import json

import pytest

from offramp.artifacts.experiment import Agreed, Experiment, ModelResult, TrainingPoint
from offramp.artifacts.measurement import Conditions, Latency, Measurement, TierLatency
from offramp.errors import ArtifactDamagedError


def test_an_experiment_survives_json() -> None:
    """Figures by exit, whose keys are numbers and which JSON writes as text, come back as numbers."""
    result = ModelResult(
        model="MEM",
        bundle="0" * 32,
        exits=(1, 9),
        macs={1: 100, 9: 900},
        feature_bytes={1: 4096, 9: 40},
        test_accuracy={1: 0.5, 9: 0.9},
        training=(TrainingPoint(epoch=1, validation_accuracy={1: 0.25, 9: 0.5}),),
        training_seconds=1.5,
    )
    experiment = Experiment(
        name="paper", data="cifar10", test_samples=10_000, preset="paper", recipe="paper", epochs=1, seed=0,
        seconds=2.0, models=(result,), measurements=(), agreement=Agreed(compared=2, differing=0, ties=1),
    )  # fmt: skip
    assert json.loads(experiment.to_json())["models"][0]["macs"] == {"1": 100, "9": 900}
    read = Experiment.parse(experiment.to_json(), "text")
    assert read == experiment
    assert read.models[0].test_accuracy[9] == 0.9


def test_an_experiment_holds_documents() -> None:
    """A measurement in an experiment is the document that it is alone: its header is written, read and held to."""
    latency = Latency(mean=1.0, p50=1.0, p95=2.0, p99=2.0)
    measurement = Measurement(
        model="mem", exit=1, threshold=0.3, cut=1, codec="fp32", n=4, exited_locally=4, forwarded=0, dropped=0,
        degraded=0, edge_accuracy=0.75, cloud_accuracy=None, overall_accuracy=0.75,
        latency_ms=TierLatency(edge=latency, cloud=None, overall=latency), batch_ms=latency, bytes_to_cloud=0,
        conditions=Conditions(commit="0", hardware="a", cores=2, batch_size=4, link="none", runtime="r", dtype="fp32",
                              date="2026-11-24T04:46:09+00:00"),
    )  # fmt: skip
    experiment = Experiment(
        name="one", data="digits", test_samples=4, preset="tiny", recipe="digits", epochs=1, seed=0,
        seconds=2.0, models=(), measurements=(measurement,), agreement=Agreed(compared=4, differing=0, ties=0),
    )  # fmt: skip
    text = experiment.to_json()
    assert Experiment.parse(text, "text") == experiment
    assert Measurement.parse(json.dumps(json.loads(text)["measurements"][0]), "text") == measurement
    with pytest.raises(
        ArtifactDamagedError, match=r"^text: measurements\.0: Value error, expected offramp\.measurement "
    ):
        Experiment.parse(text.replace('"offramp.measurement"', '"offramp.other"'), "text")
