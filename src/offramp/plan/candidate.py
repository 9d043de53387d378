"""A plan before it is written down, and what it is predicted to come to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from offramp.artifacts.plan import Plan, ScoreName
from offramp.plan.pricing import Figures, Prices, figures_of, part_of
from offramp.plan.table import Crossing, Table


@dataclass(frozen=True)
class Candidate:
    """Exits with their thresholds, and where and how the rest crosses."""

    exits: tuple[int, ...]
    thresholds: tuple[float, ...]
    crossing: Crossing
    figures: Figures

    @classmethod
    def of(
        cls, prices: Prices, table: Table, exits: Sequence[int], thresholds: Sequence[float], crossing: Crossing
    ) -> Self:
        """A plan with what it comes to on these samples at these prices."""
        found = figures_of(prices, table, exits, thresholds, crossing)
        return cls(tuple(exits), tuple(thresholds), crossing, found)

    def plan(self, score: ScoreName = "entropy") -> Plan:
        """The plan that an edge follows."""
        return Plan(tiers={"edge": part_of(self.exits, self.thresholds, self.crossing)}, score=score)

    def on(self, prices: Prices, table: Table) -> Self:
        """The same on other samples, or at other prices."""
        return self.of(prices, table, self.exits, self.thresholds, self.crossing)

    def brief(self, last: int) -> str:
        """The plan in a table's cell, of a network that ends at `last`: each exit with its threshold, then the rest."""
        first, *more = self.thresholds or (0.0,)
        row = list(self.exits) == list(range(self.exits[0], self.exits[-1] + 1)) if len(self.exits) > 2 else False
        if row and all(threshold == first for threshold in more):
            active = f"{self.exits[0]}–{self.exits[-1]}:{first:g} "
        else:
            active = "".join(f"{k}:{t:g} " for k, t in zip(self.exits, self.thresholds, strict=True))
        cut, codec, other = self.crossing
        rest = f"cut {cut} {codec}" if cut else f"{self.crossing.input} {codec}" + (f" to {other[:8]}" if other else "")
        return f"{active}→ {'end at the edge' if cut == last else rest}"

    def said(self, last: int) -> str:
        """The same in words."""
        pairs = zip(self.exits, self.thresholds, strict=True)
        active = ", ".join(f"exit {exit_} at T = {threshold:g}" for exit_, threshold in pairs) or "no local exit"
        cut, codec, other = self.crossing
        rest = f"cut at {cut} in {codec}" if cut else f"as the {self.crossing.input} in {codec}"
        if other:
            rest = f"as the image in {codec} to the network {other[:8]}"
        if cut == last:
            rest = "run to the end at the edge"
        return f"{active}; {'the rest ' if self.exits else ''}{rest}"
