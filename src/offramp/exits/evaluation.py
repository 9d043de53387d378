"""The paper's measures, computed from predictions alone: what exits, and how right each tier is."""

from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from offramp.artifacts.legs import in_words, legs_of, lossy, seen_in_words
from offramp.artifacts.outcome import Outcome
from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.errors import InputError
from offramp.exits.answers import Answers, Judged, Tier, merge, tier_names, tier_number
from offramp.exits.decision import Decision


class Evaluated(NamedTuple):
    """A plan, and what it comes to."""

    plan: Plan
    answers: Answers
    outcome: Outcome
    forwarded: dict[int, float]  # as `forwarded_accuracy` gives it

    @classmethod
    def of(cls, predictions: Predictions, plan: Plan) -> Self:
        """Answer by the plan, and hold the answers against the labels."""
        answers = route(predictions, plan)
        forwarded = forwarded_accuracy(predictions, plan, answers)
        return cls(plan, answers, evaluate(answers, predictions.labels), forwarded)


def route(predictions: Predictions, plan: Plan) -> Answers:
    """Answer each sample as edge and cloud would by this plan."""
    check_route(predictions, plan)
    last, rows = predictions.last, np.arange(len(predictions))
    parts: list[tuple[npt.NDArray[np.intp], Answers]] = []
    for name, part in plan.tiers.items():
        tier, judged = tier_number(name), None
        for position, active in enumerate(part.active):
            judged = Judged.of(predictions.at(active.exit)[rows], plan.score, judged)
            if active.exit == last:  # nowhere to go on to: every sample is answered, whatever its score
                parts.append((rows, judged.answers(last, tier)))
                return merge(parts, len(predictions))
            decision = Decision.at(judged.scores, part, position)
            parts.append((rows[decision.exit], judged.answers(active.exit, tier, decision.exit)))
            parts.append((rows[decision.drop], judged.answers(active.exit, tier, decision.drop, dropped=True)))
            rows, judged = rows[decision.forward], judged.at(decision.forward)
        if part.cut == last:
            break
    else:
        tier, judged = Tier.CLOUD, None
    at_last = Judged.of(predictions.at(last)[rows], plan.score, judged)
    return merge([*parts, (rows, at_last.answers(last, tier))], len(predictions))


def check_route(predictions: Predictions, plan: Plan) -> None:
    """Raise InputError unless the logits that the plan asks for are those that were measured.

    Below fp32 a cut elsewhere gives others. The graph measured in one piece stands for every plan all the same: as an
    estimate, which `PredictionsHeader.follows` tells from the numbers that nodes give.
    """
    header, last = predictions.header, predictions.last
    measured = header.lossy()
    for exit_, crossed in lossy(legs_of(plan, last), last):
        if crossed == measured.get(exit_, crossed):  # an exit that was not measured is missed when it is asked
            continue
        raise InputError(
            f"predictions: measured by {header.route}, where exit {exit_} saw {seen_in_words(measured[exit_])}. By "
            f"this plan it sees {seen_in_words(crossed)}, and answers otherwise. Measure by the plan: "
            f"{header.measure_by(plan)}"
        )
    if header.precision != "fp32" and header.active is not None and not header.follows(plan):
        raise InputError(
            f"predictions: measured by {header.route}, and the plan is {in_words(legs_of(plan, last), last)}: in "
            f"{header.precision} its numbers are others. Measure by the plan: {header.measure_by(plan)}"
        )


def evaluate(answers: Answers, labels: npt.NDArray[np.int64]) -> Outcome:
    """Hold answers against the labels."""
    if len(answers) != len(labels):
        raise InputError(f"labels: expected {len(answers)}, one for each answer, got {len(labels)}.")
    right = answers.label == labels
    of_tier = {name: right[(answers.tier == tier_number(name)) & ~answers.dropped] for name in tier_names()}
    answered = {name: rows for name, rows in of_tier.items() if len(rows)}
    return Outcome(
        n=len(labels),
        answered={name: len(rows) for name, rows in answered.items()},
        accuracy={name: float(rows.mean()) for name, rows in answered.items()},
        overall=_mean(right),
        dropped=int(answers.dropped.sum()),
        degraded=int(answers.degraded.sum()),
    )


def forwarded_accuracy(predictions: Predictions, plan: Plan, answers: Answers) -> dict[int, float]:
    """Accuracy, at each exit from the first active one on, of the samples that the plan leaves to the cloud.

    What they would be worth, had an edge whose cloud is lost answered them there: it runs on as deep as the time
    allows. At the network's end they are what the cloud makes of them. Empty where the plan leaves none.
    """
    rows, first = np.flatnonzero(answers.tier == Tier.CLOUD), min((one.exit for one in plan.active), default=0)
    exits = [k for k in predictions.header.exits if k >= first]
    right = {k: predictions.at(k)[rows].argmax(axis=1) == predictions.labels[rows] for k in exits}
    return {k: float(found.mean()) for k, found in right.items()} if len(rows) else {}


def accuracy_at(predictions: Predictions, exit_: int) -> float | None:
    """Accuracy of an exit over all samples, none of them leaving before: the paper's Figures 9 and 10."""
    return _mean(predictions.at(exit_).argmax(axis=1) == predictions.labels)


def _mean(right: npt.NDArray[np.bool_]) -> float | None:
    return float(right.mean()) if len(right) else None
