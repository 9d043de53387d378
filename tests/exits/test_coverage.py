"""Risk against coverage, against what routing by a threshold gives."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions, PredictionsHeader
from offramp.exits.coverage import coverage
from offramp.exits.evaluation import evaluate, route


def some(count: int, seed: int) -> Predictions:
    """Random logits in whole numbers, so that scores are often the same."""
    rng = np.random.default_rng(seed)
    header = PredictionsHeader(model="m", source="bundle:0", data="d", split="test", classes=("a", "b"), exits=(1, 2))
    logits = {k: rng.integers(-2, 3, (count, 2)).astype(np.float32) for k in (1, 2)}
    return Predictions(header, np.arange(count), rng.integers(0, 2, count), logits)


@settings(max_examples=30)
@given(count=st.integers(1, 30), seed=st.integers(0, 99), score=st.sampled_from(["entropy", "margin"]))
def test_each_point_is_what_leaves_just_above_its_threshold(count: int, seed: int, score: str) -> None:
    """Samples of one score leave together, and at the last point everybody left."""
    predictions = some(count, seed)
    curve = coverage(predictions, 1, score)
    for threshold, share, risk in zip(*curve, strict=True):
        if (above := np.nextafter(threshold, 2)) <= 1:
            outcome = evaluate(route(predictions, Plan.of(1, above, score)), predictions.labels)
            assert (outcome.local, outcome.right("edge")) == (round(count * share), pytest.approx(1 - risk))
    assert curve.share[-1] == 1
    assert (np.diff(curve.threshold) > 0).all()


def test_a_long_curve_is_thinned_and_keeps_its_end() -> None:
    """The end is the accuracy of all; of no samples there is no curve."""
    predictions = some(500, 0)
    predictions.logits[1][:, 0] = np.linspace(0, 3, 500)
    curve = coverage(predictions, 1, points=7)
    assert (len(curve.share), curve.share[-1]) == (7, 1)
    assert curve.risk[-1] == np.mean(predictions.at(1).argmax(axis=1) != predictions.labels)
    assert len(coverage(some(0, 0), 1).share) == 0
