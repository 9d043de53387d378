"""Who answers fastest at each rate of the link, and whether a local exit is worth it there."""

from typing import NamedTuple

from offramp.paper.comparison import Side, overall_time, times
from offramp.paper.reproduced import by_rate, fastest_first
from offramp.paper.reproduction import Reproduction, Row


class Contest(NamedTuple):
    """The contenders at one rate, by overall latency."""

    rate: float  # Mbit/s
    best: Row
    close: tuple[Row, ...]  # the others that the repeats' spread does not tell from it
    local: Row | None  # the fastest local exit
    other: Row | None  # the fastest that has none

    @property
    def pays(self) -> Side | None:
        """Whether the fastest local exit is faster than whatever has none; None where one of them was not measured."""
        return None if self.local is None or self.other is None else _outcome(self.other, self.local)


def at_rates(reproduction: Reproduction) -> list[Contest]:
    """A contest at each rate at which anything was measured, rising."""
    contests = []
    for rate, rows in by_rate(reproduction).items():
        timed = fastest_first(rows)
        if timed:
            best, *others = timed
            close = [row for row in others if _outcome(row, best) == "within noise"]
            local = next((row for row in timed if row.setup.contender == "local exit"), None)
            other = next((row for row in timed if row.setup.contender != "local exit"), None)
            contests.append(Contest(rate, best, tuple(close), local, other))
    return contests


def _outcome(longer: Row, shorter: Row) -> Side | None:
    pair = times("", overall_time("", longer), overall_time("", shorter))
    return None if pair is None else pair.outcome
