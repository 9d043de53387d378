"""The way of a sample through a chain of tiers, a leg a tier: which exits it passes, where it crosses, what that loses.

Takes plans, gives legs. Below fp32 each crossing changes the numbers of all that lies behind it, so what was measured
behind some crossings stands for the plans alone that have the same.
"""

from collections.abc import Iterable

from offramp.artifacts.codec import Codec
from offramp.artifacts.document import Frozen
from offramp.artifacts.outcome import LAST_TIER
from offramp.artifacts.plan import Plan

Crossed = tuple[tuple[int, Codec], ...]  # cuts with their codecs, in the order in which they are crossed


class Leg(Frozen):
    """What one tier runs: to which active exits, and where it hands on, and how; fp32 where it does not."""

    active: tuple[int, ...]
    cut: int
    codec: Codec = "fp32"

    def ends(self, last: int) -> bool:
        """Whether a network of `last` stages ends here, so that no tier follows."""
        return last in (self.cut, *self.active)

    def words(self, last: int) -> str:
        """In words."""
        exits = f"exit {', '.join(map(str, self.active))}" if self.active else "no local exit"
        return f"{exits}, not cut" if self.cut == last else f"{exits}, cut at {self.cut} in {self.codec}"


def legs_of(plan: Plan, last: int) -> tuple[Leg, ...]:
    """The legs of a plan, as far as any sample comes."""
    legs: list[Leg] = []
    for part in plan.tiers.values():
        leg = Leg(active=tuple(one.exit for one in part.active), cut=part.cut, codec=part.codec)
        if leg.ends(last):
            return (*legs, leg.model_copy(update={"codec": "fp32"}))
        legs.append(leg)
    return tuple(legs)


def reached(plan: Plan, last: int) -> tuple[str, ...]:
    """The tiers that samples come to, in order: the plan's, and the cloud where the network does not end before."""
    legs = legs_of(plan, last)
    names = [*dict.fromkeys([*plan.tiers, LAST_TIER])]
    return tuple(names[: len(legs) + (not legs[-1].ends(last))])


def lossy(legs: Iterable[Leg], last: int) -> list[tuple[int, Crossed]]:
    """Each exit on the way, the network's end last, with the crossings before it that change numbers in fp32."""
    found: list[tuple[int, Crossed]] = []
    crossed: Crossed = ()
    for leg in legs:
        found += [(exit_, crossed) for exit_ in leg.active if exit_ != last]
        if leg.codec != "fp32" and not leg.ends(last):
            crossed = (*crossed, (leg.cut, leg.codec))
    return [*found, (last, crossed)]


def in_words(legs: Iterable[Leg], last: int) -> str:
    """The legs in words."""
    return ", then ".join(leg.words(last) for leg in legs)


def seen_in_words(crossed: Crossed) -> str:
    """What an exit behind these crossings sees, in words."""
    through = " and ".join(f"cut {cut} in {codec}" for cut, codec in crossed)
    return f"features that crossed {through}" if through else "features that no codec has changed"
