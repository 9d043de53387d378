"""Plans predicted and measured: what a row says of made-up measurements, and what has to be timed for it."""

from dataclasses import replace

import numpy as np
import pytest

from made_up_profile import CALL, HANDED_ON, NODE, made_up_profile, span_ms
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.artifacts.profile import LinkProfile
from offramp.bench.timed import Answer, Crossing, SpanRun, Timed
from offramp.bench.verified import named, summary, verified_table
from offramp.bench.verify import Driven, needed, row_of
from offramp.exits.answers import Tier
from offramp.exits.evaluation import route
from offramp.measure.rounds import Block
from offramp.measure.spans import spans_of
from offramp.plan.cost import Costs
from offramp.runtime.span import SpanSpec

PLANS = [
    Plan.of(3, 0.5),
    Plan.of(2, 0.4, cut=5, codec="uint8"),
    Plan.of(4, 0.4, cut=0, codec="fp16"),
    Plan.checked(active=[{"exit": 2, "threshold": 0.3}, {"exit": 6, "threshold": 0.3}], cut=9),
    Plan.checked(active=(), cut=0),
    Plan.checked(active=(), cut=9),
]


def test_a_row_weighs_what_each_sample_costs_where_it_is_answered(bundle: Bundle, predictions: Predictions) -> None:
    """The mean of the two ways by their shares; measured is the rounds' median; bytes are of those that went on."""
    costs = Costs.of(bundle.manifest, made_up_profile(bundle), LinkProfile(round_trip_ms=10, between="made up"))
    answers = route(predictions, PLANS[0])
    sent = 100
    onward = float((answers.tier[:sent] == Tier.CLOUD).mean())
    assert 0 < onward < 1
    rounds = [Driven(ms, size, answers.label[:sent], True) for ms, size in ((8.0, 100.0), (9.0, 120.0), (50.0, 110.0))]
    row = row_of(costs, PLANS[0], answers, rounds, predictions.labels)
    span = span_ms(SpanSpec(0, 3, (3,)))
    assert row.predicted_ms == pytest.approx(NODE + span + onward * (HANDED_ON + 10 + CALL))
    assert (row.measured_ms, row.measured_bytes, row.same) == (9.0, 110.0, True)
    assert row.predicted_bytes == pytest.approx(onward * costs.bytes_up(PLANS[0].first))
    assert row.predicted_accuracy == float((answers.label == predictions.labels).mean())
    assert (row.measured_accuracy, row.samples) == ((answers.label == predictions.labels)[:sent].mean(), sent)
    assert row.accurate
    assert not replace(row, measured_accuracy=row.predicted_accuracy - 0.2).accurate
    assert row.error == pytest.approx(row.predicted_ms / 9.0 - 1)


def test_what_is_timed_prices_every_plan(bundle: Bundle) -> None:
    """A profile of the needed blocks alone prices the plans as a whole one does, by less than half of its spans."""

    def block() -> float:
        return 1.0

    whole = made_up_profile(bundle)
    blocks: dict[Timed, Block] = {SpanRun(spec, 1, 1): block for spec in spans_of(bundle.manifest)}
    blocks |= {Crossing(one.cut, one.codec): block for one in whole.crossings}
    blocks |= {Answer(one.exit, one.way): block for one in whole.answers}
    kept = needed(blocks, bundle, PLANS)
    specs = {key.spec for key in kept if isinstance(key, SpanRun)}
    crossings = {(key.cut, key.codec) for key in kept if isinstance(key, Crossing)}
    profile = whole.model_copy(
        update={
            "spans": tuple(
                one for one, spec in zip(whole.spans, spans_of(bundle.manifest), strict=True) if spec in specs
            ),
            "crossings": tuple(one for one in whole.crossings if (one.cut, one.codec) in crossings),
        }
    )
    assert len(profile.spans) < len(whole.spans) / 2
    costs, full = (Costs.of(bundle.manifest, one, LinkProfile(between="made up")) for one in (profile, whole))
    for part in (plan.first for plan in PLANS):
        assert costs.exits(part) == full.exits(part)
        price = Costs.local if part.cut == 9 else Costs.onward
        assert price(costs, part) == price(full, part)


def test_the_figures_name_the_worst_plan(bundle: Bundle, predictions: Predictions) -> None:
    """Its error with its sign; one plan of two is within a fifth."""
    costs = Costs.of(bundle.manifest, made_up_profile(bundle), LinkProfile(between="made up"))
    answers = route(predictions, PLANS[0])
    first = row_of(costs, PLANS[0], answers, [Driven(1.0, 0.0, answers.label, True)], predictions.labels)
    near = replace(first, predicted_ms=9.0, measured_ms=10.0, measured_bytes=first.predicted_bytes)
    far = replace(near, plan=PLANS[4], predicted_ms=5.0, same=False)
    found = summary([near, far])
    assert (found["median_error"], found["within_20_percent"], found["worst_error"]) == (0.3, 0.5, -0.5)
    assert (found["worst_plan"], found["bytes_exact"]) == (named(PLANS[4]), True)
    assert found["answers_as_predicted"] is False
    table = verified_table([near, far], "title", {PLANS[0]: "the choice"})
    assert list(table.columns[0].cells) == ["the choice", "exits none; cut 0 fp32"]
    assert np.isclose(near.error, -0.1)
