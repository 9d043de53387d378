"""Scores: how unsure an answer is, as a number in [0, 1] where smaller is surer.

One implementation, used by the running edge, the offline evaluation and every report, so that they cannot disagree.
All take probabilities `(N, classes)` and give float64 `(N,)`. With a single class there is nothing to be unsure of:
every score is 0. Patience alone is no score of one exit: it counts how many in a row say the same.
"""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from offramp.errors import InputError

Floats = npt.NDArray[np.float64]
TINY = float(np.finfo(np.float64).tiny)


def softmax(logits: npt.ArrayLike) -> Floats:
    """Probabilities of logits `(N, classes)`, in float64 so that two runtimes' rounding stays below 1e-6 of a score.

    >>> softmax([[0.0, 0.0]])
    array([[0.5, 0.5]])
    """
    values = np.asarray(logits)
    if values.ndim != 2 or values.shape[1] == 0:
        raise InputError(f"logits: expected shape (N, classes) with at least one class, got {values.shape}.")
    shifted: Floats = values.astype(np.float64)
    # The ufuncs' own reductions: an array's methods are the same behind two more calls of Python's, at each answer.
    if len(shifted) == 1:  # the usual request's one sample: no second array is made
        shifted -= shifted.item(shifted.argmax())
    else:
        shifted -= np.maximum.reduce(shifted, axis=1, keepdims=True)
    np.exp(shifted, out=shifted)
    shifted /= np.add.reduce(shifted, axis=1, keepdims=True)
    return shifted


def normalized_entropy(probabilities: Floats) -> Floats:
    """Entropy over the logarithm of the number of classes: the paper's equation (1), after Teerapittayanon et al. 2017.

    >>> normalized_entropy(np.array([[1.0, 0.0], [0.5, 0.5]]))
    array([0., 1.])
    """
    classes = probabilities.shape[1]
    if classes == 1:
        return np.zeros(len(probabilities))
    # p log p tends to 0 with p: where p is 0, log of the smallest double stands in and the product is exactly 0.
    information = np.maximum(probabilities, TINY)
    np.log(information, out=information)
    information *= probabilities
    entropy: Floats = np.add.reduce(information, axis=1)
    # No term is above 0, and of a certain answer -0.0; rounding can leave 1 + 2e-16 for a uniform answer.
    if len(entropy) == 1:  # the usual request's one sample: the same operations, without arrays
        entropy[0] = min(abs(entropy.item()) / math.log(classes), 1.0)
        return entropy
    np.abs(entropy, out=entropy)
    entropy /= math.log(classes)
    return np.minimum(entropy, 1.0)


def max_probability(probabilities: Floats) -> Floats:
    """One minus the highest probability, stretched so that a uniform answer scores 1 (Hendrycks & Gimpel 2017).

    >>> max_probability(np.array([[1.0, 0.0], [0.5, 0.5]]))
    array([0., 1.])
    """
    classes = probabilities.shape[1]
    if classes == 1:
        return np.zeros(len(probabilities))
    return _clip((1.0 - probabilities.max(axis=1)) * (classes / (classes - 1)))


def margin(probabilities: Floats) -> Floats:
    """One minus the gap between the two highest probabilities.

    >>> margin(np.array([[1.0, 0.0], [0.5, 0.5]]))
    array([0., 1.])
    """
    if probabilities.shape[1] == 1:
        return np.zeros(len(probabilities))
    second, first = np.partition(probabilities, -2, axis=1)[:, -2:].T
    return _clip(1.0 - (first - second))


def patience(probabilities: Floats, before: Floats, scores: Floats) -> Floats:
    """One over how many exits in a row, this one included, give the label that this one gives (PABEE, 2006.04152).

    `before` are the probabilities of the exit before and `scores` its patience. At a threshold T a sample leaves where
    more than 1/T agree: at 0.6, two in a row.

    >>> patience(np.array([[0.6, 0.4], [0.1, 0.9]]), np.array([[0.7, 0.3], [0.8, 0.2]]), np.array([1.0, 0.5]))
    array([0.5, 1. ])
    """
    same = probabilities.argmax(axis=1) == before.argmax(axis=1)
    return np.where(same, 1 / (np.rint(1 / scores) + 1), 1.0)


def _clip(scores: Floats) -> Floats:
    return np.minimum(np.maximum(scores, 0.0), 1.0)


PATIENCE = "patience"
SCORES: dict[str, Callable[[Floats], Floats]] = {
    "entropy": normalized_entropy,
    "max-probability": max_probability,
    "margin": margin,
}


def score(probabilities: Floats, name: str = "entropy") -> Floats:
    """Score probabilities by the score's name; for patience, those of an exit that has none before it: 1 each."""
    if name == PATIENCE:
        return np.ones(len(probabilities))
    if name not in SCORES:
        raise InputError(f"score {name!r}: unknown. Choose one of {', '.join((*SCORES, PATIENCE))}.")
    return SCORES[name](probabilities)
