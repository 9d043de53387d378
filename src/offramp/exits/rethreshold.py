"""A threshold for scores that changed: the same share of samples leaves as did before.

A network multiplied in int8 is surer or less sure than in fp32, so a threshold for one is not the same threshold for
the other. Of the two things that could be kept, this keeps the share that leaves and not the accuracy of what leaves:
the share is what link and cloud were planned for, it needs no labels, and it is known to one sample, where the edge's
accuracy over a few hundred calibration samples is known to a point or two.
"""

import numpy as np

from offramp.errors import InputError
from offramp.exits.score import Floats


def same_share(before: Floats, after: Floats, threshold: float) -> float:
    """Give the threshold on the scores `after` by which as many samples leave as by `threshold` on those `before`.

    Both hold a score for each sample, in any order. The old threshold is kept where it still does; else the new one is
    half-way between the two samples that it divides. Where several samples share the score in question they all stay:
    rather a few more to the cloud than a few unsure answers.

    >>> same_share(np.array([0.1, 0.2, 0.6, 0.9]), np.array([0.2, 0.4, 0.7, 0.8]), 0.3)
    0.55
    """
    if before.shape != after.shape or before.ndim != 1 or not len(before):
        raise InputError(
            f"scores: expected two equal numbers of them and at least one, got {before.shape}, {after.shape}."
        )
    leaving = int((before < threshold).sum())
    if int((after < threshold).sum()) == leaving:
        return threshold
    ordered = np.sort(after)
    if leaving == 0:
        return float(ordered[0])
    if leaving == len(ordered):
        return float(np.nextafter(ordered[-1], np.inf))
    below, above = ordered[leaving - 1], ordered[leaving]
    middle = (below + above) / 2
    # Half-way between neighbours is one of them: a score equal to the threshold stays, so the upper one it is.
    return float(middle if below < middle else above)
