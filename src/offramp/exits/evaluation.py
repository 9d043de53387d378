"""The paper's measures, computed from predictions alone: what exits, and how right each tier is."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.errors import InputError
from offramp.exits.answers import Answers, Judged, Tier, merge
from offramp.exits.decision import Decision


@dataclass(frozen=True)
class Evaluation:
    """Accuracy in [0, 1] over the samples each tier answered; None where it answered none.

    A dropped sample is answered at the edge, but nobody was sure of it: it counts in the overall accuracy only.
    """

    n: int
    exited_locally: int
    forwarded: int
    dropped: int
    edge_accuracy: float | None
    cloud_accuracy: float | None
    overall_accuracy: float | None


def route(predictions: Predictions, plan: Plan) -> Answers:
    """Answer each sample as edge and cloud would by this plan."""
    header = predictions.header
    crossing = (plan.cut, plan.codec) if plan.cut != predictions.last and plan.codec != "fp32" else None
    measured = (header.cut, header.codec) if header.codec != "fp32" else None
    if crossing != measured:
        raise InputError(
            f"predictions: the last exit's logits were measured with codec {header.codec} at cut {header.cut}, and the "
            f"plan sends {plan.codec} at cut {plan.cut}. Measure with: offramp predict BUNDLE --cut {plan.cut} "
            f"--codec {plan.codec}"
        )
    rows = np.arange(len(predictions))
    parts: list[tuple[npt.NDArray[np.intp], Answers]] = []
    for position, active in enumerate(plan.active):
        judged = Judged.of(predictions.at(active.exit)[rows], plan.score)
        if active.exit == predictions.last:  # nowhere to go on to: every sample is answered, whatever its score
            parts.append((rows, judged.answers(active.exit, Tier.EDGE)))
            return merge(parts, len(predictions))
        decision = Decision.at(judged.scores, plan, position)
        parts.append((rows[decision.exit], judged.answers(active.exit, Tier.EDGE, decision.exit)))
        parts.append((rows[decision.drop], judged.answers(active.exit, Tier.EDGE, decision.drop, dropped=True)))
        rows = rows[decision.forward]
    tier = Tier.EDGE if plan.cut == predictions.last else Tier.CLOUD
    at_last = Judged.of(predictions.at(predictions.last)[rows], plan.score)
    return merge([*parts, (rows, at_last.answers(predictions.last, tier))], len(predictions))


def evaluate(answers: Answers, labels: npt.NDArray[np.int64]) -> Evaluation:
    """Hold answers against the labels."""
    if len(answers) != len(labels):
        raise InputError(f"labels: expected {len(answers)}, one for each answer, got {len(labels)}.")
    right, cloud = answers.label == labels, answers.tier == Tier.CLOUD
    local = ~cloud & ~answers.dropped
    return Evaluation(
        n=len(labels),
        exited_locally=int(local.sum()),
        forwarded=int(cloud.sum()),
        dropped=int(answers.dropped.sum()),
        edge_accuracy=_mean(right[local]),
        cloud_accuracy=_mean(right[cloud]),
        overall_accuracy=_mean(right),
    )


def accuracy_at(predictions: Predictions, exit_: int) -> float | None:
    """Accuracy of an exit over all samples, none of them leaving before: the paper's Figures 9 and 10."""
    return _mean(predictions.at(exit_).argmax(axis=1) == predictions.labels)


def _mean(right: npt.NDArray[np.bool_]) -> float | None:
    return float(right.mean()) if len(right) else None
