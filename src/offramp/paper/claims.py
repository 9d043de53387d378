"""What the paper states of a suite's networks: its numbers, and its claims on exits and training, each held against it.

A claim holds where the difference has the side that the paper gives it, in the mean over seeds. It is settled where two
seeds or more all say so, or all say the contrary.
"""

from collections.abc import Iterator

from offramp.artifacts.names import SEM
from offramp.artifacts.suite import Suite
from offramp.paper import stated as paper
from offramp.paper.reproduced import comparable
from offramp.report.published import Claim, Published
from offramp.report.seeds import Spread, baseline, differences, edge, many, overall, paired

CAPTIONS = {
    "figure-9": "; hollow marks at the end are the paper's.",
    "figure-10": ". Hollow marks: the numbers that the paper states; it trained another network for 2,000 epochs, so "
    "compare differences, not heights.",
    "frontier": ". Published points are of other networks and of their authors' counting.",
}


def published(suite: Suite) -> Published:
    """Everything that stands beside a suite; of other data than the paper's its claims alone."""
    held = tuple(claims(suite))
    if not comparable(suite):
        return Published(held, comparable=False)
    budgeted = (paper.BUDGETED_NAME, paper.BUDGETED)
    return Published(held, True, paper.SEM_EDGE, paper.MEM_EDGE, paper.MEM_CLOUD, budgeted, CAPTIONS)


def claims(suite: Suite) -> list[Claim]:
    """Every claim that the suite has both sides of, under each regime that MEM was trained by."""
    return [claim for regime in suite.settings.regimes for part in (_all, _some) for claim in part(suite, regime)]


def _all(suite: Suite, regime: str) -> Iterator[Claim]:
    """The one on every exit."""
    apart = differences(suite, regime, baseline(suite))
    if not apart:
        return
    worst = min(apart, key=lambda exit_: apart[exit_].mean)
    best = max(apart, key=lambda exit_: apart[exit_].mean)
    below = sum(spread.mean < 0 for spread in apart.values())
    exits = f"{below} of {len(apart)} exit{'s' * (len(apart) != 1)}"
    yield Claim(
        says="At the same exit the SEM is more accurate than the MEM",
        in_paper=f"MEM − SEM at exit 2: {paper.MEM_EDGE[2] - paper.SEM_EDGE[2]:+.2f} points",
        regime=regime,
        found=f"MEM below at {exits}; from {_points(apart[worst])} at exit {worst} to {_points(apart[best])} at exit "
        f"{best}",
        holds=below == len(apart),
        settled=all(_settled(spread) for spread in apart.values()),
    )


def _some(suite: Suite, regime: str) -> Iterator[Claim]:
    """Those on two exits; each difference is above zero on the paper's side, but the last, which is below."""
    mem, first, threshold = many(suite), baseline(suite), paper.THRESHOLD
    sem_8, mem_8 = paper.SEM_OVERALL[8], paper.MEM_OVERALL[8]
    for says, in_paper, what, one, other, side in (
        (
            "SEM-3 is more accurate than the MEM's later exit 4",
            f"{paper.SEM_EDGE[3]:.2f} against {paper.MEM_EDGE[4]:.2f} %",
            "SEM-3 − MEM", edge(suite, f"{SEM}3", first, 3), edge(suite, mem, regime, 4), 1,
        ),
        (
            "SEM-6 is more accurate at its local exit than the MEM at its last",
            f"{paper.SEM_EDGE[6]:.2f} against {paper.MEM_CLOUD:.2f} %",
            "SEM-6 − MEM", edge(suite, f"{SEM}6", first, 6), edge(suite, mem, regime, None), 1,
        ),
        (
            f"At exit 8 and T = {threshold:g} eight exits cost overall accuracy",
            f"{mem_8:.2f} against {sem_8:.2f} %, {mem_8 - sem_8:+.2f} points",
            "MEM − SEM", overall(suite, mem, regime, 8, threshold), overall(suite, f"{SEM}8", first, 8, threshold), -1,
        ),
    ):  # fmt: skip
        apart = paired(one, other)
        if apart is not None:
            found = f"{what}: {_points(apart)}"
            yield Claim(says, in_paper, regime, found, holds=side * apart.mean > 0, settled=_settled(apart))


def _settled(spread: Spread) -> bool:
    return spread.n > 1 and (spread.high < 0 or spread.low > 0)


def _points(spread: Spread) -> str:
    seeds = f" ({spread.low:+.2f} to {spread.high:+.2f} over {spread.n} seeds)" if spread.n > 1 else " (one seed)"
    return f"{spread.mean:+.2f}{seeds}"
