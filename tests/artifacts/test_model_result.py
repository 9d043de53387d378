"""A trained network as documents hold it."""

from offramp.artifacts.model_result import ModelResult, TrainingPoint


def test_exits_stay_numbers_in_json() -> None:
    """Figures by exit, whose keys JSON writes as text, come back as numbers."""
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
    text = result.model_dump_json()
    assert '"macs":{"1":100,"9":900}' in text
    assert ModelResult.model_validate_json(text) == result
