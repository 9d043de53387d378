"""The paper's claims on exits and training, each held against a suite: what it says, what was found, whether it holds.

A claim holds where the difference has the side that the paper gives it, in the mean over seeds. It is settled where two
seeds or more all say so, or all say the contrary.
"""

from typing import NamedTuple

from offramp.artifacts.suite import Suite
from offramp.paper import stated as paper
from offramp.report.seeds import Spread, baseline, differences, edge, many, overall, runs, sem


class Claim(NamedTuple):
    """One claim under one regime of MEM."""

    says: str
    in_paper: str
    regime: str
    found: str
    holds: bool
    settled: bool  # several seeds say the same


def claims(suite: Suite) -> list[Claim]:
    """Every claim that the suite has both sides of, under each regime that MEM was trained by."""
    found = []
    for regime in suite.settings.regimes:
        parts = (_every_exit, _earlier_against_later, _edge_against_cloud, _overall)
        found += [claim for part in parts if (claim := part(suite, regime)) is not None]
    return found


def _every_exit(suite: Suite, regime: str) -> Claim | None:
    apart = differences(suite, regime, baseline(suite))
    if not apart:
        return None
    worst = min(apart, key=lambda exit_: apart[exit_].mean)
    best = max(apart, key=lambda exit_: apart[exit_].mean)
    below = sum(spread.mean < 0 for spread in apart.values())
    exits = f"{below} of {len(apart)} exit{'s' * (len(apart) != 1)}"
    return Claim(
        says="At the same exit the SEM is more accurate than the MEM",
        in_paper=f"MEM − SEM at exit 2: {paper.MEM_EDGE[2] - paper.SEM_EDGE[2]:+.2f} points",
        regime=regime,
        found=f"MEM below at {exits}; from {_points(apart[worst])} at exit {worst} to {_points(apart[best])} at exit "
        f"{best}",
        holds=below == len(apart),
        settled=all(_settled(spread) for spread in apart.values()),
    )


def _earlier_against_later(suite: Suite, regime: str) -> Claim | None:
    apart = _paired(_sem(suite, 3, 3), _mem(suite, regime, 4))
    if apart is None:
        return None
    return Claim(
        says="SEM-3 is more accurate than the MEM's later exit 4",
        in_paper=f"{paper.SEM_EDGE[3]:.2f} against {paper.MEM_EDGE[4]:.2f} %",
        regime=regime,
        found=f"SEM-3 − MEM: {_points(apart)}",
        holds=apart.mean > 0,
        settled=_settled(apart),
    )


def _edge_against_cloud(suite: Suite, regime: str) -> Claim | None:
    apart = _paired(_sem(suite, 6, 6), _mem(suite, regime, None))
    if apart is None:
        return None
    return Claim(
        says="SEM-6 is more accurate at its local exit than the MEM at its last",
        in_paper=f"{paper.SEM_EDGE[6]:.2f} against {paper.MEM_CLOUD:.2f} %",
        regime=regime,
        found=f"SEM-6 − MEM: {_points(apart)}",
        holds=apart.mean > 0,
        settled=_settled(apart),
    )


def _overall(suite: Suite, regime: str) -> Claim | None:
    name = many(suite)
    exit_, threshold = 8, paper.THRESHOLD
    one = overall(suite, sem(exit_), baseline(suite), exit_, threshold)
    apart = _paired(overall(suite, name, regime, exit_, threshold), one) if name else None
    if apart is None:
        return None
    return Claim(
        says=f"At exit {exit_} and T = {threshold:g} eight exits cost overall accuracy",
        in_paper=f"{paper.MEM_OVERALL[8]:.2f} against {paper.SEM_OVERALL[8]:.2f} %, "
        f"{paper.MEM_OVERALL[8] - paper.SEM_OVERALL[8]:+.2f} points",
        regime=regime,
        found=f"MEM − SEM: {_points(apart)}",
        holds=apart.mean < 0,
        settled=_settled(apart),
    )


def _sem(suite: Suite, model: int, exit_: int) -> dict[int, float]:
    return edge(suite, sem(model), baseline(suite), exit_)


def _mem(suite: Suite, regime: str, exit_: int | None) -> dict[int, float]:
    """By seed; None stands for the last exit."""
    name = many(suite)
    found = runs(suite, name, regime) if name else {}
    at = {seed: run.exits[-1] if exit_ is None else exit_ for seed, run in found.items()}
    return {seed: 100 * run.test_accuracy[at[seed]] for seed, run in found.items() if at[seed] in run.test_accuracy}


def _paired(one: dict[int, float], other: dict[int, float]) -> Spread | None:
    return Spread.of([one[seed] - other[seed] for seed in one if seed in other])


def _settled(spread: Spread) -> bool:
    return spread.n > 1 and (spread.high < 0 or spread.low > 0)


def _points(spread: Spread) -> str:
    seeds = f" ({spread.low:+.2f} to {spread.high:+.2f} over {spread.n} seeds)" if spread.n > 1 else " (one seed)"
    return f"{spread.mean:+.2f}{seeds}"
