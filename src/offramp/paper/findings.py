"""The paper's qualitative findings, each held against a reproduction: verdict, and the numbers behind it.

What a finding compares stands in its `rule`; how a verdict comes from comparisons, in `offramp.paper.comparison`.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from offramp.paper import evidence
from offramp.paper.comparison import Comparison, Verdict, accuracy, exited, shares, time, times, verdict
from offramp.paper.evidence import BETTER_FROM, CLOSE_FROM, LARGEST_AT, SIMILAR, Claimed, Measured
from offramp.paper.reproduction import Reproduction


class Finding(NamedTuple):
    """One statement of the paper's."""

    says: str
    section: str
    rule: str
    comparisons: tuple[Comparison, ...]

    @property
    def verdict(self) -> Verdict:
        """Whether it holds."""
        return verdict(self.comparisons)

    @property
    def numbers(self) -> str:
        """The comparisons in short: how many speak for it, and the least and the most of the differences."""
        if not self.comparisons:
            return "nothing that could tell was measured"
        said = [comparison.outcome for comparison in self.comparisons]
        counts = f"{said.count('for')} for, {said.count('against')} against, {said.count('within noise')} within noise"
        least = min(self.comparisons, key=lambda comparison: comparison.difference)
        most = max(self.comparisons, key=lambda comparison: comparison.difference)
        if len(self.comparisons) == 1:
            return f"{counts}: {signed(most)} ({most.where}; {most.found})"
        return f"{counts}: from {signed(least)} ({least.where}) to {signed(most)} ({most.where})"


def signed(comparison: Comparison) -> str:
    """A difference with its unit, above zero on the paper's side."""
    return f"{comparison.difference:+.2f} {comparison.unit}"


def findings(reproduction: Reproduction) -> list[Finding]:
    """Every finding in the paper's order; one that nothing was measured for says so."""
    at = Measured(reproduction)
    return [
        Finding(says, section, rule, tuple(each for each in compare(at) if each is not None))
        for says, section, rule, compare in _FINDINGS
    ]


_TREND = "the first and the last SEM at each T; and any neighbours that go the other way"
_PAIRS = "SEM and MEM at each exit and T"
_ENDS = "the lowest and the highest T, each model at each exit"
_MIDDLE = "the best of the middle exits, and the better of the first and the last, at each T and at each rate"
_LONGEST = f"the longest, and {100 * SIMILAR:.0f} % more than the shortest, at each T"
_CHANGES = "the exit that is best at the lowest rate and the one at the highest, at both"
_LOCAL, _LAST = Measured.local, Measured.last
_FINDINGS: Sequence[tuple[str, str, str, Claimed]] = (
    ("Later exits give higher edge accuracy", "4.2", _TREND, evidence.trend("edge", rising=True)),
    ("Later exits give lower cloud accuracy", "4.2", _TREND, evidence.trend("cloud", rising=False)),
    ("Later exits tend to give higher overall accuracy", "4.2", _TREND, evidence.trend("overall", rising=True)),
    ("SEM-1 exits the fewest samples", "4.2", "the next fewest, at each T", evidence.first_least(shares, exited)),
    ("SEM-1 has the shortest edge latency", "4.2",
     "the next shortest, at each T", evidence.first_least(times, partial(time, tier="edge"))),
    ("SEM-1 has the longest overall latency", "4.2",
     "the next longest, at each T and at each rate of the link", evidence.first_overall_longest),
    ("The best overall latency lies at a middle exit", "4.2, 4.3", _MIDDLE, evidence.middle_best),
    ("Cloud latency is similar at all exits", "4.2", _LONGEST, evidence.cloud_similar),
    ("The best exit changes with the bandwidth", "4.2", _CHANGES, evidence.best_changes),
    ("The MEM exits fewer samples than the SEM at the same exit", "4.3", _PAIRS, evidence.sem_larger(shares, exited)),
    ("The MEM is less accurate overall than the SEM at the same exit", "4.3",
     _PAIRS, evidence.sem_larger(shares, partial(accuracy, tier="overall"))),
    ("The MEM is slower overall than the SEM at the same exit", "4.3", _PAIRS, evidence.mem_slower),
    ("A higher T exits more samples", "4.4", _ENDS, evidence.higher_exits_more),
    ("A higher T answers faster", "4.4", f"overall latency: {_ENDS}", evidence.higher_faster),
    ("A higher T gives lower edge accuracy", "4.4", _ENDS, evidence.higher_less_accurate("edge")),
    ("A higher T gives lower cloud accuracy", "4.4", _ENDS, evidence.higher_less_accurate("cloud")),
    ("A higher T gives lower overall accuracy", "4.4", _ENDS, evidence.higher_less_accurate("overall")),
    ("Over all samples the SEM is more accurate than the MEM at the same local exit", "4.5",
     "SEM and MEM at each exit", evidence.over_all(_LOCAL, _LOCAL)),
    ("Over all samples the SEM is more accurate than the MEM at the last exit", "4.5",
     "each SEM and the MEM", evidence.over_all(_LAST, _LAST)),
    (f"SEM and MEM differ most at exit {LARGEST_AT}", "4.5",
     "the difference there, and the largest elsewhere", evidence.largest_gap),
    ("A SEM is more accurate than the MEM one exit later", "4.5",
     "each SEM, and the MEM's next exit", evidence.over_all(_LOCAL, _LOCAL, later=1)),
    (f"From exit {BETTER_FROM} on, a SEM's local exit is more accurate than the MEM's last", "4.5",
     f"each SEM from {BETTER_FROM} on, and the MEM", evidence.over_all(_LOCAL, _LAST, first=BETTER_FROM)),
    (f"From SEM-{CLOSE_FROM} on, the local exit comes closer to the last", "4.5",
     f"how far the last exit is ahead, and the least before exit {CLOSE_FROM}", evidence.close_to_last),
)  # fmt: skip
