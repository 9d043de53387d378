"""Promises: that they hold as often as they say, that a choice in sample does not, and what is refused."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom, multinomial

from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions, PredictionsHeader
from offramp.errors import InputError
from offramp.exits.evaluation import route
from offramp.exits.guarantees import (
    Moments,
    Routes,
    aimed,
    certified,
    digest,
    enough,
    gaps,
    moments,
    ordered,
    promise,
    stretched,
)
from offramp.exits.paired import p_value, shown
from offramp.exits.score import Floats

LAST, LOCAL = 4, (1, 2, 3)
PLANS = [
    Plan.checked(active=[{"exit": exit_, "threshold": threshold} for exit_ in LOCAL], cut=LAST)
    for threshold in np.linspace(0.04, 1, 25)
]


def made(count: int, seed: int, split: str = "test", **header: Any) -> Predictions:
    """A population of two classes whose exits are ever better, and unsure where they are wrong more often."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    ease = rng.normal(1.2, 1, count)
    logits = {}
    for exit_, noise in zip((*LOCAL, LAST), (1.1, 0.8, 0.6, 0.5), strict=True):
        lean = (2 * labels - 1) * ease + rng.normal(0, noise, count)
        logits[exit_] = np.stack([-2 * lean, 2 * lean], axis=1).astype(np.float32)
    said = PredictionsHeader(
        model="made",
        data="made",
        split=split,
        classes=("no", "yes"),
        exits=(*LOCAL, LAST),
        **{"source": "bundle:0"} | header,
    )
    return Predictions(said, np.arange(count) + 10**6 * seed, labels, logits)


@pytest.fixture(scope="module")
def population() -> Predictions:
    """Samples that all there is to know is known of."""
    return made(20000, 1)


@pytest.fixture(scope="module")
def validation() -> Predictions:
    """Others of the same kind, which plans are put in order by."""
    return made(2500, 2, "validation")


@pytest.fixture(scope="module")
def lost(population: Predictions) -> Floats:
    """What each sample of the population loses by each plan `(plans, N)`."""
    return np.stack([gaps(population, population, plan) for plan in PLANS])


def test_a_gap_is_right_at_the_end_minus_right_where_it_left(population: Predictions) -> None:
    """As counted from the answers of the evaluation; agreement asks no label; conditional is of those that left."""
    plan = PLANS[10]
    answers = route(population, plan)
    at_end = population.at(LAST).argmax(axis=1)
    right_end, right = at_end == population.labels, answers.label == population.labels
    found = gaps(population, population, plan)
    assert (found == right_end.astype(int) - right.astype(int)).all()
    assert {-1.0, 0.0, 1.0} == set(found)
    unlabelled = replace(population, labels=np.zeros_like(population.labels))
    assert (gaps(unlabelled, unlabelled, plan, "agreement") == (answers.label != at_end)).all()
    conditional = gaps(population, population, plan, "conditional")
    assert (np.isnan(conditional) == (answers.exit == LAST)).all()
    assert (conditional[answers.exit != LAST] == found[answers.exit != LAST]).all()


@pytest.mark.parametrize(("kind", "max_loss"), [("accuracy", 0.03), ("agreement", 0.14), ("conditional", 0.03)])
def test_a_promise_is_missed_no_more_often_than_it_says_and_a_choice_in_sample_is(
    kind: Any, max_loss: float, population: Predictions, validation: Predictions
) -> None:
    """200 draws of calibration samples with replacement, the order from other samples; what is lost is known."""
    draws, samples, delta = 200, 800, 0.1
    costs = np.linspace(1, 0, len(PLANS))
    chain = ordered(moments(Routes(validation), PLANS, kind), costs, samples, max_loss)
    assert len(chain) > 3
    assert (np.diff(costs[chain]) < 0).all()
    loss = np.stack([gaps(population, population, plan, kind) for plan in PLANS])
    truth = np.nanmean(loss, axis=1)
    drawn = loss[:, np.random.default_rng(3).integers(0, len(population), (draws, samples))].swapaxes(0, 1)
    held = np.array([certified(one[chain], max_loss, delta, gains=kind != "agreement") for one in drawn])
    best_in_sample = [np.flatnonzero(fits)[-1] for fits in np.nanmean(drawn, axis=2) <= max_loss if fits.any()]
    missed = (truth[chain[held[held > 0] - 1]] > max_loss).sum()
    error = (delta * (1 - delta) / draws) ** 0.5
    assert missed / draws <= delta + 3 * error
    assert (truth[best_in_sample] > max_loss).sum() / draws > delta + 3 * error  # so that the line above can fail
    assert (held > 0).mean() > 0.5


@pytest.mark.parametrize(("samples", "max_loss"), [(30, 0.1), (60, 0.05), (60, 0.02)])
def test_a_loss_is_shown_no_more_often_than_delta_by_every_way_to_lose_as_much(samples: int, max_loss: float) -> None:
    """Counted exactly, over all tables there are, at 101 shares of changed samples; and not by far too seldom."""
    delta = 0.1
    tables = [(lost, gained) for lost in range(samples + 1) for gained in range(samples + 1 - lost)]
    found = [t for t in tables if p_value(*t, samples, max_loss, 0.002) <= delta]
    rest = [(lost, gained, samples - lost - gained) for lost, gained in found]
    often = []
    for changed in np.linspace(max_loss, 1, 101):
        lost = (changed + max_loss) / 2
        chances = multinomial(samples, [lost, changed - lost, max(1 - changed, 0.0)])
        often.append(float(chances.pmf(rest).sum()))
    assert max(often) <= delta
    assert max(often) > 0.4 * delta


def test_gaps_show_what_their_numbers_do() -> None:
    """A sample that takes no part is none; where nothing can be gained, as the binomial law has it."""
    gap = np.repeat([1.0, -1.0, 0.0, np.nan], [4, 3, 993, 50])
    assert p_value(4, 3, 1000, 0.01, 0.001) < 0.05
    assert shown(gap, 0.01, 0.05)
    assert not shown(np.where(gap == 0, np.nan, gap), 0.01, 0.05)
    assert p_value(0, 0, 5000, 0.01, 0.001) == 0.001  # so few change that no such loss is left
    assert p_value(30, 3, 1000, 0.01, 0.001) == 1.0
    for lost, samples in ((4, 1000), (5, 1000), (0, 298), (0, 299)):
        law = binom.cdf(lost, samples, 0.01)
        assert shown(np.repeat([1.0, 0.0], [lost, samples - lost]), 0.01, 0.05, gains=False) == (law <= 0.05)


def test_a_loss_below_what_is_allowed_is_shown_about_as_often_as_the_normal_law_would_have_it() -> None:
    """0.4 points lost of 3 % that change, 1 point allowed, 2,500 samples: half of draws; a bet shows fewer."""
    drawn = np.random.default_rng(6).multinomial(2500, [0.017, 0.013, 0.97], 500)
    found = [p_value(int(lost), int(gained), 2500, 0.01, 0.001) <= 0.05 for lost, gained, _ in drawn]
    assert np.mean(found) > 0.48


def test_the_plan_to_stretch_is_the_cheapest_that_is_likely_to_be_shown() -> None:
    """By standard errors: 1.645 at 95 %; where none has as many, the surest. Stretched, all its exits stay."""
    expect = Moments(np.array([0.0, 0.004, 0.006, 0.02]), np.full(4, 0.03), np.ones(4))
    costs = np.array([4.0, 3.0, 2.0, 1.0])
    assert [aimed(expect, costs, count, 0.01, 0.05) for count in (100, 2500, 6000)] == [0, 1, 2]
    chain = stretched([0.0, 0.2, 0.9])
    assert (np.diff(chain, axis=0) >= 0).all()
    assert (chain[:, 0] == 0).all()
    assert ((chain[:, 1:] > 0) & (chain[:, 1:] <= 1)).all()
    assert chain[0, 1] < 0.2 < chain[-1, 1]


def test_candidates_hold_up_to_the_first_that_is_not_shown() -> None:
    """One that would be shown behind it does not count: its test was never made."""
    good, bad = np.zeros(1000), np.tile([1.0, 0.0], 500)
    assert certified(np.stack([good, good, bad, good]), 0.01, 0.05) == 2
    assert certified(np.stack([bad, good]), 0.01, 0.05) == 0
    assert certified(np.stack([good, good]), 0.01, 0.05) == 2
    assert certified(np.empty((0, 1000)), 0.01, 0.05) == 0


def test_so_many_as_would_do_do_in_about_half_of_draws() -> None:
    """The estimate, held against draws of as many: between a quarter and all of them."""
    rng = np.random.default_rng(5)
    count = enough(0.01, 0.05, 0.03, 0.05)
    assert count is not None
    drawn = rng.choice([-1.0, 0.0, 1.0], (200, count), p=[0.02, 0.95, 0.03])
    share = np.mean([shown(one, 0.03, 0.05) for one in drawn])
    assert 0.25 < share < 0.95
    assert enough(0.03, 0.05, 0.03, 0.05) is None


def test_the_promised_plan_is_the_cheapest_that_is_shown(population: Predictions, validation: Predictions) -> None:
    """It says what was shown of it, and on which samples, whatever their order in the file."""
    costs = [1 - plan.threshold for plan in PLANS]
    calibration = population.rows(slice(0, 5000))
    plan, which = promise(Routes(validation), Routes(calibration), PLANS, costs, 0.03, 0.9)
    assert plan.promise is not None
    assert (plan.but(codec="fp16").promise, plan.model_copy(update={"promise": None})) == (None, PLANS[which])
    assert (plan.promise.kind, plan.promise.max_loss, plan.promise.confidence) == ("accuracy", 0.03, 0.9)
    assert (plan.promise.samples, plan.promise.data_sha256) == (5000, digest(calibration))
    assert plan.promise.route == "the whole graph in one piece"
    assert (plan.promise.runtime, plan.promise.precision) == ("onnxruntime", "fp32")
    turned = calibration.rows(np.random.default_rng(0).permutation(5000))
    assert promise(Routes(validation), Routes(turned), PLANS, costs, 0.03, 0.9) == (plan, which)
    assert gaps(population, population, PLANS[which]).mean() <= 0.03  # of these draws, one that keeps it
    assert which > 3


def test_what_the_way_loses_is_in_the_promise(population: Predictions, validation: Predictions) -> None:
    """A plan whose features cross in uint8 is held against the plain network, paired by the samples' indices."""
    calibration = population.rows(slice(0, 3000))

    def by_uint8(plain: Predictions, flipped: int) -> Predictions:
        header = plain.header.model_copy(update={"cut": 3, "codec": "uint8"})
        logits = {**plain.logits, LAST: plain.at(LAST) * np.where(np.arange(len(plain)) < flipped, -1, 1)[:, None]}
        return replace(plain, header=header, logits=logits).rows(np.arange(len(plain))[::-1])

    plan = Plan.checked(active=[{"exit": 3, "threshold": 0.1}], cut=3, codec="uint8")
    order = Routes(validation, (by_uint8(validation, 0),))
    for flipped, kept in ((0, True), (600, False)):
        test = Routes(calibration, (by_uint8(calibration, flipped),))
        assert (abs(gaps(calibration, test.others[0], plan)).mean() > 0.05) is not kept
        if kept:
            assert promise(order, test, [plan], [1], 0.03)[1] == 0
        else:
            with pytest.raises(InputError, match="No number of them would show it"):
                promise(order, test, [plan], [1], 0.03)


def test_what_cannot_be_promised_is_refused(population: Predictions, validation: Predictions) -> None:
    """A loss of nothing, certainty, too few samples, samples in both splits, numbers that are none."""
    order, calibration = Routes(validation), population.rows(slice(0, 60))

    def refusal(message: str, on: Predictions = calibration, max_loss: float = 0.01, confidence: float = 0.95) -> None:
        with pytest.raises(InputError, match=re.escape(message)):
            promise(order, Routes(on), PLANS[:3], [3, 2, 1], max_loss, confidence)

    refusal("max loss 0: expected a share above 0 and below 1, such as 0.01. No number of samples shows", max_loss=0)
    refusal("confidence 1: expected a share above 0 and below 1, such as 0.95.", confidence=1)
    refusal("confidence 0: expected a share above 0 and below 1, such as 0.95.", confidence=0)
    refusal(
        "(accuracy): 60 samples to calibrate on do not show it of any plan. The surest loses -0.016 on them, and about"
    )
    refusal("2500 of the 2500 samples to calibrate on are among the 2500 that put plans in order.", on=validation)
    numbered = replace(validation, index=validation.index + 5)
    refusal("2500 of the 2500 samples to calibrate on are among the 2500", on=numbered)
    one = population.rows(np.arange(2000))
    one.index[7], one.labels[7] = validation.index[9], validation.labels[9]
    one.logits[LAST][7] = validation.logits[LAST][9]
    refusal("1 of the 2000 samples to calibrate on are among the 2500", on=one)
    broken = population.rows(np.arange(50))
    broken.logits[2][4, 0] = np.nan
    refusal(f"logits at exit 2 of sample {10**6 + 4} are not finite.", on=broken)
    twice = population.rows(np.array([0, 1, 1]))
    refusal(f"sample {10**6 + 1} is there 2 times, expected once.", on=twice)
    refusal("predictions: ordered on those of bundle:0", on=made(50, 3, source="bundle:1"))
    with pytest.raises(InputError, match="is measured in fp32 of 8-bit pixels, got int8"):
        Routes(made(5, 3, precision="int8"))
    everybody = Plan.of(1, 1)
    with pytest.raises(InputError, match="none of 1 plans loses less"):
        promise(order, Routes(calibration), [everybody], [1], 0.001)
