"""Time many things in turn, round after round, so that a stall of the machine hits all alike, and refuse what varies.

Takes blocks: what runs one thing a few times and gives milliseconds a run. Gives their spreads. Knows nothing of what
they run.
"""

import random
import time
from collections.abc import Callable, Hashable, Mapping
from statistics import median
from typing import TypeVar

from offramp.artifacts.profile import Spread
from offramp.errors import InputError, UnsteadyError
from offramp.progress import Watch, unwatched

Key = TypeVar("Key", bound=Hashable)
Block = Callable[[], float]  # milliseconds of one run, in the mean over the block

LEAST_ROUNDS = 4
# Distance of the quartiles as a share of the median, and half of it between the halves of the rounds: the median of 20
# rounds whose quartiles are so far apart is known to a tenth (a standard error of 0.93 of it over the root of 20).
BOUND = 0.5
SLACK_MS = 0.05  # that a short thing may vary by, whatever its share: a switch of threads
PATIENCE = 3  # times as many rounds, until what still varies is refused


def block(run: Callable[[], object], *, runs: int = 3, seconds: float = 0.003, lead: float = 0.0) -> float:
    """Milliseconds of one run, in the mean over at least so many runs and seconds.

    It is run once before, uncounted, or for `lead` seconds: a process that is held to a share of a core may have some
    of it left over.
    """
    end = time.perf_counter() + lead
    run()
    while time.perf_counter() < end:
        run()
    count, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds or count < runs:
        run()
        count += 1
    return 1000 * passed / count


def settle(
    blocks: Mapping[Key, Block],
    rounds: int,
    *,
    bound: float = BOUND,
    patience: int = PATIENCE,
    watch: Watch = unwatched,
    seed: int = 0,
) -> dict[Key, Spread]:
    """Run every block once a round, in an order of each round's own, and give the spread of each over the rounds.

    What varies too much is run again, with all else that does, and judged by its last `rounds`. Raises InputError for
    less than four rounds, UnsteadyError, naming the worst, where something still varies after `patience` times as many.
    """
    if rounds < LEAST_ROUNDS:
        raise InputError(f"rounds {rounds}: expected at least {LEAST_ROUNDS}, so that a spread can be told.")
    order, times = random.Random(seed), {key: list[float]() for key in blocks}
    restless = list(blocks)
    for turn in range(patience):
        for number in range(rounds):
            for key in order.sample(restless, len(restless)):
                times[key].append(blocks[key]())
            watch("rounds" if not turn else "rounds again", number + 1, rounds)
        found = {key: Spread.of(some[-rounds:]) for key, some in times.items()}
        excess = {key: unsteady(times[key][-rounds:], bound) for key in blocks}
        restless = [key for key, much in excess.items() if much > 1]
        if not restless:
            return found
    worst = max(restless, key=excess.__getitem__)
    one = found[worst]
    raise UnsteadyError(
        f"profile: {worst} varied too much to be written: {one.first:.3g} to {one.third:.3g} ms around "
        f"{one.median:.3g} in the middle half of {rounds} rounds, or it drifted. The bound is {bound:.0%} of the "
        f"median, and {len(restless)} of {len(blocks)} times are above it. Let the machine rest, or ask for more "
        "rounds or a wider bound (--rounds, --bound)."
    )


def unsteady(milliseconds: list[float], bound: float) -> float:
    """How many times what is allowed they vary: above 1 is too much.

    Two measures: the distance of the quartiles against `bound` of the median, and the distance of the medians of the
    first and the second half against half of that. A slack of 0.05 ms is allowed to both.

    >>> unsteady([1.0, 1.1, 1.0, 1.1], 0.3) < 1 < unsteady([1.0, 1.0, 2.0, 2.0], 0.3)
    True
    """
    spread, half = Spread.of(milliseconds), len(milliseconds) // 2
    drift = abs(median(milliseconds[half:]) - median(milliseconds[:half]))
    allowed = bound * spread.median
    return max((spread.third - spread.first) / (allowed + SLACK_MS), drift / (allowed / 2 + SLACK_MS))
