"""What a reproduction has to say on the paper's findings: for each kind of claim, its comparisons.

Each function takes what was measured and gives comparisons whose difference is above zero on the paper's side; None
stands for one of which a side was not measured.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import pairwise
from operator import attrgetter
from typing import TypeVar

from offramp.artifacts.outcome import Over
from offramp.paper.comparison import Comparison, Share, Time, accuracy, exited, gaps, overall_time, shares, time, times
from offramp.paper.families import Family, label
from offramp.paper.reproduced import by_rate, name
from offramp.paper.reproduction import Reproduction, Row
from offramp.paper.view import Point, View, by_exit

SIMILAR = 0.10  # cloud latencies this close to each other, as a share, are called similar
BETTER_FROM, CLOSE_FROM, LARGEST_AT = 6, 7, 2  # the exits at which section 4.5 says so

VALUE, DIFFERENCE = attrgetter("value"), attrgetter("difference")
Compared = Iterable[Comparison | None]
Number = TypeVar("Number", Share, Time)
Of = Callable[[str, Row], Number | None]
Compare = Callable[[str, Number | None, Number | None], Comparison | None]


class Measured:
    """A reproduction's rows and models, by what claims are about."""

    def __init__(self, reproduction: Reproduction) -> None:
        self.view, self.rates = View.of(reproduction), by_rate(reproduction)
        self.sems = self.view.models[Family.SEM]

    def over_exits(self, family: Family, threshold: float, number: Of[Number]) -> dict[int, Number]:
        """One number of a family at a threshold by exit, rising, where it is known."""
        return _known(by_exit(self.view, family, threshold), number)

    def sems_over_exits(self, number: Of[Number]) -> Iterator[tuple[str, dict[int, Number]]]:
        """One number of the SEMs by exit, at each threshold."""
        for threshold in self.view.thresholds:
            yield f"T = {threshold:g}", self.over_exits(Family.SEM, threshold, number)

    def pairs(self) -> Iterator[tuple[str, Row, Row]]:
        """SEM and MEM at the same exit and threshold."""
        for (family, exit_, threshold), row in self.view.rows.items():
            other = self.view.rows.get(Point(Family.MEM, exit_, threshold))
            if family is Family.SEM and other is not None:
                yield f"exit {exit_}, T = {threshold:g}", row, other

    def lowest_and_highest_threshold(self) -> Iterator[tuple[str, Row, Row]]:
        """Each model at each exit, at both."""
        low, high = min(self.view.thresholds, default=0.0), max(self.view.thresholds, default=0.0)
        for (family, exit_, threshold), row in self.view.rows.items():
            other = self.view.rows.get(Point(family, exit_, high))
            if threshold == low < high and other is not None:
                yield f"{family}, exit {exit_}", row, other

    def latencies(self) -> Iterator[tuple[str, Family, dict[int, Time]]]:
        """Overall latencies over exits: of each family at each threshold, and of the SEMs at each rate."""
        for family in Family:
            for threshold in self.view.thresholds:
                yield f"{family}, T = {threshold:g}", family, self.over_exits(family, threshold, overall_time)
        for rate in self.rates:
            yield f"SEM, {rate:g} Mbit/s", Family.SEM, self.at_rate(rate)

    def at_rate(self, rate: float) -> dict[int, Time]:
        """Overall latencies of the SEMs over exits at a rate."""
        rows = {row.setup.place: row for row in self.rates[rate] if row.setup.contender == "local exit"}
        return _known(rows, overall_time)

    def local(self, family: Family, exit_: int) -> Share | None:
        """Accuracy of all test samples at a local exit."""
        return self._all(family, exit_, exit_, f"{family} exit {exit_}")

    def last(self, family: Family, exit_: int) -> Share | None:
        """Accuracy of all test samples at the last exit of the same model."""
        model = self.view.models[family].get(exit_)
        return None if model is None else self._all(family, exit_, max(model.exits), f"{label(model.model)}'s last")

    def _all(self, family: Family, key: int, exit_: int, shown: str) -> Share | None:
        model, n = self.view.models[family].get(key), self.view.reproduction.test_samples
        value = None if model is None else model.test_accuracy.get(exit_)
        return None if value is None or not n else Share(shown, value, n)


Claimed = Callable[[Measured], Compared]
AtExit = Callable[[Measured, Family, int], Share | None]


def trend(tier: Over, *, rising: bool) -> Claimed:
    """Of a tier's accuracy: the last SEM against the first at each threshold; and neighbours that go the other way."""

    def compare(at: Measured) -> Compared:
        for where, by_exit_ in at.sems_over_exits(partial(accuracy, tier=tier)):
            numbers = list(by_exit_.values())[:: 1 if rising else -1]
            if len(numbers) > 1:
                yield shares(f"{where}, first and last exit", numbers[-1], numbers[0])
            for one, other in pairwise(numbers) if len(numbers) > 2 else ():
                pair = shares(f"{where}, neighbouring exits", other, one)
                if pair is not None and pair.outcome == "against":
                    yield pair

    return compare


def first_least(compare: Compare[Number], number: Of[Number]) -> Claimed:
    """SEM-1 against the SEM of the next least number, at each threshold."""

    def compared(at: Measured) -> Compared:
        for where, numbers in at.sems_over_exits(number):
            first, others = _first(numbers)
            yield compare(where, _least(others), first)

    return compared


def first_overall_longest(at: Measured) -> Compared:
    """SEM-1 against the SEM with the next longest overall latency, at each threshold and rate."""
    for where, family, numbers in at.latencies():
        first, others = _first(numbers)
        if family is Family.SEM:
            yield times(where, first, max(others, key=VALUE, default=None))


def middle_best(at: Measured) -> Compared:
    """The better of the first and the last exit against the best between them, at each threshold and rate."""
    for where, _, numbers in at.latencies():
        if len(numbers) > 2:
            first, *middle, last = numbers.values()
            yield times(where, _least([first, last]), _least(middle))


def cloud_similar(at: Measured) -> Compared:
    """The longest cloud latency of the SEMs against a little more than the shortest, at each threshold."""
    for where, numbers in at.sems_over_exits(partial(time, tier="cloud")):
        if len(numbers) > 1:
            low, high = min(numbers.values(), key=VALUE), max(numbers.values(), key=VALUE)
            allowed = Time(f"{100 * SIMILAR:.0f} % above {low.name}", (1 + SIMILAR) * low.value, low.apart)
            yield times(where, allowed, high)


def best_changes(at: Measured) -> Compared:
    """At the lowest and the highest rate, the exit that is best there against the one that is best at the other.

    Where one is best at both, how far the next one is behind speaks against a change.
    """
    by_rate_ = {rate: numbers for rate in at.rates if len(numbers := at.at_rate(rate)) > 1}
    if len(by_rate_) < 2:
        return
    ends = [min(by_rate_), max(by_rate_)]
    best = [min(by_rate_[rate], key=lambda exit_: by_rate_[rate][exit_].value) for rate in ends]
    for rate, here, there in ((ends[0], best[0], best[1]), (ends[1], best[1], best[0])):
        where, numbers = f"{rate:g} Mbit/s", by_rate_[rate]
        if here != there:
            yield times(where, numbers.get(there), numbers[here])
        else:
            yield times(where, numbers[here], _least(known for exit_, known in numbers.items() if exit_ != here))


def sem_larger(compare: Compare[Number], number: Of[Number]) -> Claimed:
    """SEM against MEM at each exit and threshold."""
    return lambda at: [compare(where, number("SEM", sem), number("MEM", mem)) for where, sem, mem in at.pairs()]


def mem_slower(at: Measured) -> Compared:
    """MEM against SEM at each exit and threshold."""
    return [times(where, overall_time("MEM", mem), overall_time("SEM", sem)) for where, sem, mem in at.pairs()]


def higher_exits_more(at: Measured) -> Compared:
    """The highest threshold against the lowest. What leaves at the lower leaves at the higher: there is no error."""
    ends = at.lowest_and_highest_threshold()
    return [shares(where, exited("high T", high), exited("low T", low), moved=0) for where, low, high in ends]


def higher_faster(at: Measured) -> Compared:
    """The lowest threshold against the highest."""
    ends = at.lowest_and_highest_threshold()
    return [times(where, overall_time("low T", low), overall_time("high T", high)) for where, low, high in ends]


def higher_less_accurate(tier: Over) -> Claimed:
    """The lowest threshold against the highest, by a tier's accuracy."""

    def compare(at: Measured) -> Compared:
        for where, low, high in at.lowest_and_highest_threshold():
            moved = abs(high.outcome.local - low.outcome.local) if tier == "overall" else None
            yield shares(where, accuracy("low T", low, tier), accuracy("high T", high, tier), moved=moved)

    return compare


def over_all(one: AtExit, other: AtExit, *, first: int = 1, later: int = 0) -> Claimed:
    """Each SEM from `first` on against MEM so many exits later, all samples answered at one exit."""
    return lambda at: [
        shares(
            f"exits {k} and {k + later}" if later else f"exit {k}",
            one(at, Family.SEM, k),
            other(at, Family.MEM, k + later),
        )
        for k in at.sems
        if k >= first
    ]


def largest_gap(at: Measured) -> Compared:
    """The gap between SEM and MEM at one exit against the largest elsewhere."""
    apart = {gap.where: gap for gap in over_all(Measured.local, Measured.local)(at) if gap is not None}
    named = apart.pop(f"exit {LARGEST_AT}", None)
    if named is not None and apart:
        yield gaps("all samples", named, max(apart.values(), key=DIFFERENCE))


def close_to_last(at: Measured) -> Compared:
    """How far a SEM's last exit is ahead of its local one: the least among earlier SEMs against the later ones."""
    ahead = {k: shares(f"exit {k}", at.last(Family.SEM, k), at.local(Family.SEM, k)) for k in at.sems}
    earlier = [gap for k, gap in ahead.items() if k < CLOSE_FROM and gap is not None]
    for k, gap in ahead.items():
        if k >= CLOSE_FROM and gap is not None and earlier:
            yield gaps(f"exit {k}", min(earlier, key=DIFFERENCE), gap)


def _known(rows: dict[int, Row], number: Of[Number]) -> dict[int, Number]:
    numbers = {exit_: number(name(row.setup), row) for exit_, row in sorted(rows.items())}
    return {exit_: known for exit_, known in numbers.items() if known is not None}


def _first(numbers: dict[int, Number]) -> tuple[Number | None, list[Number]]:
    return numbers.get(1), [known for exit_, known in numbers.items() if exit_ != 1]


def _least(numbers: Iterable[Number]) -> Number | None:
    return min(numbers, key=VALUE, default=None)
