"""The document of an experiment."""

import json

from offramp.artifacts.experiment import Agreed, Experiment, ModelResult, TrainingPoint


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
