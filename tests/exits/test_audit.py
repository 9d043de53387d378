"""The bet against what was promised: how often it cries for nothing, and how soon it sees a drift."""

import math

import numpy as np
import pytest

from offramp.errors import InputError
from offramp.exits.audit import ANEW, STAKES, Audit

RATE, DELTA = 0.02, 0.1


def alarm(disagrees: np.ndarray, rate: float = RATE) -> int | None:
    """After how many samples there is an alarm; None: there is none."""
    audit = Audit(rate, DELTA)
    return next((position for position, one in enumerate(disagrees.tolist(), 1) if audit.saw(one)), None)


def test_without_drift_a_false_alarm_is_as_rare_as_is_stated() -> None:
    """At the very rate that was promised, whenever one looks: in δ of the runs at most, and two standard errors."""
    drawn, runs = np.random.default_rng(3), 80
    false = sum(alarm(drawn.random(1000) < RATE) is not None for _ in range(runs))
    assert false <= runs * (DELTA + 2 * math.sqrt(DELTA * (1 - DELTA) / runs))


def test_a_drift_is_seen_soon_however_long_there_was_none() -> None:
    """From 1 % to 6 %, where 2 were promised, within a thousand drawn samples in all of twenty runs."""
    drawn = np.random.default_rng(4)
    for before in (0, 3000):
        for _ in range(10):
            found = alarm(np.concatenate([drawn.random(before) < 0.01, drawn.random(1000) < 0.06]))
            assert found is not None
            assert found > before


def test_the_wealth_is_a_martingale_at_the_promised_rate() -> None:
    """Over both outcomes it stays what it was in the mean, a new stake and one that is given up included."""
    audit, drawn = Audit(RATE, 1e-9), np.random.default_rng(5)
    for position in range(ANEW * (STAKES // 16) + 1):
        before, logs, cash = audit.wealth, audit.logs.copy(), audit.cash
        if position and position % ANEW:
            both = [cash + float(np.exp(logs + each).sum()) for each in (audit.grow, audit.shrink)]
            assert RATE * both[0] + (1 - RATE) * both[1] == pytest.approx(before)
        audit.saw(bool(drawn.random() < RATE))
    assert audit.wealth < 1 / RATE


def test_it_says_what_it_found() -> None:
    """And refuses a promise that nothing can be held against."""
    audit = Audit(0.02)
    assert not audit.saw(True)
    assert audit.said() == (
        "1 of 1 samples drawn were answered otherwise than by the last exit, and at most 2 % were promised"
    )
    with pytest.raises(InputError, match=r"audit: disagreement 0: expected a share above 0 and below 1\."):
        Audit(0.0)
