"""How probable each class is, given what all exits say of a sample together: a loss expected, not counted.

Whether one sample is answered right is a coin's throw, and thresholds that are chosen by many such throws fit the
throws. The probability that a label is right, given every exit's logits, is the same in the mean with less scatter. It
is the softmax of a weighted sum of the logits; the weights, one an exit, are fitted by maximum likelihood.
"""

import numpy as np
import numpy.typing as npt

from offramp.artifacts.predictions import Predictions
from offramp.exits.score import TINY, Floats, softmax

STEPS = 30  # of Newton's method
RIDGE = 1e-4  # on the weights, a sample: exits that say the same share theirs


def posterior(predictions: Predictions) -> Floats:
    """Probability of each class `(N, classes)`, by weights that fit these samples' labels."""
    logits = np.stack([predictions.at(exit_).astype(np.float64) for exit_ in predictions.header.exits])
    weights = _fitted(logits, predictions.labels)
    return softmax(np.tensordot(weights, logits, 1))


def expected_losses(predictions: Predictions, caution: float = 0.0) -> Floats:
    """How much more probable the last exit's label is than that of each local exit `(exits - 1, N)`, in [-1, 1].

    With `caution`, so much of the square is added: what makes a mean uncertain counts as a loss, too.
    """
    likely, rows = posterior(predictions), np.arange(len(predictions))
    labels = np.array([predictions.at(exit_).argmax(axis=1) for exit_ in predictions.header.exits])
    *local, last = likely[rows, labels]
    others = np.reshape(local, (len(local), len(rows)))
    found: Floats = last - others + caution * np.where(labels[:-1] != labels[-1], last + others, 0.0)
    return found


def _fitted(logits: Floats, labels: npt.NDArray[np.int64]) -> Floats:
    """Weights `(exits,)` of logits `(exits, N, classes)`; the likelihood is concave in them."""
    exits, count, _ = logits.shape
    rows = np.arange(count)
    right = logits[:, rows, labels]

    def likelihood(weights: Floats) -> float:
        found = softmax(np.tensordot(weights, logits, 1))[rows, labels]
        return float(np.log(np.maximum(found, TINY)).mean() - RIDGE * (weights**2).sum() / 2)

    weights = np.full(exits, 1 / exits)
    best = likelihood(weights)
    for _ in range(STEPS):
        probabilities = softmax(np.tensordot(weights, logits, 1))
        mean = np.einsum("nc,knc->kn", probabilities, logits)
        slope = (right - mean).mean(axis=1) - RIDGE * weights
        spread = np.einsum("nc,knc,lnc->kl", probabilities, logits, logits, optimize=True) - mean @ mean.T
        step = np.linalg.solve(spread / count + RIDGE * np.eye(exits), slope)
        while (new := likelihood(weights + step)) < best and np.abs(step).max() > 1e-9:
            step = step / 2
        if new <= best + 1e-9:
            break
        weights, best = weights + step, new
    return weights
