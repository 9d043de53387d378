"""The frontier against a walk through every sample by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.artifacts.predictions import Predictions, PredictionsHeader
from offramp.exits.frontier import frontier
from offramp.exits.score import normalized_entropy, softmax

STAGES = {1: 100, 2: 200, 3: 400}
HEADS = {1: 1, 2: 2, 3: 4}


def some(count: int, seed: int) -> Predictions:
    """Random logits at three exits."""
    rng = np.random.default_rng(seed)
    header = PredictionsHeader(
        model="mem", source="checkpoint:0", data="noise", split="test", classes=("a", "b", "c"), exits=(1, 2, 3)
    )
    logits = {k: (2 * rng.standard_normal((count, 3))).astype(np.float32) for k in (1, 2, 3)}
    return Predictions(header, np.arange(count), rng.integers(0, 3, count), logits)


def by_hand(predictions: Predictions, active: tuple[int, ...], threshold: float) -> tuple[float, float]:
    """Mean cost and accuracy, a sample at a time."""
    macs, right = 0, 0
    for row in range(len(predictions)):
        for k in (1, 2, 3):
            macs += STAGES[k]
            if k in active or k == 3:
                macs += HEADS[k]
                probabilities = softmax(predictions.at(k)[row : row + 1])
                if k == 3 or normalized_entropy(probabilities)[0] < threshold:
                    right += int(probabilities.argmax() == predictions.labels[row])
                    break
    return macs / len(predictions), right / len(predictions)


@given(st.integers(1, 20), st.integers(0, 99), st.sampled_from([(1,), (2,), (1, 2)]), st.floats(0, 1))
def test_a_point_is_the_mean_over_samples(count: int, seed: int, active: tuple[int, ...], threshold: float) -> None:
    """Each pays for the stages it went through and the active heads it passed."""
    predictions = some(count, seed)
    (point,) = frontier(predictions, STAGES, HEADS, active, (threshold,))
    assert (point.macs, point.accuracy) == pytest.approx(by_hand(predictions, active, threshold))
    assert point.threshold == threshold


def test_at_threshold_0_everything_goes_to_the_end() -> None:
    """And pays for every active head on the way; inactive ones cost nothing."""
    points = frontier(some(9, 0), STAGES, HEADS, (2,), (0.0,))
    assert points[0].macs == 700 + 2 + 4


def test_the_threshold_trades_cost_for_accuracy() -> None:
    """The higher it is, the less is computed."""
    macs = [point.macs for point in frontier(some(50, 1), STAGES, HEADS, (1, 2), np.linspace(0, 1, 11))]
    assert macs == sorted(macs, reverse=True)
    assert macs[0] > macs[-1]


def test_samples_leave_by_the_score_that_is_asked_for() -> None:
    """A margin of 0.5 leaves below 0.6, and the entropy of the same answer, 0.81, does not."""
    header = PredictionsHeader(
        model="mem", source="checkpoint:0", data="hand", split="test", classes=("a", "b"), exits=(1, 2, 3)
    )
    logits = {k: np.log(np.array([[0.75, 0.25]], np.float32)) for k in (1, 2, 3)}
    predictions = Predictions(header, np.arange(1), np.zeros(1, np.int64), logits)
    (by_margin,) = frontier(predictions, STAGES, HEADS, (1,), (0.6,), "margin")
    (by_entropy,) = frontier(predictions, STAGES, HEADS, (1,), (0.6,))
    assert (by_margin.macs, by_entropy.macs) == (100 + 1, 700 + 1 + 4)
