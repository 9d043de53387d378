"""The paper's measures, computed from predictions alone: what exits, and how right each tier is."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from offramp.artifacts.predictions import Predictions
from offramp.errors import InputError
from offramp.exits.answers import Answers, Judged, Tier, leaves, merge


@dataclass(frozen=True)
class Evaluation:
    """Accuracy in [0, 1] over the samples each tier answered; None where it answered none."""

    n: int
    exited_locally: int
    forwarded: int
    edge_accuracy: float | None
    cloud_accuracy: float | None
    overall_accuracy: float | None


def route(predictions: Predictions, exit_: int, threshold: float, score_name: str = "entropy") -> Answers:
    """Answer each sample as edge and cloud would: at `exit_` where its score is below `threshold`, or at the last."""
    at_exit = Judged.of(predictions.at(exit_), score_name)
    # At the last exit there is nowhere to go on to: every sample is answered, whatever its score.
    leave = leaves(at_exit.scores, threshold) | (exit_ == predictions.last)
    here, on = np.flatnonzero(leave), np.flatnonzero(~leave)
    at_last = Judged.of(predictions.at(predictions.last)[on], score_name)
    parts = [(here, at_exit.answers(exit_, Tier.EDGE, here)), (on, at_last.answers(predictions.last, Tier.CLOUD))]
    return merge(parts, len(predictions))


def evaluate(answers: Answers, labels: npt.NDArray[np.int64]) -> Evaluation:
    """Hold answers against the labels."""
    if len(answers) != len(labels):
        raise InputError(f"labels: expected {len(answers)}, one for each answer, got {len(labels)}.")
    right, at_cloud = answers.label == labels, answers.tier == Tier.CLOUD
    return Evaluation(
        n=len(labels),
        exited_locally=int((~at_cloud).sum()),
        forwarded=int(at_cloud.sum()),
        edge_accuracy=_mean(right[~at_cloud]),
        cloud_accuracy=_mean(right[at_cloud]),
        overall_accuracy=_mean(right),
    )


def accuracy_at(predictions: Predictions, exit_: int) -> float | None:
    """Accuracy of an exit over all samples, none of them leaving before: the paper's Figures 9 and 10."""
    return _mean(predictions.at(exit_).argmax(axis=1) == predictions.labels)


def _mean(right: npt.NDArray[np.bool_]) -> float | None:
    return float(right.mean()) if len(right) else None
