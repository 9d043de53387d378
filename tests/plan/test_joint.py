"""Thresholds of all exits at once, against every choice there is; and the score that they are of."""

import itertools

import numpy as np
import pytest

from offramp import pretrained
from offramp.artifacts.bundle import MANIFEST
from offramp.artifacts.manifest import Manifest
from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions, PredictionsHeader
from offramp.errors import InputError
from offramp.exits.evaluation import route
from offramp.exits.score import Floats
from offramp.plan.joint import SWEEPS, Descent, Leaves, plans
from offramp.plan.score import choose_score, cost


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    """The packaged network's."""
    return Manifest.read(pretrained() / "bundle" / MANIFEST)


@pytest.fixture(scope="module")
def validation(manifest: Manifest) -> Predictions:
    """Exits that are ever surer of what is right; some samples are hard for all."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 300)
    ease = rng.gamma(2, 1, (300, 1))
    logits = {
        exit_: (np.eye(10)[labels] * ease * (2 + exit_ / 3) + rng.normal(0, 1, (300, 10))).astype(np.float32)
        for exit_ in manifest.exits
    }
    header = PredictionsHeader(
        model="mem", source="bundle:0", data="made", split="validation", classes=manifest.classes, exits=manifest.exits
    )
    return Predictions(header, np.arange(300), labels, logits)


def test_no_other_thresholds_cost_less_at_a_price() -> None:
    """Two exits and ten samples: every threshold between two scores was tried by hand, for prices high and low."""
    for seed in range(12):
        rng = np.random.default_rng(seed)
        leaves = Leaves(
            rng.random((2, 10)), rng.choice([-1.0, 0.0, 1.0], (2, 10)), np.array([1.0, 2.0]), np.array([0.4, 0.9]), 4.0
        )
        places = [[0.0, *(np.sort(scores)[1:] + np.sort(scores)[:-1]) / 2, 1.0] for scores in leaves.scores]
        for price in (0.5, 5.0):

            def total(at: Floats, price: float = price, leaves: Leaves = leaves) -> float:
                cost, loss = leaves.mean(at)
                return cost + price * loss

            least = min(total(np.array(at)) for at in itertools.product(*places))
            assert min(map(total, plans(leaves, np.array([price])))) == pytest.approx(least)


def _swept(leaves: Leaves, thresholds: Floats, price: float) -> float:
    """One sweep over the samples that come to each exit alone, in place; gives the sum that is left."""
    reached = [np.ones(leaves.scores.shape[1], np.bool_)]
    for scores, threshold in zip(leaves.scores, thresholds, strict=True):
        reached.append(reached[-1] & (scores >= threshold) if threshold > 0 else reached[-1])
    ahead = np.full(leaves.scores.shape[1], leaves.end)
    for k in reversed(range(len(thresholds))):
        here = leaves.costs[k] + price * leaves.losses[k]
        rows = leaves.order[k][reached[k][leaves.order[k]]]
        scores, saved = np.append(leaves.scores[k][rows], np.inf), (ahead - here)[rows]
        gain = np.where(scores[1:] > scores[:-1], saved.cumsum(), -np.inf)
        last = int(gain.argmax()) if len(rows) else 0
        pays = len(rows) > 0 and gain[last] > leaves.heads[k] * len(rows)
        thresholds[k] = min((scores[last] + scores[last + 1]) / 2, 1.0) if pays else 0.0
        if pays:
            ahead = np.where(leaves.scores[k] < thresholds[k], here, ahead) + leaves.heads[k]
    return float(ahead.sum())


@pytest.mark.parametrize("digits", [1, 2, 17])
def test_what_was_swept_before_changes_no_bit(digits: int) -> None:
    """One descent from many starts gives what each gives alone, of samples that come alone; equal scores among them."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        exits, count = rng.integers(1, 7), rng.integers(1, 200)
        scores, losses = rng.random((exits, count)).round(digits), rng.choice([-1.0, 0.0, 0.0, 1.0], (exits, count))
        leaves = Leaves(scores, losses, np.sort(rng.random(exits)), rng.random(exits) * 0.05 * (seed % 3), 1.2)
        price = float(rng.choice([0.1, 1.0, 5.0]))
        descent = Descent(leaves, price)
        for start in [np.where(rng.random(exits) < 0.6, rng.random(exits), 0.0) for _ in range(5)]:
            alone, least = start.copy(), np.inf
            for _ in range(SWEEPS):
                if (total := _swept(leaves, alone, price)) > least - 1e-12 * abs(least):
                    break
                least = total
            assert descent.best(start).tobytes() == alone.tobytes()


def test_cost_is_the_multiply_adds_of_the_exits_that_samples_leave_at(
    manifest: Manifest, validation: Predictions
) -> None:
    """As counted from the answers of the evaluation, heads that are passed included."""
    at = np.array([0, 0.3, 0, 0.5, 0.6, 0, 0, 0.2])
    active = [{"exit": k, "threshold": t} for k, t in zip(manifest.exits[:-1], at, strict=True) if t]
    answers = route(validation, Plan.checked(active=active, cut=manifest.last, score="margin"))
    passed = tuple(int(one["exit"]) for one in active)
    counted = np.mean([manifest.macs(int(exit_), passed) for exit_ in answers.exit])
    assert len(set(answers.exit)) == 5
    assert Leaves.of(validation, manifest, "margin").mean(at)[0] == pytest.approx(counted)


def test_the_score_is_the_one_whose_plans_cost_least(manifest: Manifest, validation: Predictions) -> None:
    """Where exits agree without being sure, it is patience; a test split chooses nothing."""
    costs = {name: cost(validation, manifest, name, 0.01) for name in ("entropy", "max-probability", "margin")}
    assert choose_score(validation, manifest, 0.01) == min(costs, key=lambda name: costs[name])
    logits = {k: np.sign(x) * np.float32(0.01) for k, x in validation.logits.items()}
    rng = np.random.default_rng(1)
    for exit_ in manifest.exits:  # all as sure, and right or wrong by chance: two that agree are right
        said = np.where(rng.random(300) < 0.8, validation.labels, rng.integers(0, 10, 300))
        logits[exit_] = np.eye(10, dtype=np.float32)[said]
    logits[manifest.last] = np.eye(10, dtype=np.float32)[validation.labels]
    alike = Predictions(validation.header, validation.index, validation.labels, logits)
    assert choose_score(alike, manifest, 0.05) == "patience"
    header = validation.header.model_copy(update={"split": "test"})
    with pytest.raises(InputError, match="of the test split, which only measures what was chosen"):
        choose_score(Predictions(header, alike.index, alike.labels, logits), manifest, 0.05)
