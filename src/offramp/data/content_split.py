"""Cut a pool by each image's content: what lies beside an image never moves it to the test set or out of it."""

import numpy as np
import numpy.typing as npt

from offramp.artifacts.data_record import SplitRule
from offramp.data.image_set import HELD_OUT, HELD_OUT_LEAST, TEST_SHARE, ImageSet, Splits, too_few

Digests = npt.NDArray[np.uint64]


def split_by_content(
    pool: ImageSet, test: ImageSet | None, validation: ImageSet | None, seed: int, held: float | None = None
) -> tuple[Splits, SplitRule]:
    """Cut what has no split of its own; give the parts and the rule, which cuts a grown source alike.

    Images of the same bytes fall on the same side. The test set does not depend on the seed. `held` is a rule's share;
    without one, it is chosen by the size of the pool.
    """
    if test is None:
        chosen = _least(_uniform(pool.content()), TEST_SHARE)
        test, pool = pool.rows(np.flatnonzero(chosen)), pool.rows(np.flatnonzero(~chosen))
    if held is None:
        held = min(max(HELD_OUT, HELD_OUT_LEAST / max(len(pool), 1)), 0.25)
    if not len(pool):
        raise too_few(pool, test)
    drawn = _uniform(_mixed(pool.content(), seed))
    ours = np.zeros(len(pool), np.bool_) if validation is not None else _least(drawn, held)
    calibration = _least(1 - drawn, held) & ~ours
    train = ~(ours | calibration)
    if not (train.any() and calibration.any() and len(test)):
        raise too_few(pool, test)
    parts = Splits(
        train=pool.rows(np.flatnonzero(train)),
        validation=validation if validation is not None else pool.rows(np.flatnonzero(ours)),
        calibration=pool.rows(np.flatnonzero(calibration)),
        test=test,
    )
    return parts, SplitRule(by="content", held=held)


def _uniform(digests: Digests) -> npt.NDArray[np.float64]:
    return digests / 2.0**64


def _least(drawn: npt.NDArray[np.float64], share: float) -> npt.NDArray[np.bool_]:
    """Those below a share; of a set so small that there are none, the least."""
    below = drawn < share
    return below if below.any() or not len(drawn) else drawn == drawn.min()


def _mixed(digests: Digests, seed: int) -> Digests:
    """The digests under a seed: splitmix64's finalizer (Steele et al. 2014), each bit depends on every other."""
    mixed = digests + np.array(seed * 0x9E3779B97F4A7C15 + 0x9E3779B97F4A7C15 & (1 << 64) - 1, np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))
